"""The live store's door, the leave-one-out store against its definition, views, and the fold both stores share."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.contract import Event
from common.errors import InputError, NotReady
from common.events import concat, of, take
from common.features import asof, folds, snapshot, tables
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore
from common.features.live import LiveStore
from common.features.plain import Plain
from common.features.record import Layout
from common.features.views import Count, Decayed, Last, Rate, Recent, View, pair, unpair
from common.features.windows import equal_strings
from tests.common.features.streams import NUM_ITEMS, NUM_USERS, PAIR, USER, bits, distinct, stream

USERS = np.arange(-1, NUM_USERS + 2)
PAIRS = pair(np.repeat(np.arange(NUM_USERS), NUM_ITEMS), np.tile(np.arange(NUM_ITEMS), NUM_USERS))
COLD = [0, 0, 0, 0, 0, 0.1, 0.1, np.nan, np.nan, np.nan, 0, 0, -1, -1, -1, -1, -1]


def test_a_key_nobody_knows_reads_cold_in_both_stores(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live.sqlite", [USER])
    for offline in (AsOfStore(of([])), AsOfStore(of(distinct(stream(0, 50))))):
        np.testing.assert_array_equal(
            offline.read(USER, np.array([-1, 999, 2**40]), np.array([50, 50, 50])), [COLD] * 3
        )
    np.testing.assert_array_equal(store.read(USER, np.array([-1, 0, 2**40]), np.zeros(3, dtype=np.int64)), [COLD] * 3)
    assert store.read(USER, np.array([], dtype=np.int64), np.array([], dtype=np.int64)).shape == (0, USER.width)


def test_ids_of_any_size_are_read_alike() -> None:
    events = of(distinct(stream(3, 300)))
    big = replace(
        events,
        keys={**events.keys, "user_id": np.where(events.keys["user_id"] < 0, -1, events.keys["user_id"] * 2**55 + 7)},
    )
    keys, moments = np.tile(USERS[1:], 5), np.repeat([0, 50, 100, 200, 300], len(USERS) - 1)
    small_read, big_read = (
        AsOfStore(events).read(USER, keys, moments),
        AsOfStore(big).read(USER, keys * 2**55 + 7, moments),
    )
    columns = [i for i, name in enumerate(USER.columns) if "user_id" not in name]
    assert np.array_equal(bits(small_read[:, columns]), bits(big_read[:, columns]))


def test_a_view_not_held_is_not_ready_until_it_is_backfilled(tmp_path: Path) -> None:
    events = of(distinct(stream(1, 300)))
    other = View("other", ("item_id",), (Count("click"),))
    LiveStore(tmp_path / "live.sqlite", [USER]).apply(events)
    store = LiveStore(tmp_path / "live.sqlite", [USER, other])
    assert store.holds(USER)
    assert not store.holds(other)
    with pytest.raises(NotReady, match="does not hold the view 'other'"):
        store.read(other, USERS, USERS)
    with pytest.raises(InputError, match=f"from 0 to {len(events)}"):
        store.backfill([take(events, slice(0, 100))])
    assert not store.holds(other)
    store.backfill([take(events, slice(0, 100)), take(events, slice(100, None))])
    moments = np.full(len(USERS), len(events))
    for view in (USER, other):
        assert np.array_equal(
            bits(store.read(view, USERS, moments)), bits(AsOfStore(events).read(view, USERS, moments))
        )


@pytest.mark.parametrize("view", [USER, PAIR], ids=["one id", "pairs"])
def test_few_keys_and_many_repeated_in_any_order_are_read_alike(tmp_path: Path, view: View) -> None:
    """Few records are read in plain numbers, many in arrays; of pairs a stretch, with others in between, or one by one."""
    rng, every = np.random.default_rng(0), np.append(USERS if view is USER else PAIRS, [-1, 2**40])
    for seed in range(5):
        events = of(distinct(stream(seed, 300)))
        store, offline = LiveStore(tmp_path / f"{seed}.sqlite", [USER, PAIR]), AsOfStore(events)
        for first in range(0, 300, 100):  # a record that an old stretch wrote last is read at a later time
            store.apply(take(events, slice(first, first + 100)))
        for num in (1, 2, 7, 8, 9, 17, 60, 200):
            keys = rng.choice(every, num)
            expected = offline.read(view, keys, np.full(num, len(events)))
            assert np.array_equal(bits(store.read(view, keys, keys)), bits(expected))


def test_a_changed_definition_is_another_view() -> None:
    assert replace(USER, bucket=11).fingerprint != USER.fingerprint == replace(USER).fingerprint


def test_a_gap_is_refused_and_a_repetition_skipped(tmp_path: Path) -> None:
    events = of(distinct(stream(2, 100)))
    store = LiveStore(tmp_path / "live.sqlite", [USER])
    with pytest.raises(InputError, match="seen the log up to 0"):
        store.apply(take(events, slice(5, 10)))
    for piece in (slice(0, 60), slice(0, 60), slice(40, 100)):
        store.apply(take(events, piece))
    moments = np.full(len(USERS), len(events))
    assert np.array_equal(bits(store.read(USER, USERS, moments)), bits(AsOfStore(events).read(USER, USERS, moments)))


def test_a_snapshot_does_not_move_and_cannot_be_read_after_its_end(tmp_path: Path) -> None:
    events = of(distinct(stream(4, 200)))
    store = LiveStore(tmp_path / "live.sqlite", [USER])
    store.apply(take(events, slice(0, 100)))
    with store.snapshot() as now:
        before = now.read(USER, USERS, USERS)
        store.apply(take(events, slice(100, None)))
        assert now.position == 100
        assert np.array_equal(bits(now.read(USER, USERS, USERS)), bits(before))
    assert store.position == len(events)
    with pytest.raises(InputError, match="has ended"):
        now.read(USER, USERS, USERS)


class Hanging:
    """Stands in for `stored`: a read that does not come back until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.let_go, self.stored = threading.Event(), threading.Event(), tables.stored
        monkeypatch.setattr(snapshot, "stored", self)

    def __call__(self, connection: sqlite3.Connection, *rest: Any) -> Any:
        self.connection = connection
        self.entered.set()
        assert self.let_go.wait(60)
        return self.stored(connection, *rest)


def test_a_snapshot_ends_at_once_though_a_read_hangs_and_its_connection_serves_nobody_until_that_read_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = of(distinct(stream(4, 200)))
    store = LiveStore(tmp_path / "live.sqlite", [PAIR])
    store.apply(take(events, slice(0, 100)))
    before = store.read(PAIR, PAIRS, PAIRS)
    hanging = Hanging(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        with store.snapshot() as now:
            cut_off = pool.submit(now.read, PAIR, PAIRS, PAIRS)
            assert hanging.entered.wait(60)
        assert not cut_off.done()  # the `with` is over and did not wait
        with pytest.raises(InputError, match="has ended"):
            now.read(PAIR, PAIRS, PAIRS)
        store.apply(take(events, slice(100, None)))
        with store.snapshot() as other:
            assert other._connection is not hanging.connection
            assert other.position == len(events)
        assert hanging.connection.in_transaction
        hanging.let_go.set()
        assert np.array_equal(bits(cut_off.result()), bits(before))  # a whole state, the one it began with
    assert not hanging.connection.in_transaction
    assert hanging.connection in store._readers._free


def test_closing_the_store_leaves_a_hanging_read_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LiveStore(tmp_path / "live.sqlite", [USER])
    hanging = Hanging(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        with store.snapshot() as now:
            cut_off = pool.submit(now.read, USER, USERS, USERS)
            assert hanging.entered.wait(60)
        store.close()
        hanging.let_go.set()
        assert cut_off.result().shape == (len(USERS), USER.width)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        hanging.connection.execute("SELECT 1")
    with pytest.raises(InputError, match="is closed"):
        store.read(USER, USERS, USERS)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look like a file" * 20, b"SQLite format 3\0" + b"\0" * 2_000]
)
def test_a_foreign_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "live.sqlite").write_bytes(content)
    with pytest.raises(InputError, match="is not a live store"):
        LiveStore(tmp_path / "live.sqlite", [USER])


def test_the_fold_is_the_same_in_rounds_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 40, 300)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    amounts, buckets = rng.integers(-9, 99, starts[-1]), rng.integers(0, 200, starts[-1])
    args = (3.7, rng.random(300), rng.integers(0, 50, 300), starts, amounts, buckets)
    monkeypatch.setattr(folds, "FEW", 0)
    in_rounds = folds.fold(*args)
    monkeypatch.setattr(folds, "FEW", 10_000)
    one_by_one = folds.fold(*args)
    assert np.array_equal(bits(in_rounds[0]), bits(one_by_one[0]))
    assert np.array_equal(in_rounds[1], one_by_one[1])


@pytest.mark.slow
def test_a_few_events_are_folded_in_as_many_are() -> None:
    """One record, byte for byte, and what it says, also where a total leaves 64 bits; the control folds in an event less."""
    rng, caught = np.random.default_rng(0), 0
    for view in (USER, PAIR):
        layout, now, state = Layout(view), 0, None
        plain = Plain(layout)
        for size in [*rng.integers(1, 9, 200).tolist(), 3]:
            few = [replace(one, values={"seconds": 2**62 + 5}) for one in rng.choice(np.array(stream(1, 300)), size)]
            few = [one for one in few if one.kind in view.kinds]
            now = max([now, *(one.event_time // view.bucket for one in few)])
            many = layout.cold.copy() if state is None else np.frombuffer(state, layout.dtype).copy()
            layout.absorb(many, np.zeros(len(few), dtype=np.int64), of(few), now)
            packed, says = plain.absorb(state, few, now)
            assert packed == many.tobytes()
            assert np.array_equal(bits(np.array([says], dtype=np.float64)), bits(layout.columns(many, now)))
            caught += plain.absorb(state, few[1:], now) != (packed, says)
            state = packed
    assert caught > 300


@pytest.mark.parametrize("seed", range(3))
def test_leave_one_out_counts_everything_but_the_row_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = [
        Event(
            event_id=str(i), kind=str(rng.choice(["base", "hit"])), event_time=i, moment=i // 2, keys={"user_id": int(rng.integers(0, 5))},
            values={"x": int(rng.integers(0, 9))},
        )
        for i in range(120)
    ]  # fmt: skip
    features = (
        Count("hit"),
        Count("hit", "x", 3),
        Rate("hit", "base", 0.2, 4.0),
        Decayed("base", 2.0, "x"),
        Last("hit", "x"),
        Recent("hit", "user_id", 2),
    )
    view = View("user", ("user_id",), features)
    keys, moments = rng.integers(-1, 6, 200), rng.integers(-1, 62, 200)
    said = LeaveOneOutStore(of(events)).read(view, keys, moments)
    for row, key, moment in zip(said, keys, moments, strict=True):
        others = [e for e in events if e.keys["user_id"] == key and (moment < 0 or e.moment != moment)]
        hits, bases = ([e.values["x"] for e in others if e.kind == kind] for kind in ("hit", "base"))
        expected = [len(hits), sum(hits), (len(hits) + 0.8) / (len(bases) + 4.0), sum(bases), np.nan, -1, -1]
        np.testing.assert_allclose(row, expected)


def test_leave_one_out_reads_ordered_entities_as_of_the_moment() -> None:
    events = of(distinct(stream(5, 200)))
    store = LeaveOneOutStore(events, ordered=("user_id",))
    moments = np.full(len(USERS), 90)
    assert np.array_equal(bits(store.read(USER, USERS, moments)), bits(AsOfStore(events).read(USER, USERS, moments)))
    at_end = AsOfStore(events).read(USER, USERS, np.full(len(USERS), len(events)))
    assert np.array_equal(bits(store.read(USER, USERS, moments * 0 - 1)), bits(at_end))


def test_views_name_every_column_and_refuse_nonsense() -> None:
    assert len(set(USER.columns)) == USER.width == len(USER.columns)
    assert USER.columns[3] == "user.click_4"
    for features in (
        (),
        (Count("a"), Count("a")),
        (Decayed("a", 0.0),),
        (Rate("a", "b", 0.1, 0.0),),
        (Count("a", buckets=0),),
    ):
        with pytest.raises(InputError, match="View 'v'"):
            View("v", ("user_id",), features)


def test_pairs_join_and_part() -> None:
    first, second = np.array([0, 5, 2**31 - 1, -1, 3]), np.array([7, 0, 2**31 - 1, 4, -1])
    joined = pair(first, second)
    assert (joined[3:] == -1).all()
    for part, original in zip(unpair(joined[:3]), (first, second), strict=True):
        assert np.array_equal(part, original[:3])
    with pytest.raises(InputError, match=r"below 2\^31"):
        pair(np.array([2**31]), np.array([0]))


def test_events_are_cut_and_joined_without_loss() -> None:
    events = of(distinct(stream(6, 90)))
    joined = concat([take(events, slice(0, 30)), take(events, slice(30, None))])
    assert np.array_equal(joined.kind, events.kind)
    assert all(np.array_equal(joined.keys[name], events.keys[name]) for name in events.keys)


@pytest.mark.parametrize("width", [1, 5, 8, 10])
def test_strings_are_compared_as_numpy_compares_them(width: int) -> None:
    rng = np.random.default_rng(width)
    column = np.array(["".join(rng.choice(["a", "b"], rng.integers(0, width + 1))) for _ in range(9_000)])
    for wanted in (*np.unique(column[:20]).tolist(), "", "c" * (width + 1)):
        assert np.array_equal(equal_strings(column, wanted), column == wanted)
        assert np.array_equal(equal_strings(column[::2], wanted), column[::2] == wanted)
    assert equal_strings(np.array([], dtype=np.str_), "a").shape == (0,)


def test_a_read_in_many_blocks_is_the_read_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    events = of(distinct(stream(6, 500)))
    rng = np.random.default_rng(6)
    keys, moments = rng.choice(USERS, 300), rng.integers(0, len(events) + 1, 300)
    whole = AsOfStore(events).read(USER, keys, moments)
    monkeypatch.setattr(asof, "BLOCK", 7)
    assert np.array_equal(bits(AsOfStore(events).read(USER, keys, moments)), bits(whole))
