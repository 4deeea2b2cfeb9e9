"""Quiet on healthy weeks, loud on each planted drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from common import events as columns
from common.checks import Trial
from common.contract import Events
from common.lifecycle.traffic import play
from common.monitoring.reference import References
from search_ranking import data, monitor, simulate
from search_ranking.schema import EVENTS, SHOWN, Live
from tests.search_ranking.conftest import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WEEK = 7 * 86_400
VISITS = 60


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One of its own: half a year passes here, and no other test should meet its clicks."""
    trial = small(tmp_path_factory.mktemp("weeks"))
    yield trial
    trial.close()


def week(trial: Trial, drift: str = "none", visits_a_week: int = VISITS) -> Live:
    """The next week of the served case, thinned."""
    served, config = trial.served, replace(trial.config, drift=drift)
    since, start = served.clock.now(), served.platform.log.end
    every = max(1, config.num_sessions // 2 // visits_a_week)
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
    return monitor.reference(live.predictions, live.rows, trial.config, served=True)


def test_nineteen_of_twenty_healthy_weeks_are_quiet(trial: Trial, expected: References) -> None:
    alerts = [monitor.check(expected, week(trial), trial.config) for _ in range(20)]
    assert sum(not some for some in alerts) >= 19, [
        (place, alert.name, alert.value, alert.expected) for place, some in enumerate(alerts) for alert in some
    ]


@pytest.mark.parametrize("drift", [name for name in simulate.DRIFTS if name != "none"])
def test_every_planted_drift_is_noticed(trial: Trial, expected: References, drift: str) -> None:
    assert monitor.check(expected, week(trial, drift, 4 * VISITS), trial.config), drift


def test_too_little_to_tell_is_quiet(trial: Trial, expected: References) -> None:
    events: Events = columns.of([])
    names = {name for kind in EVENTS.values() for name in kind.values}
    events = replace(events, keys=dict.fromkeys(SHOWN, events.position), values=dict.fromkeys(names, events.position))
    assert not monitor.check(expected, data.live(events, trial.config), trial.config)
