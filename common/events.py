"""Events in columns: made from single events, cut, joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from common.contract import Event, Events, Ints


def of(events: Sequence[Event], start: int = 0, keys: Iterable[str] = (), values: Iterable[str] = ()) -> Events:
    """Single events as columns at positions start, start + 1, ...; `keys` and `values` name columns to have even if no event fills them."""
    key_names = sorted({*keys, *(name for event in events for name in event.keys)})
    value_names = sorted({*values, *(name for event in events for name in event.values)})
    return Events(
        position=np.arange(start, start + len(events), dtype=np.int64),
        kind=np.array([event.kind for event in events], dtype=np.str_),
        event_time=_ints(event.event_time for event in events),
        moment=_ints(event.moment for event in events),
        keys={name: _ints(event.keys.get(name, -1) for event in events) for name in key_names},
        values={name: _ints(event.values.get(name, 0) for event in events) for name in value_names},
    )


def single(events: Events) -> list[Event]:
    """The way back, without the ids; a column that is absent in an event is there, as -1 for a key and 0 for a value."""
    keys, values = _dicts(events.keys, len(events)), _dicts(events.values, len(events))
    columns = events.kind.tolist(), events.event_time.tolist(), events.moment.tolist(), keys, values
    return [
        Event(event_id="", kind=kind, event_time=time, moment=moment, keys=key, values=value)
        for kind, time, moment, key, value in zip(*columns, strict=True)
    ]


def _dicts(columns: Mapping[str, Ints], n: int) -> list[dict[str, int]]:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True) if columns else [()] * n
    return [dict(zip(columns, row, strict=True)) for row in rows]


def take(events: Events, index: Ints | slice) -> Events:
    """The events at these array indices (not positions), in the order given."""
    return Events(
        position=events.position[index],
        kind=events.kind[index],
        event_time=events.event_time[index],
        moment=events.moment[index],
        keys={name: column[index] for name, column in events.keys.items()},
        values={name: column[index] for name, column in events.values.items()},
    )


def concat(stretches: Sequence[Events]) -> Events:
    """One stretch after the other; a column that one of them lacks is absent there (-1 for a key, 0 for a value)."""
    if not stretches:
        return of([])
    key_names = sorted({name for stretch in stretches for name in stretch.keys})
    value_names = sorted({name for stretch in stretches for name in stretch.values})
    return Events(
        position=np.concatenate([stretch.position for stretch in stretches]),
        kind=np.concatenate([stretch.kind for stretch in stretches]),
        event_time=np.concatenate([stretch.event_time for stretch in stretches]),
        moment=np.concatenate([stretch.moment for stretch in stretches]),
        keys={name: np.concatenate([key_column(stretch, name) for stretch in stretches]) for name in key_names},
        values={name: np.concatenate([value_column(stretch, name) for stretch in stretches]) for name in value_names},
    )


def key_column(events: Events, name: str) -> Ints:
    column = events.keys.get(name)
    return np.full(len(events), -1, dtype=np.int64) if column is None else column


def value_column(events: Events, name: str | None) -> Ints:
    """A value column; None is the number one, so that a count is a sum."""
    if name is None:
        return np.ones(len(events), dtype=np.int64)
    column = events.values.get(name)
    return np.zeros(len(events), dtype=np.int64) if column is None else column


def _ints(numbers: Iterable[int]) -> Ints:
    return np.fromiter(numbers, dtype=np.int64)
