"""AsOfStore: what a view would have said at any moment of the past. Trains.

Everything is a sorted search. The events that name an entity, sorted by (key, position), make what a key saw before a moment one range
lo:hi of that order, found once for a whole read; a count is then a difference of two prefix sums, the last value stands where the last
event of its kind below hi stands, a decayed sum is the fold's value there. Windows over late events: see `windows`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from common.contract import Bools, Events, Floats, Ints
from common.events import key_column, value_column
from common.features.folds import decay, fold, last_or_nan, rate, sort_by
from common.features.forget import Forgets, event_keys
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View, unpair
from common.features.windows import Buckets, Ints32, Stragglers, equal_strings, num_before, prefix

BLOCK = 65_536  # rows worked on at once: what is made on the way stays in the cache


class AsOfStore:
    """Reads any view at any moment, from the events alone. Indexes an entity, a kind, a window the first time it is read."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._entities: dict[tuple[str, ...], _Entity] = {}
        self._buckets: dict[int, Buckets] = {}
        self._kinds: dict[str, Bools] = {}

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n], moments [n] -> [n, view.width]: only events with position < moment, none a FORGET has erased."""
        if view.entity not in self._entities:
            self._entities[view.entity] = _Entity(view, self.events, self._of_kind)
        if view.bucket not in self._buckets:
            self._buckets[view.bucket] = Buckets(self.events, view.bucket)
        entity, buckets = self._entities[view.entity], self._buckets[view.bucket]
        number, seen = entity.numbers.of(keys), _num_below(self.events.position, moments)
        order = sort_by(number, seen)
        out = np.empty((len(keys), view.width))
        for first in range(0, len(keys), BLOCK):
            at = order[first : first + BLOCK]
            asked = entity.asked(keys[at], number[at], seen[at], buckets)
            columns = (column for feature in view.features for column in np.atleast_2d(entity.column(feature, asked)))
            for i, column in enumerate(columns):
                out[at, i] = column
        return out

    def _of_kind(self, kind: str) -> Bools:
        """[events]; comparing strings is among the dearest steps, so once for all entities."""
        if kind not in self._kinds:
            self._kinds[kind] = equal_strings(self.events.kind, kind)
        return self._kinds[kind]


@dataclass
class _Asked:
    """A block of the rows of one read, sorted by (key, moment): sorted needles are found ten times faster."""

    number: Ints  # of the key, see _Numbers
    seen: Ints  # events with index < seen are below the moment
    floor: Ints  # index of the last forget below the moment that erased the key, 0 if none did
    lo: Ints  # the key's events below the moment, not below the floor: entity.at[lo:hi]
    hi: Ints
    buckets: Buckets
    begins: dict[int, Ints] = field(default_factory=dict)  # where the window of so many buckets begins in entity.at

    @cached_property
    def now(self) -> Ints:
        """Bucket of the moment."""
        return self.buckets.watermark[self.seen]


@dataclass
class _Chosen:
    """The events of one kind among an entity's, in its order; `before` [i]: how many of them stand before place i."""

    of_kind: Bools
    before: Ints32

    @cached_property
    def places(self) -> Ints:
        return np.flatnonzero(self.of_kind)


class _Numbers:
    """Numbers the keys of a view so that number and index fit into one integer, which numpy sorts 15 times faster than it argsorts."""

    BITS = 32  # leaves 31 for an index into the log, or for a bucket

    def __init__(self, view: View, keys: Ints) -> None:
        self.is_pair = len(view.entity) == 2
        self.stride = int(unpair(keys)[1].max(initial=0)) + 1 if self.is_pair else 1
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

    def __init__(self, view: View, events: Events, of_kind: Callable[[str], Bools]) -> None:
        self.events = events
        self._of_kind = of_kind
        self.forgets = Forgets(view, events)
        keys = event_keys(view, events)
        self.numbers = _Numbers(view, keys)
        self.bits = len(events).bit_length()
        self.place = self.numbers.of(keys)  # negative where the event names no entity
        self.place <<= self.bits
        self.place |= np.arange(len(keys))
        self.place.sort()
        self.place = self.place[np.searchsorted(self.place, 0) :]
        self.at = self.place & ((1 << self.bits) - 1)  # index in the log
        self.floor = self.forgets.before(keys[self.at], self.at) if len(self.forgets) else None  # of each event
        self._chosen: dict[str, _Chosen] = {}
        self._sums: dict[tuple[str, str | None], Ints] = {}
        self._folds: dict[tuple[Decayed, int], tuple[Floats, Ints]] = {}
        self._stragglers: dict[tuple[int, int], Stragglers] = {}

    @property
    def number(self) -> Ints:
        """Of each event's key."""
        return self.place >> self.bits

    def asked(self, keys: Ints, number: Ints, seen: Ints, buckets: Buckets) -> _Asked:
        floor = np.zeros(len(seen), dtype=np.int64)
        if len(self.forgets):
            floor = np.maximum(self.forgets.before(keys, seen), 0)
        return _Asked(number, seen, floor, self.find(number, floor), self.find(number, seen), buckets)

    def find(self, number: Ints, index: Ints) -> Ints:
        """The place of the key's first event not below the index. Rows that ask alike stand side by side and are searched once."""
        wanted = (number << self.bits) | index
        is_new = np.ones(len(wanted), dtype=np.bool_)
        is_new[1:] = wanted[1:] != wanted[:-1]
        if 2 * np.count_nonzero(is_new) > len(wanted):
            return np.searchsorted(self.place, wanted)
        found: Ints = np.searchsorted(self.place, wanted[is_new])[np.cumsum(is_new) - 1]
        return found

    def column(self, feature: Feature, asked: _Asked) -> Floats | Ints:
        """[n], or [k, n] for Recent."""
        match feature:
            case Count(kind, value, buckets):
                return self._count(asked, kind, value, buckets)
            case Rate(hit, base, _, _, buckets):
                return rate(feature, *(self._count(asked, kind, None, buckets) for kind in (hit, base)))
            case Last():
                return self._last(asked, feature)
            case Decayed():
                return self._decayed(asked, feature)
            case Recent():
                return self._recent(asked, feature)

    def sums(self, kind: str, value: str | None) -> Ints | Ints32:
        """[events + 1] prefix sums over the entity's order; events of another kind weigh nothing."""
        if value is None:
            return self.chosen(kind).before
        if (kind, value) not in self._sums:
            of_kind = self.chosen(kind).of_kind
            self._sums[kind, value] = prefix(of_kind * value_column(self.events, value)[self.at])
        return self._sums[kind, value]

    def chosen(self, kind: str) -> _Chosen:
        if kind not in self._chosen:
            of_kind = self._of_kind(kind)[self.at]
            self._chosen[kind] = _Chosen(of_kind, num_before(of_kind))
        return self._chosen[kind]

    def _count(self, asked: _Asked, kind: str, value: str | None, buckets: int | None) -> Ints:
        sums = self.sums(kind, value)
        if buckets is None:
            return sums[asked.hi] - sums[asked.lo]
        begin = self._begin(asked, buckets)
        total = sums[asked.hi] - sums[begin]
        if asked.buckets.has_late:
            self._stragglers_of(asked.buckets, buckets).take_out(total, asked, begin, sums)
        return total

    def _begin(self, asked: _Asked, buckets: int) -> Ints:
        """The first place at which the log had reached the window; never beyond hi, where it has."""
        if buckets not in asked.begins:
            reached = asked.buckets.reached(asked.now - buckets + 1)
            asked.begins[buckets] = np.maximum(asked.lo, self.find(asked.number, reached))
        return asked.begins[buckets]

    def _stragglers_of(self, of: Buckets, buckets: int) -> Stragglers:
        if (of.size, buckets) not in self._stragglers:
            self._stragglers[of.size, buckets] = Stragglers(of, buckets, self.at, self.number, self.bits)
        return self._stragglers[of.size, buckets]

    def _newest(self, asked: _Asked, kind: str) -> tuple[Bools, Ints32, Ints]:
        """Whether the key has an event of the kind; the newest one's number among those of the kind, and its index in the log."""
        chosen = self.chosen(kind)
        number = chosen.before[asked.hi] - 1
        there = number >= chosen.before[asked.lo]
        places = chosen.places
        return there, number, self.at[places[np.where(there, number, 0)]] if len(places) else asked.hi

    def _last(self, asked: _Asked, feature: Last) -> Floats:
        there, _, at = self._newest(asked, feature.kind)
        if not there.any():
            return np.full(len(at), np.nan)
        value = value_column(self.events, feature.value)[at]
        return last_or_nan(feature, there, value, asked.buckets.own[at], asked.now)

    def _decayed(self, asked: _Asked, feature: Decayed) -> Floats:
        there, number, _ = self._newest(asked, feature.kind)
        if not there.any():
            return np.zeros(len(there))
        if (feature, asked.buckets.size) not in self._folds:
            self._folds[feature, asked.buckets.size] = self._fold(feature, asked.buckets)
        values, lasts = (column[np.where(there, number, 0)] for column in self._folds[feature, asked.buckets.size])
        return np.where(there, values * decay(feature.half_life, np.where(there, asked.now - lasts, 0)), 0.0)

    def _fold(self, feature: Decayed, of: Buckets) -> tuple[Floats, Ints]:
        """The decayed sum after each event of the kind. A key's life begins with its first event, and again after every forget."""
        places = self.chosen(feature.kind).places
        begins = np.diff(self.number[places], prepend=-1) != 0
        if self.floor is not None:
            begins |= np.diff(self.floor[places], prepend=-1) != 0
        starts = np.append(np.flatnonzero(begins), len(places))
        nothing = np.zeros(len(starts) - 1)
        at = self.at[places]
        amounts = value_column(self.events, feature.value)[at]
        return fold(feature.half_life, nothing, nothing.astype(np.int64), starts, amounts, of.own[at])

    def _recent(self, asked: _Asked, feature: Recent) -> Ints:
        chosen = self.chosen(feature.kind)
        number = chosen.before[asked.hi] - 1 - np.arange(feature.n)[:, None]
        if chosen.before[-1] == 0:
            return np.full(number.shape, -1)
        ids = key_column(self.events, feature.key)[self.at[chosen.places[np.maximum(number, 0)]]]
        return np.where(number >= chosen.before[asked.lo], ids, -1)


def _num_below(position: Ints, moments: Ints) -> Ints:
    """How many events stand below each moment; a log without holes needs no search."""
    if len(position) and position[-1] - position[0] == len(position) - 1:
        seen: Ints = np.clip(moments - position[0], 0, len(position))
        return seen
    return np.searchsorted(position, moments)
