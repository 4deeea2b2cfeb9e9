"""Served weeks at SMOKE: quiet on healthy ones, loud on each planted drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from common.cases import Case
from common.checks import Trial
from common.checks.trial import TOKEN
from common.lifecycle.traffic import play
from common.monitoring.reference import References
from harmful_content import data, monitor, simulate
from harmful_content.config import SMOKE
from harmful_content.schema import Live

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WEEK = 7 * 86_400
VISITS = 140
FIRES = {
    "report_bombing": "bombed",
    "dialect_mix": "drift.num_words",
    "new_harm": "drift.violated",
    "pictures_lost": "has_picture",
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One of its own: half a year passes here. A busy machine must not decide what the monitor sees."""
    trial = Trial(Case("harmful_content", "harmful_content"), tmp_path_factory.mktemp("weeks"))
    trial.config = replace(SMOKE, deadline_ms=5_000.0)
    yield trial
    trial.close()


def week(trial: Trial, drift: str = "none", visits_a_week: int = VISITS) -> Live:
    """The next week of the served case, thinned."""
    served, config = trial.served, replace(trial.config, drift=drift)
    since, start = served.clock.now(), served.platform.log.end
    every = config.num_posts // (config.days // 7) // visits_a_week
    visits = islice(simulate.visits(config, since, since + WEEK), 0, None, every)
    played = play(trial.case, visits, served.client, served.clock, token=TOKEN)
    assert not played.errors and played.visits > visits_a_week * 0.8
    return data.live(served.logged(start), config)


@pytest.fixture(scope="module")
def expected(trial: Trial) -> References:
    """Three healthy weeks of served traffic."""
    start = trial.served.platform.log.end
    for _ in range(3):
        week(trial)
    live = data.live(trial.served.logged(start), trial.config)
    return monitor.reference(live.predictions, live.rows, trial.config, served=True)


def test_nineteen_of_twenty_healthy_weeks_are_quiet(trial: Trial, expected: References) -> None:
    """Against a served week, and against the validation rows of the artifact."""
    weeks = [week(trial) for _ in range(20)]
    for reference in (expected, trial.part("reference")):
        alerts = [monitor.check(reference, live, trial.config) for live in weeks]
        assert sum(not some for some in alerts) >= 19, [
            (place, alert.name, alert.value, alert.expected) for place, some in enumerate(alerts) for alert in some
        ]


@pytest.mark.parametrize("drift", FIRES)
def test_every_planted_drift_is_noticed(trial: Trial, expected: References, drift: str) -> None:
    found = {one.name for one in monitor.check(expected, week(trial, drift, 2 * VISITS), trial.config)}
    assert FIRES[drift] in found, found


def test_no_planted_drift_is_left_out() -> None:
    assert {"none", *FIRES} == set(simulate.DRIFTS)


def test_a_broken_picture_pipeline_is_seen_against_training_too(trial: Trial) -> None:
    live = week(trial, "pictures_lost")
    assert {one.name for one in monitor.check(trial.part("reference"), live, trial.config)} >= {"has_picture"}
