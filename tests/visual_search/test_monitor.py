"""Quiet on healthy weeks, loud on each planted drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from common import events as columns
from common.checks import Trial
from common.contract import Bools, Events, Ranking
from common.lifecycle.traffic import play
from common.monitoring.reference import References
from tests.visual_search.conftest import SMALL, small
from visual_search import data, monitor, simulate
from visual_search.data.labels import NO_PHOTOS
from visual_search.monitor import FLOOR, HOW
from visual_search.schema import EVENTS, SHOWN, Live, Rows

WEEK = 7 * 86_400
VISITS = 60


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One of its own: half a year passes here."""
    yield from small(tmp_path_factory.mktemp("weeks"))


def how_asked(live: Live) -> dict[str, Bools]:
    return {name: getattr(live, name) for name in HOW}


def week(trial: Trial, drift: str = "none", visits_a_week: int = VISITS) -> Live:
    """The next week of the served case, thinned."""
    served, config = trial.served, replace(trial.config, drift=drift)
    since, start = served.clock.now(), served.platform.log.end
    every = max(1, config.num_searches // config.days * 7 // visits_a_week)
    visits = islice(simulate.visits(config, since, since + WEEK), 0, None, every)
    played = play(trial.case, visits, served.client, served.clock)
    assert not played.errors and played.visits > visits_a_week / 2
    served.clock.set(since + WEEK)
    return data.live(served.logged(start), config)


@pytest.fixture(scope="module")
def expected(trial: Trial) -> References:
    """Three healthy weeks of served traffic."""
    start = trial.served.platform.log.end
    for _ in range(3):
        week(trial)
    live = data.live(trial.served.logged(start), trial.config)
    return monitor.reference(live.predictions, live.rows, trial.config, how_asked(live), served=True)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nineteen_of_twenty_healthy_weeks_are_quiet(trial: Trial, expected: References) -> None:
    alerts = [monitor.check(expected, week(trial), trial.config) for _ in range(20)]
    assert sum(not some for some in alerts) >= 19, [
        (place, alert.name, alert.value, alert.expected) for place, some in enumerate(alerts) for alert in some
    ]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("drift", [name for name in simulate.DRIFTS if name != "none"])
def test_every_planted_drift_is_noticed(trial: Trial, expected: References, drift: str) -> None:
    live = week(trial, drift, 4 * VISITS)
    assert monitor.check(expected, live, trial.config), (drift, len(live.rows))


def rows(num: int, click_rate: float, seed: int = 0) -> Rows:
    """Pages of ten, each asked for by somebody of its own."""
    rng, n = np.random.default_rng(seed), 10 * num
    page = np.repeat(np.arange(num), 10)
    return Rows(
        user_id=page, photo=np.full(n, -1), photos=NO_PHOTOS, image_id=np.arange(n), slot=np.tile(np.arange(10), num),
        event_time=page, moment=page, label=(rng.random(n) < click_rate).astype(float),
    )  # fmt: skip


def served(num: int, click_rate: float, score: float, cold: float = 0.0, words: float = 0.2, seed: int = 1) -> Live:
    rng = np.random.default_rng(seed)
    of = rows(num, click_rate, seed)
    nothing = np.zeros(len(of), bool)
    return Live(
        rows=of,
        predictions=score + 0.1 * rng.random(len(of)),
        cold=rng.random(len(of)) < cold,
        degraded=nothing,
        words=(rng.random(num) < words)[np.repeat(np.arange(num), 10)],
        whole=nothing,
    )


@pytest.fixture(scope="module")
def incumbents() -> References:
    """As `mlsd run` makes it: the incumbent's rows, the model's pages."""
    of = rows(500, 0.05)
    best = 0.8 + 0.1 * np.random.default_rng(2).random((500, 1))
    how = {"words": np.arange(len(of)) < 1_000, "whole": np.zeros(len(of), bool)}
    return monitor.reference(Ranking(ids=np.zeros((500, 1), np.int64), scores=best), of, SMALL, how)


@pytest.mark.parametrize(
    ("click_rate", "score", "cold", "fires"),
    [
        (0.05, 0.8, 0.0, set[str]()),
        (0.25, 0.8, 0.0, set[str]()),
        (0.005, 0.8, 0.0, {FLOOR}),
        (0.05, 0.6, 0.0, {"drift.first_score"}),
        (0.05, 0.8, 0.5, {"cold"}),
    ],
)
def test_a_model_that_is_clicked_on_more_is_no_alarm_and_one_that_is_not_is(
    incumbents: References, click_rate: float, score: float, cold: float, fires: set[str]
) -> None:
    alerts = monitor.check(incumbents, served(300, click_rate, score, cold), SMALL)
    assert {alert.name for alert in alerts} == fires
    assert all(alert.means and alert.action for alert in alerts)


def test_against_a_served_week_a_rise_is_told_too() -> None:
    before = served(500, 0.1, 0.8)
    expected = monitor.reference(before.predictions, before.rows, SMALL, how_asked(before), served=True)
    assert {alert.name for alert in monitor.check(expected, served(300, 0.1, 0.8, words=0.6), SMALL)} == {"words"}
    assert not monitor.check(expected, served(300, 0.1, 0.8, seed=3), SMALL)
    assert {alert.name for alert in monitor.check(expected, served(300, 0.2, 0.8, seed=4), SMALL)} == {"click_rate"}


def test_rows_whose_clicks_are_not_known_yet_are_not_counted_as_none(incumbents: References) -> None:
    live = served(300, 0.05, 0.8)
    open_ = np.where(np.arange(len(live.rows)) < 1_500, np.nan, live.rows.label)
    assert not monitor.check(incumbents, replace(live, rows=replace(live.rows, label=open_)), SMALL)


def test_too_little_to_tell_is_quiet(incumbents: References) -> None:
    events: Events = columns.of([])
    names = {name for kind in EVENTS.values() for name in kind.values}
    events = replace(events, keys=dict.fromkeys(SHOWN, events.position), values=dict.fromkeys(names, events.position))
    assert not monitor.check(incumbents, data.live(events, SMALL), SMALL)
    assert not monitor.check(incumbents, served(29, 0.0, 0.1), SMALL)
