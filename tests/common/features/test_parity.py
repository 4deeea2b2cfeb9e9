"""The parity proof: what training reads from the log and what serving reads from the live store are the same bits.

Random streams go into a log in chunks of one random size and from there into the live store in chunks of another; at every stop both
stores are asked about every entity. The same comparison must catch stores that are wrong in the ways stores usually are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.contract import FORGET, Events, FeatureStore, Floats, Ints
from common.events import concat, of, take
from common.features import cache, live
from common.features.asof import AsOfStore
from common.features.cache import Cache
from common.features.live import LiveStore
from common.features.views import View, pair
from common.lifecycle.follow import catch_up
from common.lifecycle.log import EventLog
from tests.common.features.streams import NUM_ITEMS, NUM_USERS, PAIR, USER, bits, distinct, oracle, stream

USERS = np.arange(-1, NUM_USERS + 2)
PAIRS = pair(np.repeat(np.arange(NUM_USERS), NUM_ITEMS + 1), np.tile(np.arange(NUM_ITEMS + 1), NUM_USERS))
SLOW = replace(USER, bucket=60)  # a bucket in which much happens
Reads = list[tuple[View, Ints, Ints, Floats]]


def replay(folder: Path, seed: int, length: int = 1_200, stops: int = 30) -> tuple[Events, Reads]:
    """-> the log's events, and what the live store said at each of about `stops` positions."""
    rng = np.random.default_rng(seed)
    reads: Reads = []
    log = EventLog.create(folder / "log")
    store = LiveStore(folder / "live.sqlite", [USER, PAIR])
    waiting = stream(seed, length)
    while waiting:
        size = int(rng.integers(1, 2 * length // stops))
        log.append(waiting[:size])
        waiting = waiting[size:]
        for stretch in log.scan(store.position):
            for first in range(0, len(stretch), size := int(rng.integers(1, 60))):
                store.apply(take(stretch, slice(first, first + size)))
        with store.snapshot() as now:
            for view, keys in ((USER, USERS), (PAIR, PAIRS)):
                moments = np.full(len(keys), now.position)
                reads.append((view, keys, moments, now.read(view, keys, moments)))
    events = concat(list(log.scan()))
    store.close()
    log.close()
    return events, reads


def num_differences(reads: Reads, offline: FeatureStore) -> int:
    return sum(
        int((bits(said) != bits(offline.read(view, keys, moments))).any(axis=1).sum())
        for view, keys, moments, said in reads
    )


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Events, Reads]]:
    return [replay(tmp_path_factory.mktemp(f"replay{seed}"), seed) for seed in range(4)]


def test_online_equals_offline_bit_for_bit(replays: list[tuple[Events, Reads]]) -> None:
    compared = sum(len(keys) for _, reads in replays for _, keys, _, _ in reads)
    assert compared >= 10_000
    assert sum(num_differences(reads, AsOfStore(events)) for events, reads in replays) == 0


def test_one_read_at_many_moments_equals_many_reads(replays: list[tuple[Events, Reads]]) -> None:
    events, reads = replays[0]
    for view in (USER, PAIR):
        mine = [read for read in reads if read[0] == view]
        keys, moments = (np.concatenate([read[i] for read in mine]) for i in (1, 2))
        shuffled = np.random.default_rng(0).permutation(len(keys))
        said = AsOfStore(events).read(view, keys[shuffled], moments[shuffled])
        assert np.array_equal(bits(said), bits(np.concatenate([read[3] for read in mine])[shuffled]))


@pytest.mark.parametrize("seed", range(3))
def test_both_say_what_the_definitions_say(seed: int, tmp_path: Path) -> None:
    _, reads = replay(tmp_path, seed + 100, length=300, stops=8)
    events = distinct(stream(seed + 100, 300))
    for view, keys, moments, said in reads:
        ids = list(zip(*((keys,) if view is USER else (keys >> 32, keys & 0xFFFFFFFF)), strict=True))
        for row, entity in enumerate(ids):
            if min(entity) >= 0:
                expected = oracle(view, events[: moments[row]], tuple(int(part) for part in entity))
                np.testing.assert_allclose(said[row], expected, rtol=1e-9, atol=1e-9)


def test_the_streams_hold_what_the_proof_is_about() -> None:
    events = stream(0, 1_200)
    times = [event.event_time for event in distinct(events)]
    assert len(distinct(events)) < len(events)
    assert any(event.kind == FORGET for event in events)
    assert any(later < earlier for earlier, later in itertools.pairwise(times))
    assert len(set(times)) < len(times)


def differences_among_snapshots(folder: Path, seed: int) -> int:
    """Snapshots of several positions stay open while the store moves on, and read a few users each in any order: what one has read must
    not be what another, before or after it, is told."""
    rng = np.random.default_rng(seed)
    events = of(distinct(stream(seed, 600)))
    offline = AsOfStore(events)
    store = LiveStore(folder / f"snapshots{seed}.sqlite", [SLOW])
    wrong, first = 0, 0
    with ExitStack() as stack:
        held = [stack.enter_context(store.snapshot())]
        while first < len(events):
            size = int(rng.integers(1, 33))
            store.apply(take(events, slice(first, first + size)))
            first += size
            held = [*held[-3:], stack.enter_context(store.snapshot())]
            for now in rng.permutation(np.array(held, dtype=object)):
                users = rng.choice(USERS, 4)
                said = now.read(SLOW, users, users)
                wrong += int((bits(said) != bits(offline.read(SLOW, users, np.full(4, now.position)))).sum())
    store.close()
    return wrong


@pytest.fixture
def both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the stretches are folded in as arrays, and are still so short that they leave some users alone."""
    monkeypatch.setattr(live, "FEW", 16)


@pytest.mark.usefixtures("both_ways")
def test_snapshots_of_several_positions_do_not_hear_each_other(tmp_path: Path) -> None:
    assert sum(differences_among_snapshots(tmp_path, seed) for seed in range(3)) == 0


# ---------------------------------------------------------------------------------------------------------------- negative controls


def touches_nothing(self: Cache, keys: Ints, position: int) -> None:
    self._position = position


def keeps_what_is_old(keep: Callable[..., None]) -> Callable[..., None]:
    return lambda self, keys, values, position, bucket: keep(self, keys, values, self._position, bucket)


def forgets_its_age(self: Cache, keys: Ints, position: int, bucket: int) -> tuple[Floats, Ints]:
    self._bucket = bucket
    return READ(self, keys, position, bucket)


READ = Cache.read


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("name", "broken"),
    [("touch", touches_nothing), ("keep", keeps_what_is_old(Cache.keep)), ("read", forgets_its_age)],
)
def test_a_wrong_cache_is_caught(name: str, broken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cache, name, broken)
    assert any(differences_among_snapshots(tmp_path, seed) for seed in range(3))


@pytest.mark.usefixtures("both_ways")
def test_ids_that_share_a_place_do_not_share_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 4 * USER.width)  # four places for all of them
    assert sum(differences_among_snapshots(tmp_path, seed) for seed in range(3)) == 0
    monkeypatch.setattr(Cache, "read", believes_the_place)
    assert any(differences_among_snapshots(tmp_path, seed) for seed in range(3, 6))


def believes_the_place(self: Cache, keys: Ints, position: int, bucket: int) -> tuple[Floats, Ints]:
    self._keys[self._places(keys)] = keys
    return READ(self, keys, position, bucket)


class SeesItsOwnMoment(AsOfStore):
    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        return super().read(view, keys, moments + 1)


def never_forgets(events: Events) -> FeatureStore:
    return AsOfStore(replace(events, kind=np.where(events.kind == FORGET, "nothing", events.kind)))


def takes_late_events_as_fresh(events: Events) -> FeatureStore:
    return AsOfStore(replace(events, event_time=np.maximum.accumulate(events.event_time)))


def loses_the_last_event_of_a_second(events: Events) -> FeatureStore:
    kept = np.append(np.diff(events.event_time) != 0, True)
    return AsOfStore(take(events, np.flatnonzero(kept)))


def drops_late_events(events: Events) -> FeatureStore:
    kept = events.event_time >= np.maximum.accumulate(events.event_time)
    return AsOfStore(take(events, np.flatnonzero(kept)))


BROKEN = [
    SeesItsOwnMoment,
    never_forgets,
    takes_late_events_as_fresh,
    loses_the_last_event_of_a_second,
    drops_late_events,
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_wrong_store_is_caught(broken: Callable[[Events], FeatureStore], replays: list[tuple[Events, Reads]]) -> None:
    events, reads = replays[0]
    assert num_differences(reads, broken(events)) > 0


def test_catch_up_applies_every_event_once_however_many_race(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    store = LiveStore(tmp_path / "live.sqlite", [USER])
    events = distinct(stream(7, 400))

    def post(i: int) -> None:
        positions = log.append([events[i]]).positions
        assert catch_up(store, log) > positions[0]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(post, range(len(events))))
    offline = AsOfStore(concat(list(log.scan())))
    moments = np.full(len(USERS), log.end)
    assert store.position == log.end == len(events)
    assert np.array_equal(bits(store.read(USER, USERS, moments)), bits(offline.read(USER, USERS, moments)))
