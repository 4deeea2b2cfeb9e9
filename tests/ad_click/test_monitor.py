"""Quiet on healthy weeks, loud on each planted drift: simulated people drive the served case, the monitor reads the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ad_click import data, monitor, simulate
from ad_click.config import Config
from ad_click.monitor import AdReference
from ad_click.schema import Live
from common import cases
from common.contract import Result
from common.events import concat
from common.lifecycle.traffic import play
from tests.ad_click.conftest import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WEEK = 7 * 86_400
EVERY = 50  # one visit in so many is played, always: features of pace tell a thinner week from the one before
FADES = 6 * WEEK  # until the pace of the log is forgotten


@pytest.fixture(scope="module")
def weeks(running: Running, tiny: Config) -> Iterator[int]:
    """Where the next week begins: traffic only ever goes on. The first week at the new pace is nobody's."""
    begins = iter(range(running.now + FADES, running.now + 1_000 * 8 * 86_400, 8 * 86_400))
    served(running, tiny, begins, 1)
    return begins


@pytest.fixture(scope="module")
def expected(running: Running, weeks: Iterator[int], tiny: Config) -> AdReference:
    """Healthy weeks of served traffic; rows whose click window is still open are left out."""
    live = served(running, tiny, weeks, 3)
    closed = np.flatnonzero(~np.isnan(live.rows.label))
    return monitor.reference(live.predictions[closed], live.rows.take(closed), tiny, served=True)


def served(running: Running, config: Config, weeks: Iterator[int], num_weeks: int) -> Live:
    since = running.platform.log.end
    for begins in islice(weeks, num_weeks):
        visits = islice(simulate.visits(config, begins, begins + WEEK), 0, None, EVERY)
        played = play(cases.get("ad_click"), visits, running.client, running.clock)
        assert not played.errors and played.visits > 100
    return data.live(concat(list(running.platform.log.scan(since))), config)


def test_nineteen_of_twenty_healthy_weeks_are_quiet(
    running: Running, weeks: Iterator[int], expected: AdReference, tiny: Config
) -> None:
    alerts = [monitor.check(expected, served(running, tiny, weeks, 1), tiny) for _ in range(20)]
    assert sum(not some for some in alerts) >= 19, [
        (place, alert.name, alert.value, alert.expected) for place, some in enumerate(alerts) for alert in some
    ]


@pytest.mark.parametrize("drift", [name for name in simulate.DRIFTS if name != "none"])
def test_every_planted_drift_is_noticed(
    running: Running, weeks: Iterator[int], expected: AdReference, tiny: Config, drift: str
) -> None:
    assert monitor.check(expected, served(running, replace(tiny, drift=drift), weeks, 2), tiny), drift


@pytest.mark.parametrize("drift", ["device_missing", "new_country"])
def test_what_the_auction_does_not_change_is_seen_against_training_too(
    running: Running, weeks: Iterator[int], run_once: tuple[Path, Result], tiny: Config, drift: str
) -> None:
    at_training = monitor.load(run_once[1].artifact.folder / "reference")
    live = served(running, replace(tiny, drift=drift), weeks, 1)
    assert monitor.check(at_training, live, tiny), drift


def test_an_unknown_drift_is_refused(tiny: Config) -> None:
    with pytest.raises(ValueError, match="Did you mean 'taste_shift'"):
        next(simulate.visits(replace(tiny, drift="taste_shfit"), 0, WEEK))
