"""AsOfStore: what a view would have said at any moment of the past. Trains.

Everything is a sorted search. The events that name an entity, sorted by (key, position), make what a key saw before a moment one range
lo:hi of that order, found once for a whole read; a count is then a difference of two prefix sums, the last value stands where the last
event of its kind below hi stands, a decayed sum is the fold's value there. Windows over late events: see `_Window`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from common.contract import Bools, Events, Floats, Ints
from common.events import key_column, value_column
from common.features.folds import decay, fold, last_or_nan, rate, sort_by
from common.features.forget import Forgets, event_keys
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View, unpair


class AsOfStore:
    """Reads any view at any moment, from the events alone. Indexes an entity, a kind, a window the first time it is read."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._watermark = np.zeros(len(events) + 1, dtype=np.int64)
        np.maximum.accumulate(events.event_time, out=self._watermark[1:])
        self._entities: dict[tuple[str, ...], _Entity] = {}

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n], moments [n] -> [n, view.width]: only events with position < moment, none a FORGET has erased."""
        if view.entity not in self._entities:
            self._entities[view.entity] = _Entity(view, self.events)
        entity = self._entities[view.entity]
        seen = _num_before(self.events.position, moments)
        asked = entity.asked(keys, seen, self._watermark[seen] // view.bucket)
        out = np.empty((view.width, len(keys)))
        at = 0
        for feature in view.features:
            for column in np.atleast_2d(entity.column(feature, asked, view.bucket)):
                out[at, asked.order] = column
                at += 1
        return np.ascontiguousarray(out.T)


class _Asked(NamedTuple):
    """The rows of one read, sorted by (key, moment): sorted needles are found ten times faster."""

    order: Ints  # where each row stands in the read
    number: Ints  # of the key, see _Numbers
    seen: Ints  # events with index < seen are below the moment
    floor: Ints  # index of the last forget below the moment that erased the key, 0 if none did
    now: Ints  # bucket of the moment
    lo: Ints  # the key's events below the moment, not below the floor: entity.at[lo:hi]
    hi: Ints


class _Chosen(NamedTuple):
    """The events of one kind among an entity's, in its order; `before` [i]: how many of them stand before place i."""

    of_kind: Bools
    before: Ints

    @property
    def places(self) -> Ints:
        return np.flatnonzero(self.of_kind)


class _Numbers:
    """Numbers the keys of a view so that number and index fit into one integer, which numpy sorts 15 times faster than it argsorts."""

    BITS = 32  # leaves 31 for an index into the log, or for a bucket

    def __init__(self, view: View, keys: Ints) -> None:
        self.is_pair = len(view.entity) == 2
        self.stride = int(unpair(keys)[1].max(initial=0)) + 1
        self.known: Ints | None = None
        self.end = int(self._plain(keys).max(initial=-1)) + 1
        if self.end.bit_length() > self.BITS:
            self.known = np.unique(self._plain(keys))
            self.end = len(self.known)

    def of(self, keys: Ints) -> Ints:
        """[n] -> below `end`, in the order of the keys; -1 for the absent key, -1 or `end` for unknown ones."""
        plain = self._plain(keys)
        if self.known is None:
            return np.minimum(plain, self.end)
        at = np.minimum(np.searchsorted(self.known, plain), self.end - 1)
        return np.where(plain < 0, -1, np.where(self.known[at] == plain, at, self.end))

    def _plain(self, keys: Ints) -> Ints:
        if not self.is_pair:
            return keys
        first, second = unpair(keys)
        return np.where((keys < 0) | (second >= self.stride), -1, first * self.stride + second)


class _Entity:
    """The events that name one kind of entity, sorted by (key, position)."""

    def __init__(self, view: View, events: Events) -> None:
        self.events = events
        self.forgets = Forgets(view, events)
        keys = event_keys(view, events)
        self.numbers = _Numbers(view, keys)
        self.bits = len(events).bit_length()
        self.place = (self.numbers.of(keys) << self.bits) | np.arange(
            len(keys)
        )  # negative where the event names no entity
        self.place.sort()
        self.place = self.place[np.searchsorted(self.place, 0) :]
        self.at = self.place & ((1 << self.bits) - 1)  # index in the log
        self.floor = self.forgets.before(keys[self.at], self.at) if len(self.forgets) else None  # of each event
        self._chosen: dict[str, _Chosen] = {}
        self._sums: dict[tuple[str, str | None], Ints] = {}
        self._folds: dict[tuple[Decayed, int], tuple[Floats, Ints]] = {}
        self._windows: dict[tuple[int, int], _Window] = {}

    @property
    def number(self) -> Ints:
        """Of each event's key."""
        return self.place >> self.bits

    def asked(self, keys: Ints, seen: Ints, now: Ints) -> _Asked:
        number = self.numbers.of(keys)
        order = sort_by(number, seen)
        number, seen = number[order], seen[order]
        floor = np.zeros(len(seen), dtype=np.int64)
        if len(self.forgets):
            floor = np.maximum(self.forgets.before(keys[order], seen), 0)
        lo, hi = (np.searchsorted(self.place, (number << self.bits) | index) for index in (floor, seen))
        return _Asked(order, number, seen, floor, now[order], lo, hi)

    def column(self, feature: Feature, asked: _Asked, bucket: int) -> Floats | Ints:
        """[n], or [k, n] for Recent."""
        match feature:
            case Count(kind, value, buckets):
                return self._count(asked, kind, value, buckets, bucket)
            case Rate(hit, base, _, _, buckets):
                return rate(feature, *(self._count(asked, kind, None, buckets, bucket) for kind in (hit, base)))
            case Last():
                return self._last(asked, feature, bucket)
            case Decayed():
                return self._decayed(asked, feature, bucket)
            case Recent():
                return self._recent(asked, feature)

    def sums(self, kind: str, value: str | None) -> Ints:
        """[events + 1] prefix sums over the entity's order; events of another kind weigh nothing."""
        if value is None:
            return self.chosen(kind).before
        if (kind, value) not in self._sums:
            of_kind = self.chosen(kind).of_kind
            self._sums[kind, value] = _prefix(of_kind * value_column(self.events, value)[self.at])
        return self._sums[kind, value]

    def chosen(self, kind: str) -> _Chosen:
        if kind not in self._chosen:
            of_kind = (self.events.kind == kind)[self.at]
            self._chosen[kind] = _Chosen(of_kind, _prefix(of_kind))
        return self._chosen[kind]

    def _count(self, asked: _Asked, kind: str, value: str | None, buckets: int | None, bucket: int) -> Ints:
        sums = self.sums(kind, value)
        if buckets is None:
            return sums[asked.hi] - sums[asked.lo]
        if (bucket, buckets) not in self._windows:
            self._windows[bucket, buckets] = _Window(self, bucket, buckets)
        return self._windows[bucket, buckets].count(asked, sums)

    def _newest(self, asked: _Asked, kind: str) -> tuple[Bools, Ints, Ints]:
        """Whether the key has an event of the kind; the newest one's number among those of the kind, and its index in the log."""
        chosen = self.chosen(kind)
        number = chosen.before[asked.hi] - 1
        there = number >= chosen.before[asked.lo]
        return there, number, self.at[chosen.places][np.where(there, number, 0)] if chosen.before[-1] else number

    def _last(self, asked: _Asked, feature: Last, bucket: int) -> Floats:
        there, _, at = self._newest(asked, feature.kind)
        if not there.any():
            return np.full(len(at), np.nan)
        value = value_column(self.events, feature.value)[at]
        return last_or_nan(feature, there, value, self.events.event_time[at] // bucket, asked.now)

    def _decayed(self, asked: _Asked, feature: Decayed, bucket: int) -> Floats:
        there, number, _ = self._newest(asked, feature.kind)
        if not there.any():
            return np.zeros(len(there))
        if (feature, bucket) not in self._folds:
            self._folds[feature, bucket] = self._fold(feature, bucket)
        values, lasts = (column[np.where(there, number, 0)] for column in self._folds[feature, bucket])
        return np.where(there, values * decay(feature.half_life, np.where(there, asked.now - lasts, 0)), 0.0)

    def _fold(self, feature: Decayed, bucket: int) -> tuple[Floats, Ints]:
        """The decayed sum after each event of the kind. A key's life begins with its first event, and again after every forget."""
        places = self.chosen(feature.kind).places
        begins = np.diff(self.number[places], prepend=-1) != 0
        if self.floor is not None:
            begins |= np.diff(self.floor[places], prepend=-1) != 0
        starts = np.append(np.flatnonzero(begins), len(places))
        nothing = np.zeros(len(starts) - 1)
        at = self.at[places]
        amounts, buckets = value_column(self.events, feature.value)[at], self.events.event_time[at] // bucket
        return fold(feature.half_life, nothing, nothing.astype(np.int64), starts, amounts, buckets)

    def _recent(self, asked: _Asked, feature: Recent) -> Ints:
        chosen = self.chosen(feature.kind)
        number = chosen.before[asked.hi] - 1 - np.arange(feature.n)[:, None]
        if chosen.before[-1] == 0:
            return np.full(number.shape, -1)
        ids = key_column(self.events, feature.key)[self.at[chosen.places]]
        return np.where(number >= chosen.before[asked.lo], ids[np.maximum(number, 0)], -1)


class _Window:
    """Counts over the last `buckets` buckets, exact with late events.

    Along a key's events the highest bucket so far never falls, so the place `begin` where it reaches the window's first bucket is found by
    search, and everything that belongs to the window lies in begin:hi. What lies there and does not belong are stragglers: events that
    came when the highest bucket was inside the window and whose own bucket is before it. A straggler of bucket b that came at highest
    bucket h is wrong for the windows that begin at b+1 ... h (and not more than `buckets` of them), so it is listed under each of these.
    """

    def __init__(self, entity: _Entity, bucket: int, buckets: int) -> None:
        self.entity = entity
        self.buckets = buckets
        own = entity.events.event_time[entity.at] // bucket
        self.origin = int(own.min(initial=0 if len(own) == 0 else own[0])) - 1
        own -= self.origin
        self.span = int(own.max(initial=0)) + 2
        assert self.span.bit_length() + entity.numbers.end.bit_length() < 63, "buckets too fine for this many keys"
        base = entity.number * self.span
        self.highest = np.maximum.accumulate(base + own)  # per key: the base grows by more than any bucket
        highest = self.highest - base
        is_late = own < highest
        late = np.flatnonzero(is_late)
        self.num_late = _prefix(is_late) if len(late) else None
        times = np.minimum(highest[late] - own[late], buckets)
        straggler = np.repeat(late, times)
        cell = np.repeat(self.highest[late] - times + 1, times) + _count_up(times)
        order = sort_by(cell, entity.at[straggler])
        self.stragglers = straggler[order]
        self.cells, number = np.unique(cell[order], return_inverse=True)
        self.places = (number << entity.bits) | entity.at[self.stragglers]

    def count(self, asked: _Asked, sums: Ints) -> Ints:
        first = np.clip(asked.now - self.buckets + 1 - self.origin, 0, self.span - 1)
        cell = asked.number * self.span + first
        begin = np.minimum(np.maximum(asked.lo, np.searchsorted(self.highest, cell)), asked.hi)
        total = sums[asked.hi] - sums[begin]
        if self.num_late is not None:
            rows = np.flatnonzero(self.num_late[asked.hi] > self.num_late[begin])
            total[rows] -= self._straggling(asked, rows, cell[rows], sums)
        return total

    def _straggling(self, asked: _Asked, rows: Ints, cell: Ints, sums: Ints) -> Ints:
        """What the stragglers listed under each row's cell, below its moment and not below its floor, add up to."""
        number = np.minimum(np.searchsorted(self.cells, cell), len(self.cells) - 1)
        weights = _prefix(sums[self.stragglers + 1] - sums[self.stragglers])
        lo, hi = (
            np.searchsorted(self.places, (number << self.entity.bits) | index[rows])
            for index in (asked.floor, asked.seen)
        )
        found: Ints = weights[hi] - weights[lo]
        found[self.cells[number] != cell] = 0
        return found


def _num_before(position: Ints, moments: Ints) -> Ints:
    """How many events stand below each moment; a log without holes needs no search."""
    if len(position) and position[-1] - position[0] == len(position) - 1:
        seen: Ints = np.clip(moments - position[0], 0, len(position))
        return seen
    return np.searchsorted(position, moments)


def _prefix(amounts: Ints | Bools) -> Ints:
    sums = np.zeros(len(amounts) + 1, dtype=np.int64)
    np.cumsum(amounts, out=sums[1:])
    return sums


def _count_up(times: Ints) -> Ints:
    """[2, 0, 3] -> [0, 1, 0, 1, 2]."""
    return np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
