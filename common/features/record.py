"""The live store's record: what is kept about one key of a view, in fixed-width numpy fields, and how events are folded into it.

A window over `buckets` buckets is a ring of counts, one slot a bucket (slot = bucket mod R). `head` is the watermark's bucket when the
record was last written, so slot s stands for bucket head - ((head - s) mod R). That is exact: two buckets that share a slot lie at least R
apart, and no event is later than the watermark, so the older of the two has left every window by the time the newer one comes in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.contract import Events, Floats, Ints
from common.events import key_column, value_column
from common.features.folds import decay, fold, last_or_nan, rate
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View

Records = NDArray[np.void]
Value = str | None


class Groups(NamedTuple):
    """The events of one kind, sorted by record and then in log order. Group g belongs to record rows[g] and is starts[g]:starts[g + 1]."""

    at: Ints  # index into the sorted stretch
    row: Ints  # the record of each
    rows: Ints
    starts: Ints


class Layout:
    """The fields of a view's record; features that need the same ring, sum or list share one."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.sums: dict[tuple[str, Value], str] = {}
        self.rings: dict[tuple[str, Value], tuple[str, int]] = {}
        self.lasts: dict[tuple[str, str], str] = {}
        self.decays: dict[tuple[str, Value, float], str] = {}
        self.recents: dict[tuple[str, str], tuple[str, int]] = {}
        for feature in view.features:
            self._add(feature)
        wanted = dict.fromkeys(term for feature in view.features for term in terms(feature))
        self._windowed = [(kind, value, buckets) for kind, value, buckets in wanted if buckets is not None]

    def _add(self, feature: Feature) -> None:
        match feature:
            case Last(kind, value):
                self.lasts.setdefault((kind, value), f"last{len(self.lasts)}")
            case Decayed(kind, half_life, value):
                self.decays.setdefault((kind, value, half_life), f"decay{len(self.decays)}")
            case Recent(kind, key, n):
                name, old = self.recents.get((kind, key), (f"recent{len(self.recents)}", 0))
                self.recents[kind, key] = name, max(n, old)
            case _:
                for kind, value, buckets in terms(feature):
                    if buckets is None:
                        self.sums.setdefault((kind, value), f"sum{len(self.sums)}")
                    else:
                        name, old = self.rings.get((kind, value), (f"ring{len(self.rings)}", 0))
                        self.rings[kind, value] = name, max(buckets, old)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        fields: list[tuple[Any, ...]] = [("head", "<i8")]
        fields += [(name, "<i8") for name in self.sums.values()]
        fields += [(name, "<i8", (size,)) for name, size in self.rings.values()]
        fields += [(f"{name}_{part}", "<i8") for name in self.lasts.values() for part in ("known", "value", "bucket")]
        fields += [
            (f"{name}_{part}", kind)
            for name in self.decays.values()
            for part, kind in (("value", "<f8"), ("bucket", "<i8"))
        ]
        fields += [(name, "<i8", (size,)) for name, size in self.recents.values()]
        return np.dtype(fields)

    @cached_property
    def cold(self) -> Records:
        """The record of a key nothing is known about, [1]."""
        record = np.zeros(1, dtype=self.dtype)
        for name, _ in self.recents.values():
            record[name] = -1
        return record

    @cached_property
    def cold_columns(self) -> Floats:
        """What `columns` says of it at any time, [1, view.width]."""
        return self.columns(self.cold, 0)

    # ------------------------------------------------------------------------------------------------------------------ writing

    def absorb(self, records: Records, row: Ints, events: Events, now: int) -> None:
        """Folds events [n] (sorted by record, then in log order) into records [K], in place. row [n]; now: the watermark's bucket."""
        bucket = events.event_time // self.view.bucket
        groups = {kind: _groups(np.flatnonzero(events.kind == kind), row) for kind in self.view.kinds}
        self._turn_rings(records, now)
        for (kind, value), name in self.sums.items():
            records[name] += _sum(groups[kind].row, _amounts(events, value, groups[kind].at), len(records))
        for (kind, value), (name, size) in self.rings.items():
            at = groups[kind].at[bucket[groups[kind].at] > now - size]
            slot = row[at] * size + bucket[at] % size
            records[name] += _sum(slot, _amounts(events, value, at), len(records) * size).reshape(-1, size)
        for (kind, last_value), name in self.lasts.items():
            of = groups[kind]
            newest = of.at[of.starts[1:] - 1]
            records[f"{name}_known"][of.rows] = 1
            records[f"{name}_value"][of.rows] = value_column(events, last_value)[newest]
            records[f"{name}_bucket"][of.rows] = bucket[newest]
        for (kind, value, half_life), name in self.decays.items():
            of = groups[kind]
            before = records[f"{name}_value"][of.rows], records[f"{name}_bucket"][of.rows]
            values, lasts = fold(half_life, *before, of.starts, _amounts(events, value, of.at), bucket[of.at])
            records[f"{name}_value"][of.rows] = values[of.starts[1:] - 1]
            records[f"{name}_bucket"][of.rows] = lasts[of.starts[1:] - 1]
        for (kind, key), (name, _) in self.recents.items():
            of = groups[kind]
            records[name][of.rows] = _newest(records[name][of.rows], key_column(events, key)[of.at], of.starts)

    def _turn_rings(self, records: Records, now: int) -> None:
        for name, size in self.rings.values():
            records[name][_slot_buckets(records["head"], size) <= now - size] = 0
        records["head"] = now

    # ------------------------------------------------------------------------------------------------------------------ reading

    def columns(self, records: Records, now: int) -> Floats:
        """records [K] read in bucket `now` -> [K, view.width]."""
        windows = self._windows(records, now)
        out = np.empty((len(records), self.view.width))
        found = (column for feature in self.view.features for column in self._columns(feature, records, windows, now))
        for at, column in enumerate(found):
            out[:, at] = column
        return out

    def _windows(self, records: Records, now: int) -> dict[tuple[str, Value, int | None], Ints]:
        """Every count the view's features need, by (kind, value, buckets)."""
        found: dict[tuple[str, Value, int | None], Ints] = {
            (kind, value, None): records[name] for (kind, value), name in self.sums.items()
        }
        by_age = {name: _youngest(records[name], records["head"], now) for name, _ in self.rings.values()}
        for kind, value, buckets in self._windowed:
            found[kind, value, buckets] = by_age[self.rings[kind, value][0]][buckets - 1]
        return found

    def _columns(
        self, feature: Feature, records: Records, windows: Mapping[tuple[str, Value, int | None], Ints], now: int
    ) -> Iterator[Floats | Ints]:
        match feature:
            case Count(kind, value, buckets):
                yield windows[kind, value, buckets]
            case Rate(hit, base, _, _, buckets):
                yield rate(feature, windows[hit, None, buckets], windows[base, None, buckets])
            case Last(kind, last_value):
                name = self.lasts[kind, last_value]
                known, newest, bucket = (records[f"{name}_{part}"] for part in ("known", "value", "bucket"))
                yield last_or_nan(feature, known == 1, newest, bucket, now)
            case Decayed(kind, half_life, value):
                name = self.decays[kind, value, half_life]
                yield records[f"{name}_value"] * decay(half_life, now - records[f"{name}_bucket"])
            case Recent(kind, key, n):
                yield from records[self.recents[kind, key][0]].T[:n]


def terms(feature: Feature) -> tuple[tuple[str, Value, int | None], ...]:
    """The counts a feature is made of: (kind, value, buckets)."""
    match feature:
        case Count(kind, value, buckets):
            return ((kind, value, buckets),)
        case Rate(hit, base, _, _, buckets):
            return ((hit, None, buckets), (base, None, buckets))
        case _:
            return ()


def _groups(at: Ints, row: Ints) -> Groups:
    of = row[at]
    begins = np.flatnonzero(np.diff(of, prepend=-1))
    return Groups(at, of, of[begins], np.append(begins, len(at)))


def _amounts(events: Events, value: Value, at: Ints) -> Ints:
    return value_column(events, value)[at] if value else np.ones(len(at), dtype=np.int64)


def _sum(slots: Ints, amounts: Ints, num_slots: int) -> Ints:
    total = np.zeros(num_slots, dtype=np.int64)
    np.add.at(total, slots, amounts)
    return total


def _slot_buckets(head: Ints, size: int) -> Ints:
    """[K, size] the bucket each slot stands for."""
    return head[:, None] - (head[:, None] - np.arange(size)) % size


def _youngest(ring: Ints, head: Ints, now: int) -> Ints:
    """ring [K, size] -> [size, K] the sum over the youngest 1, 2, ... size buckets. A slot for a bucket after `head` is an old one's."""
    bucket = now - np.arange(ring.shape[1])
    sums: Ints = np.where(bucket[:, None] <= head, ring.T[bucket % len(bucket)], 0)
    return np.cumsum(sums, axis=0, out=sums)


def _newest(old: Ints, ids: Ints, starts: Ints) -> Ints:
    """old [G, n] newest first; ids in log order, group g is starts[g]:starts[g+1] -> [G, n] with the new ones in front."""
    column = np.arange(old.shape[1])
    size = np.diff(starts)[:, None]
    new = ids[np.maximum(starts[1:, None] - 1 - column, 0)] if len(ids) else old
    return np.where(column < size, new, np.take_along_axis(old, np.maximum(column - size, 0), axis=1))
