"""The live store's record in plain numbers: one at a time, for the handful of events that follow an answer.

numpy's calls cost many times the work there. What is computed is what `record.Layout` computes, bit for bit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from common.contract import Event
from common.features.folds import decay_table, fold_one, rate
from common.features.record import Layout, Value
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent

Record = list[Any]
"""The words of a record in order: ints, and floats where a decayed sum is kept."""
Step = Callable[[Record, Event, int], None]
"""(record, event, its bucket): what an event does to one field."""
Column = Callable[[Record, int], Any]
"""(record, now): what one column says, a number."""


class Plain:
    def __init__(self, layout: Layout) -> None:
        assert layout.dtype.fields is not None
        self._layout, self._view = layout, layout.view
        self._at = {name: field[1] // 8 for name, field in layout.dtype.fields.items()}  # the first word of each field
        floats = {self._at[f"{name}_value"] for name in layout.decays.values()}
        words = "".join("d" if at in floats else "q" for at in range(layout.dtype.itemsize // 8))
        self._words = struct.Struct("<" + words)
        self._cold = layout.cold.tobytes()
        self._steps = self._steps_by_kind()
        self._columns = [column for feature in self._view.features for column in self._columns_of(feature)]

    def absorb(self, state: bytes | None, events: Sequence[Event], now: int) -> tuple[bytes, list[float]]:
        """As `Layout.absorb` for one record (None: the cold one), and what `Layout.columns` says of it in bucket `now`."""
        record = list(self._words.unpack(self._cold if state is None else state))
        if record[0] < now:
            self._turn_rings(record, now)
        for event in events:
            bucket = event.event_time // self._view.bucket
            for step in self._steps[event.kind]:
                step(record, event, bucket)
        return self._words.pack(*record), [column(record, now) for column in self._columns]

    def columns(self, state: bytes, now: int) -> list[float]:
        """As `Layout.columns` of one record."""
        record = list(self._words.unpack(state))
        if record[0] < now:
            self._turn_rings(record, now)
        return [column(record, now) for column in self._columns]

    def _turn_rings(self, record: Record, now: int) -> None:
        head, record[0] = record[0], now
        for name, size in self._layout.rings.values():
            at = self._at[name]
            for slot in range(size):
                if head - (head - slot) % size <= now - size:
                    record[at + slot] = 0

    def _steps_by_kind(self) -> dict[str, list[Step]]:
        of, at = self._layout, self._at
        found: dict[str, list[Step]] = {kind: [] for kind in self._view.kinds}
        for (kind, value), name in of.sums.items():
            found[kind].append(_add(at[name], value))
        for (kind, value), (name, size) in of.rings.items():
            found[kind].append(_add_to_ring(at[name], size, value))
        for (kind, value), name in of.lasts.items():
            found[kind].append(_replace(at[f"{name}_known"], value))
        for (kind, value, half_life), name in of.decays.items():
            found[kind].append(_fade_and_add(at[f"{name}_value"], half_life, value))
        for (kind, key), (name, size) in of.recents.items():
            found[kind].append(_push(at[name], size, key))
        return found

    def _columns_of(self, feature: Feature) -> list[Column]:
        match feature:
            case Count(kind, value, buckets):
                return [self._count(kind, value, buckets)]
            case Rate(hit, base, _, _, buckets):
                hits, bases = self._count(hit, None, buckets), self._count(base, None, buckets)
                return [lambda record, now: rate(feature, hits(record, now), bases(record, now))]
            case Last(kind, value):
                return [_last(self._at[f"{self._layout.lasts[kind, value]}_known"], feature)]
            case Decayed(kind, half_life, value):
                return [_faded(self._at[f"{self._layout.decays[kind, value, half_life]}_value"], half_life)]
            case Recent(kind, key, n):
                first = self._at[self._layout.recents[kind, key][0]]
                return [_word(at) for at in range(first, first + n)]

    def _count(self, kind: str, value: Value, buckets: int | None) -> Column:
        if buckets is None:
            return _word(self._at[self._layout.sums[kind, value]])
        name, size = self._layout.rings[kind, value]
        return _window(self._at[name], size, buckets)


def _add(at: int, value: Value) -> Step:
    def step(record: Record, event: Event, bucket: int) -> None:
        record[at] = _wrapped(record[at] + _amount(event, value))

    return step


def _add_to_ring(at: int, size: int, value: Value) -> Step:
    def step(record: Record, event: Event, bucket: int) -> None:
        if bucket > record[0] - size:
            slot = at + bucket % size
            record[slot] = _wrapped(record[slot] + _amount(event, value))

    return step


def _replace(at: int, value: str) -> Step:
    def step(record: Record, event: Event, bucket: int) -> None:
        record[at : at + 3] = 1, event.values.get(value, 0), bucket

    return step


def _fade_and_add(at: int, half_life: float, value: Value) -> Step:
    table = decay_table(half_life)

    def step(record: Record, event: Event, bucket: int) -> None:
        (record[at],), (record[at + 1],) = fold_one(
            table, record[at], record[at + 1], [_amount(event, value)], [bucket]
        )

    return step


def _push(at: int, size: int, key: str) -> Step:
    def step(record: Record, event: Event, bucket: int) -> None:
        record[at : at + size] = [event.keys.get(key, -1), *record[at : at + size - 1]]

    return step


def _word(at: int) -> Column:
    return lambda record, now: record[at]


def _window(at: int, size: int, buckets: int) -> Column:
    """The head is `now`: every slot stands for one of the last `size` buckets."""
    if buckets == size:
        return lambda record, now: _wrapped(sum(record[at : at + size]))
    return lambda record, now: _wrapped(sum(record[at + (now - age) % size] for age in range(buckets)))


def _last(at: int, feature: Last) -> Column:
    def column(record: Record, now: int) -> float:
        known, value, bucket = record[at : at + 3]
        age = now - bucket
        if not known or (feature.expires is not None and age > feature.expires):
            return float("nan")
        return float(age if feature.value == "age" else value)

    return column


def _faded(at: int, half_life: float) -> Column:
    table = decay_table(half_life)
    end = len(table) - 1
    return lambda record, now: record[at] * table.item(min(now - record[at + 1], end))


def _amount(event: Event, value: Value) -> int:
    return event.values.get(value, 0) if value else 1


def _wrapped(total: int) -> int:
    """As numpy's int64 does it."""
    return (total + 2**63) % 2**64 - 2**63
