"""The whole case at SMOKE: the model beats the lines and stays under the ceiling; its posts are played; its one experiment runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.checks import Trial
from common.contract import Event
from common.eval.report import is_better
from common.lifecycle.registry import Registry
from harmful_content import pipeline
from harmful_content.config import SMOKE, Config
from harmful_content.experiments import EXPERIMENTS
from harmful_content.schema import Answer
from harmful_content.simulate import visits
from harmful_content.world import START

DAY = 86_400


@pytest.mark.slow
def test_at_smoke_the_model_beats_the_lines_and_stays_under_the_ceiling(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    result = pipeline.run(SMOKE, Registry(tmp_path_factory.mktemp("runs")))
    assert is_better(result.paired["model-baseline"], "pr_auc")
    assert not is_better(result.paired["model-ceiling"], "pr_auc")
    slices = {name: report.slices for name, report in result.reports.items()}
    assert slices["model"]["modality=image"]["pr_auc"].value > slices["baseline"]["modality=image"]["pr_auc"].value
    assert (
        result.reports["ceiling"].metrics["pr_auc"].value < 0.97
    )  # what the panel said of the borderline, nobody knows


def test_visits_are_a_function_of_the_time_and_come_in_order(tiny: Config) -> None:
    since = START + 28 * DAY
    one, other = (list(visits(tiny, since, since + 2 * DAY)) for _ in range(2))
    assert [visit.request() for visit in one] == [visit.request() for visit in other]
    times = [visit.event_time for visit in one]
    assert times == sorted(times) and since <= times[0] and times[-1] < since + 2 * DAY
    ids = [visit.request().post_id for visit in one]
    assert len(set(ids)) == len(ids) and min(ids) >= 1_000_000_000


def test_what_is_removed_is_seen_by_nobody_and_what_is_demoted_by_fewer(tiny: Config) -> None:
    since = START + 30 * DAY
    some = list(visits(tiny, since, since + 3 * DAY))
    views = {
        action: sum(
            event.values["views"]
            for visit in some
            for event in visit.react(answer(action))
            if isinstance(event, Event) and event.kind == "reactions"
        )
        for action in ("allow", "demote", "remove")
    }
    assert views["remove"] == 0 and 0.15 < views["demote"] / views["allow"] < 0.5
    assert all(event.event_time > visit.event_time for visit in some for event in visit.react(answer("allow")))


@pytest.mark.slow
def test_without_pictures_or_words_the_model_ranks_worse(trial: Trial) -> None:
    table = EXPERIMENTS["missing_modality"](replace(SMOKE, epochs=4))
    change = {row["without"]: row["change"] for row in table}
    assert change["nothing"] == 0 and change["pictures"] < 0 and change["words"] < 0


def answer(action: str) -> Answer:
    from common.contract import Timings

    return Answer(
        request_id=1, model_version="", degraded=[], timings_ms=Timings(total=0.0, stages=[]), why=[], post_id=1,
        action=action, policy="", score=0.0, scores={}, notice="",  # type: ignore[arg-type]
    )  # fmt: skip
