"""Windows of event time over a log in which some events come late, exact."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Events, Ints
from common.features.folds import sort_by

Ints32 = NDArray[np.int32]  # a log is below 2^31 events: see the packing in asof


class Buckets:
    """The log in buckets of `size` seconds.

    The watermark never falls, so the index at which it reaches a window's first bucket is found by search, and everything that belongs to
    the window stands there or later. What stands there and does not belong came late: see `Stragglers`.
    """

    def __init__(self, events: Events, size: int) -> None:
        self.size = size
        self._events = events

    @cached_property
    def own(self) -> Ints:
        """[events] the bucket of each event's own time."""
        return self._events.event_time // self.size

    @cached_property
    def watermark(self) -> Ints:
        """[events + 1] the bucket of the watermark before each event, and after the last."""
        highest = np.zeros(len(self.own) + 1, dtype=np.int64)
        np.maximum.accumulate(self.own, out=highest[1:])
        return np.maximum(highest, 0, out=highest)

    @cached_property
    def is_late(self) -> Bools:
        """[events] whether the watermark had passed the event's bucket before it came."""
        return self.own < self.watermark[1:]

    @cached_property
    def has_late(self) -> bool:
        return bool(self.is_late.any())

    @cached_property
    def _steps(self) -> tuple[Ints, Ints]:
        """The indices of the events that moved the watermark, and the buckets they moved it to."""
        steps = np.flatnonzero(self.watermark[1:] != self.watermark[:-1])
        return np.append(steps, len(self.own)), self.watermark[1:][steps]

    def reached(self, bucket: Ints) -> Ints:
        """The index of the event at which the watermark reached each bucket; 0 for a bucket it started in."""
        index, reached = self._steps
        return np.where(bucket <= 0, 0, index[np.searchsorted(reached, bucket)])


class Asked(Protocol):
    """Of the rows of a read, sorted by (key, moment)."""

    number: Ints
    seen: Ints
    floor: Ints
    hi: Ints

    @property
    def now(self) -> Ints: ...


class Stragglers:
    """The late events of one kind of entity, listed by the windows of `buckets` buckets they would be counted in and do not belong to.

    An event of bucket b that came when the watermark stood in h is wrong for the windows that begin at b+1 ... h, and for not more than
    `buckets` of them, since no window that sees it begins before h - buckets + 1.
    """

    def __init__(self, of: Buckets, buckets: int, at: Ints, number: Ints, bits: int) -> None:
        """at, number [places]: index in the log and number of the key of an entity's events; an index takes `bits` bits."""
        self.buckets = buckets
        self.bits = bits
        is_late = of.is_late[at]
        late = np.flatnonzero(is_late)
        self.num_late = num_before(is_late)  # before each place
        highest = of.watermark[at[late] + 1]
        times = np.minimum(highest - of.own[at[late]], buckets)
        self.origin = int(np.min(highest - times, initial=highest[0] if len(late) else 0))
        self.span = int(np.max(highest, initial=self.origin)) - self.origin + 1
        assert self.span.bit_length() + int(number.max(initial=0)).bit_length() < 63, (
            "buckets too fine for so many keys"
        )
        straggler = np.repeat(late, times)
        first = np.repeat(highest - times + 1, times) + _count_up(times)
        cell = number[straggler] * self.span + first - self.origin
        order = sort_by(cell, at[straggler])
        self.place = straggler[order]
        self.cells, dense = np.unique(cell[order], return_inverse=True)
        self.order = (dense << bits) | at[self.place]

    def take_out(self, total: Ints | Ints32, asked: Asked, begin: Ints, sums: Ints | Ints32) -> None:
        """From total [n], sums over begin:hi, what the stragglers below each row's moment and not below its floor add up to."""
        rows = np.flatnonzero(self.num_late[asked.hi] > self.num_late[begin])
        if len(rows) == 0:
            return
        first = asked.now[rows] - self.buckets + 1 - self.origin
        cell = asked.number[rows] * self.span + first
        number = np.minimum(np.searchsorted(self.cells, cell), len(self.cells) - 1)
        weights = prefix(sums[self.place + 1] - sums[self.place])
        lo, hi = (
            np.searchsorted(self.order, (number << self.bits) | index[rows]) for index in (asked.floor, asked.seen)
        )
        is_listed = (self.cells[number] == cell) & (first > 0) & (first < self.span)
        total[rows] -= np.where(is_listed, weights[hi] - weights[lo], 0)


def equal_strings(column: NDArray[np.str_], wanted: str) -> Bools:
    """column == wanted, in half the time: eight bytes at once, block by block, so that only the first look goes to memory."""
    if len(wanted) * 4 > column.dtype.itemsize or len(column) == 0 or not column.flags.c_contiguous:
        return np.asarray(column == wanted)
    of: Any = np.uint64 if column.dtype.itemsize % 8 == 0 else np.uint32
    parts, words = np.array([wanted], dtype=column.dtype).view(of), column.view(of).reshape(len(column), -1)
    found = np.empty(len(column), dtype=np.bool_)
    for first in range(0, len(column), 4_096):
        block, equal = words[first : first + 4_096], found[first : first + 4_096]
        np.equal(block[:, 0], parts[0], out=equal)
        for i in range(1, len(parts)):
            equal &= block[:, i] == parts[i]
    return found


def num_before(chosen: Bools) -> Ints32:
    """[n + 1] how many of them stand before each place. In half the width: fresh memory is the dearest part of an index."""
    count = np.zeros(len(chosen) + 1, dtype=np.int32)
    np.cumsum(chosen, dtype=np.int32, out=count[1:])
    return count


def prefix(amounts: Ints | Bools) -> Ints:
    sums = np.zeros(len(amounts) + 1, dtype=np.int64)
    np.cumsum(amounts, out=sums[1:])
    return sums


def _count_up(times: Ints) -> Ints:
    """[2, 0, 3] -> [0, 1, 0, 1, 2]."""
    return np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
