"""LeaveOneOutStore: stands in for the as-of store where a table has no clock."""

from __future__ import annotations

import numpy as np

from common.contract import Events, Floats, Ints
from common.events import value_column
from common.features.asof import AsOfStore
from common.features.folds import rate
from common.features.forget import Forgets, event_keys
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View


class LeaveOneOutStore:
    """Counts over every event except the row's own: those whose `moment` equals the row's moment. A row outside the table (test) has moment -1.

    Views keyed by an entity in `ordered` (say, ("user_id",): order is known within a user only) are read as of the moment instead, and at
    the end of the log where the moment is -1. Unordered: windows count everything, Decayed is a plain sum, Last is NaN, Recent is -1.
    """

    def __init__(self, events: Events, ordered: tuple[str, ...] = ()) -> None:
        self.events = events
        self.ordered = ordered
        self._as_of = AsOfStore(events)
        self._tables: dict[tuple[tuple[str, ...], str, str | None], _Table] = {}

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n], moments [n] -> [n, view.width]."""
        if any(name in self.ordered for name in view.entity):
            end = self.events.position[-1] + 1 if len(self.events) else 0
            return self._as_of.read(view, keys, np.where(moments < 0, end, moments))
        return np.concatenate([self._column(view, feature, keys, moments) for feature in view.features], axis=1)

    def _column(self, view: View, feature: Feature, keys: Ints, moments: Ints) -> Floats:
        match feature:
            case Count(kind, value) | Decayed(kind, _, value):
                return self._table(view, kind, value).others(keys, moments).astype(np.float64)[:, None]
            case Rate(hit, base):
                hits, bases = (self._table(view, kind, None).others(keys, moments) for kind in (hit, base))
                return rate(feature, hits, bases)[:, None]
            case Last():
                return np.full((len(keys), 1), np.nan)
            case Recent(n=n):
                return np.full((len(keys), n), -1.0)

    def _table(self, view: View, kind: str, value: str | None) -> _Table:
        key = (view.entity, kind, value)
        if key not in self._tables:
            self._tables[key] = _Table(view, self.events, kind, value)
        return self._tables[key]


class _Table:
    """Sums of one value by key, and by (key, moment)."""

    def __init__(self, view: View, events: Events, kind: str, value: str | None) -> None:
        keys = event_keys(view, events)
        index = np.arange(len(events))
        erased = index < Forgets(view, events).before(keys, np.full(len(events), len(events)))
        at = np.flatnonzero((events.kind == kind) & (keys >= 0) & ~erased)
        amounts = value_column(events, value)[at]
        self.moments, moment = np.unique(events.moment[at], return_inverse=True)
        self.known, dense = np.unique(keys[at], return_inverse=True)
        self.totals = np.zeros(len(self.known) + 1, dtype=np.int64)
        np.add.at(self.totals, dense, amounts)
        self.cells, cell = np.unique(dense * (len(self.moments) + 1) + moment, return_inverse=True)
        self.own = np.zeros(len(self.cells) + 1, dtype=np.int64)
        np.add.at(self.own, cell, amounts)

    def others(self, keys: Ints, moments: Ints) -> Ints:
        """The key's total without what carries the row's moment."""
        key = _find(self.known, keys)
        moment = np.where(moments < 0, len(self.moments), _find(self.moments, moments))
        cell = _find(self.cells, key * (len(self.moments) + 1) + moment)
        return self.totals[key] - self.own[cell]


def _find(known: Ints, wanted: Ints) -> Ints:
    """Where each wanted number stands in the sorted known ones; one past them if it is not there."""
    at = np.searchsorted(known, wanted)
    if len(known):
        at[known[np.minimum(at, len(known) - 1)] != wanted] = len(known)
    return at
