"""What followed an impression: events joined to it by its request and its item."""

from __future__ import annotations

import numpy as np

from common.contract import Events, Ints
from common.events import key_column
from common.features.views import pair


def first(events: Events, kind: str, shown: Ints, item: str) -> Ints:
    """For each impression (`shown`: their indices) the index of the first event of that kind for the same request and `item`, -1 where there is none."""
    happened = np.flatnonzero(events.kind == kind)
    shown_key, key = keys(events, shown, happened, item)
    known, earliest = np.unique(key, return_index=True)  # repeats change nothing
    if not len(known):
        return np.full(len(shown), -1)
    found = np.minimum(np.searchsorted(known, shown_key), len(known) - 1)
    return np.where(known[found] == shown_key, happened[earliest][found], -1)


def keys(events: Events, shown: Ints, happened: Ints, item: str) -> tuple[Ints, Ints]:
    """(request, item) as one number, of both; requests are renumbered first, as an id of 53 bits leaves no room for the item."""
    both = np.concatenate([shown, happened])
    request = np.unique(key_column(events, "request_id")[both], return_inverse=True)[1]
    key = pair(request.astype(np.int64), key_column(events, item)[both])
    return key[: len(shown)], key[len(shown) :]
