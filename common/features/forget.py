"""What a FORGET event erases: everything known before it about the id it names, also within pairs."""

from __future__ import annotations

import numpy as np

from common.contract import FORGET, Events, Ints
from common.events import key_column
from common.features.views import View, pair, unpair


def event_keys(view: View, events: Events) -> Ints:
    """The view's key of each event, -1 where the event names no such entity."""
    columns = [key_column(events, name) for name in view.entity]
    return columns[0] if len(columns) == 1 else pair(*columns)


def parts(view: View, keys: Ints) -> tuple[Ints, ...]:
    """The id per entity column of each key of the view."""
    return (keys,) if len(view.entity) == 1 else unpair(keys)


class Forgets:
    """The forget events of a stretch that name an id in one of the view's entity columns, by their index in the stretch."""

    def __init__(self, view: View, events: Events) -> None:
        self.view = view
        self.limit = len(events) + 1
        self.columns: list[tuple[Ints, Ints]] = []
        forgets = np.flatnonzero(events.kind == FORGET)
        for name in view.entity:
            ids = key_column(events, name)[forgets]
            named = ids >= 0
            known, dense = np.unique(ids[named], return_inverse=True)
            self.columns.append((known, np.sort(dense * self.limit + forgets[named])))

    def __len__(self) -> int:
        return sum(len(order) for _, order in self.columns)

    def before(self, keys: Ints, index: Ints) -> Ints:
        """For each key the index of the last forget that erased it before `index`, -1 if none did. An event survives if it is not below it."""
        found = np.full(len(keys), -1, dtype=np.int64)
        for (known, order), ids in zip(self.columns, parts(self.view, keys), strict=True):
            if len(known) == 0:
                continue
            dense = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            at = np.searchsorted(order, dense * self.limit + index) - 1
            hit = (known[dense] == ids) & (at >= 0) & (order[at] // self.limit == dense)
            found = np.where(hit, np.maximum(found, order[at] % self.limit), found)
        return found
