"""AsOfStore: what a view would have said at any moment of the past. Trains.

Everything is a sorted search. The events of one kind, sorted by (key, position), make what a key saw before a moment one range lo:hi of
that order; a count is a difference of two prefix sums, the last value stands at hi - 1, a decayed sum is the fold's value there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from common.contract import Events, Floats, Ints
from common.events import key_column, value_column
from common.features.folds import decay, fold, last_or_nan, rate
from common.features.forget import Forgets, event_keys
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View


class AsOfStore:
    """Reads any view at any moment, from the events alone. Indexes a view the first time it is read."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._watermark = np.concatenate([[0], np.maximum.accumulate(np.maximum(events.event_time, 0))])
        self._entities: dict[tuple[str, ...], _Entity] = {}

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n], moments [n] -> [n, view.width]: only events with position < moment, none a FORGET has erased."""
        if view.entity not in self._entities:
            self._entities[view.entity] = _Entity(view, self.events)
        entity = self._entities[view.entity]
        seen = np.searchsorted(self.events.position, moments)  # how many events a row may see
        order, asked = entity.asked(keys, seen, self._watermark[seen] // view.bucket)
        found = np.concatenate([_column(feature, entity, asked, view.bucket) for feature in view.features], axis=1)
        out = np.empty_like(found)
        out[order] = found
        return out


class _Asked(NamedTuple):
    """The rows to answer, sorted by (key, moment) because sorted needles are found several times faster."""

    dense: Ints  # the key's number among the keys of the events; one past them if unknown
    seen: Ints
    floor: Ints | None  # index of the last forget before the moment; None if the log holds none
    now: Ints  # bucket of the moment


def _column(feature: Feature, entity: _Entity, asked: _Asked, bucket: int) -> Floats:
    match feature:
        case Count(kind, value, buckets):
            return entity.kind(kind).count(asked, value, buckets, bucket).astype(np.float64)[:, None]
        case Rate(hit, base, _, _, buckets):
            hits, bases = (entity.kind(kind).count(asked, None, buckets, bucket) for kind in (hit, base))
            return rate(feature, hits, bases)[:, None]
        case Last(kind):
            return entity.kind(kind).last(asked, feature, bucket)[:, None]
        case Decayed(kind):
            return entity.kind(kind).decayed(asked, feature, bucket)[:, None]
        case Recent(kind, key, n):
            return entity.kind(kind).recent(asked, key, n)


class _Entity:
    """The events that name one kind of entity, their keys numbered densely."""

    def __init__(self, view: View, events: Events) -> None:
        self.events = events
        self.forgets = Forgets(view, events)
        keys = event_keys(view, events)
        named = np.flatnonzero(keys >= 0)
        self.known, dense = np.unique(keys[named], return_inverse=True)
        self.dense = np.full(len(events), -1, dtype=np.int64)
        self.dense[named] = dense
        self.floor: Ints | None = None  # of each event
        if len(self.forgets):
            self.floor = self.forgets.before(keys, np.arange(len(events)))
        self._kinds: dict[str, _Kind] = {}

    def asked(self, keys: Ints, seen: Ints, now: Ints) -> tuple[Ints, _Asked]:
        dense = np.searchsorted(self.known, keys)
        if len(self.known):
            dense[self.known[np.minimum(dense, len(self.known) - 1)] != keys] = len(self.known)
        order = np.argsort(dense * (len(self.events) + 1) + seen)
        floor = self.forgets.before(keys, seen)[order] if len(self.forgets) else None
        return order, _Asked(dense[order], seen[order], floor, now[order])

    def kind(self, kind: str) -> _Kind:
        if kind not in self._kinds:
            at = np.flatnonzero((self.events.kind == kind) & (self.dense >= 0))
            at = at[np.argsort(self.dense[at], kind="stable")]
            self._kinds[kind] = _Kind(
                self.events, at, self.dense[at], len(self.known), None if self.floor is None else self.floor[at]
            )
        return self._kinds[kind]


@dataclass(eq=False)
class _Kind:
    """The events of one kind, sorted by (key, position). `at`: their index in the log."""

    events: Events
    at: Ints
    dense: Ints
    num_keys: int
    floor: Ints | None

    def __post_init__(self) -> None:
        self._limit = len(self.events) + 1
        self._order = self.dense * self._limit + self.at
        self._starts = np.searchsorted(self.dense, np.arange(self.num_keys + 2))
        self._sums: dict[str | None, Ints] = {}
        self._folds: dict[tuple[str | None, float, int], tuple[Floats, Ints]] = {}
        self._windows: dict[int, _Window] = {}
        self._range: tuple[_Asked, Ints, Ints] | None = None

    @cached_property
    def event_time(self) -> Ints:
        return self.events.event_time[self.at]

    def range(self, asked: _Asked) -> tuple[Ints, Ints]:
        """lo, hi: the key's events below the moment and not below its last forget. The features of one read share it."""
        kept = self._range
        if kept is None or kept[0] is not asked:
            hi = np.searchsorted(self._order, asked.dense * self._limit + asked.seen)
            if asked.floor is None:
                lo = self._starts[asked.dense]
            else:
                lo = np.searchsorted(self._order, asked.dense * self._limit + np.maximum(asked.floor, 0))
            kept = self._range = (asked, lo, hi)
        return kept[1:]

    def sums(self, value: str | None) -> Ints:
        if value not in self._sums:
            amounts = value_column(self.events, value)[self.at] if value else np.ones(len(self.at), dtype=np.int64)
            self._sums[value] = np.concatenate([[0], np.cumsum(amounts)])
        return self._sums[value]

    def count(self, asked: _Asked, value: str | None, buckets: int | None, bucket: int) -> Ints:
        lo, hi = self.range(asked)
        sums = self.sums(value)
        if buckets is None:
            return sums[hi] - sums[lo]
        if bucket not in self._windows:
            self._windows[bucket] = _Window(self, bucket)
        return self._windows[bucket].count(asked, lo, hi, sums, value, buckets)

    def last(self, asked: _Asked, feature: Last, bucket: int) -> Floats:
        lo, hi = self.range(asked)
        if len(self.at) == 0:
            return np.full(len(hi), np.nan)
        at = self.at[np.maximum(hi - 1, 0)]
        value = value_column(self.events, feature.value)[at]
        return last_or_nan(feature, hi > lo, value, self.events.event_time[at] // bucket, asked.now)

    def decayed(self, asked: _Asked, feature: Decayed, bucket: int) -> Floats:
        lo, hi = self.range(asked)
        key = (feature.value, feature.half_life, bucket)
        if len(self.at) == 0:
            return np.zeros(len(hi))
        if key not in self._folds:
            self._folds[key] = self._fold(feature, bucket)
        values, lasts = self._folds[key]
        at = np.maximum(hi - 1, 0)
        return np.where(hi > lo, values[at] * decay(feature.half_life, np.maximum(asked.now - lasts[at], 0)), 0.0)

    def _fold(self, feature: Decayed, bucket: int) -> tuple[Floats, Ints]:
        begins = np.ones(
            len(self.at), dtype=np.bool_
        )  # a key's life begins with its first event and after every forget
        begins[1:] = self.dense[1:] != self.dense[:-1]
        if self.floor is not None:
            begins[1:] |= self.floor[1:] != self.floor[:-1]
        starts = np.append(np.flatnonzero(begins), len(self.at))
        nothing = np.zeros(len(starts) - 1)
        amounts = value_column(self.events, feature.value)[self.at]
        return fold(feature.half_life, nothing, nothing.astype(np.int64), starts, amounts, self.event_time // bucket)

    def recent(self, asked: _Asked, key: str, n: int) -> Floats:
        lo, hi = self.range(asked)
        ids = key_column(self.events, key)[self.at]
        at = hi[:, None] - 1 - np.arange(n)
        found = ids[np.maximum(at, 0)] if len(ids) else np.full(at.shape, -1)
        return np.where(at >= lo[:, None], found, -1).astype(np.float64)


class _Window:
    """Sums over the last buckets. On-time events (no earlier event of the key has a later bucket) are sorted by bucket as well as by
    position, so the window begins at one searched place. Late ones are few and are looked up bucket by bucket."""

    def __init__(self, kind: _Kind, bucket: int) -> None:
        self.kind = kind
        self.bucket = kind.event_time // bucket
        self.span = int(self.bucket.max()) + 2 if len(self.bucket) else 2
        highest = np.maximum.accumulate(kind.dense * self.span + self.bucket)
        late = kind.dense * self.span + self.bucket < highest
        self.highest = highest  # non-decreasing: the on-time events' own bucket, the running maximum at the late ones
        self.late = np.flatnonzero(late)
        self.cells, cell = np.unique(kind.dense[late] * self.span + self.bucket[late], return_inverse=True)
        order = np.argsort(cell, kind="stable")
        self.late = self.late[order]
        self.order = cell[order] * kind._limit + kind.at[self.late]
        self.has_late = np.zeros(kind.num_keys + 1, dtype=np.bool_)
        self.has_late[kind.dense[late]] = True
        self._sums: dict[str | None, tuple[Ints, Ints]] = {}

    def sums(self, value: str | None) -> tuple[Ints, Ints]:
        """Prefix sums over the on-time events (late ones counted as 0), and over the late ones by (cell, position)."""
        if value not in self._sums:
            amounts = np.diff(self.kind.sums(value))
            late = np.concatenate([[0], np.cumsum(amounts[self.late])])
            amounts[self.late] = 0
            self._sums[value] = (np.concatenate([[0], np.cumsum(amounts)]), late)
        return self._sums[value]

    def count(self, asked: _Asked, lo: Ints, hi: Ints, sums: Ints, value: str | None, buckets: int) -> Ints:
        if len(self.late):
            sums, late_sums = self.sums(value)
        first = np.clip(asked.now - buckets + 1, 0, self.span - 1)
        begin = np.searchsorted(self.highest, asked.dense * self.span + first)
        total = sums[hi] - sums[np.minimum(np.maximum(lo, begin), hi)]
        if len(self.late):
            rows = np.flatnonzero(self.has_late[asked.dense])
            for back in range(buckets):
                total[rows] += self._late(asked, rows, asked.now[rows] - back, late_sums)
        return total

    def _late(self, asked: _Asked, rows: Ints, bucket: Ints, sums: Ints) -> Ints:
        cell = asked.dense[rows] * self.span + np.clip(bucket, 0, self.span - 1)
        dense = np.minimum(np.searchsorted(self.cells, cell), len(self.cells) - 1)
        known = (self.cells[dense] == cell) & (bucket >= 0)
        limit = self.kind._limit
        hi = np.searchsorted(self.order, dense * limit + asked.seen[rows])
        floor = 0 if asked.floor is None else np.maximum(asked.floor[rows], 0)
        lo = np.searchsorted(self.order, dense * limit + floor)
        return np.where(known, sums[hi] - sums[lo], 0)
