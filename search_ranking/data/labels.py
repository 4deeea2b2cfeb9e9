"""The labels: what followed an impression, joined to it by (request, document)."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.contract import Bools, Events, Ints
from common.events import key_column, value_column
from common.features.views import pair
from search_ranking.schema import SHOWN, Rows


def join(events: Events) -> Rows:
    """One row per impression that logged the moment of its features, by request and slot; what is known of clicked results only is NaN
    elsewhere."""
    shown = np.flatnonzero(impressions(events))
    slot = value_column(events, "slot")[shown]
    shown = shown[np.lexsort((slot, key_column(events, "request_id")[shown]))]
    click = _first(events, "click", shown)
    clicked = click >= 0
    known = {name: value_column(events, name)[click].astype(float) for name in ("satisfied", "dwell_seconds")}
    keys: dict[str, Any] = {name: key_column(events, name)[shown] for name in SHOWN}
    return Rows(
        **keys,
        event_time=events.event_time[shown],
        moment=events.moment[shown],
        labels={"clicked": clicked.astype(float)}
        | {name: np.where(clicked, label, np.nan) for name, label in known.items()},
        numbers={
            "slot": value_column(events, "slot")[shown].astype(float),
            "swapped": value_column(events, "swapped")[shown].astype(float),
        },
    )


def impressions(events: Events) -> Bools:
    """Which events are impressions that can become rows."""
    shown: Bools = (events.kind == "impression") & (events.moment >= 0)
    return shown


def _first(events: Events, kind: str, shown: Ints) -> Ints:
    """For each impression the index of the first event of that kind for the same request and document, -1 where there is none."""
    happened = np.flatnonzero(events.kind == kind)
    shown_key, key = _keys(events, shown, happened)
    keys, first = np.unique(key, return_index=True)  # repeats change nothing
    if not len(keys):
        return np.full(len(shown), -1)
    found = np.minimum(np.searchsorted(keys, shown_key), len(keys) - 1)
    return np.where(keys[found] == shown_key, happened[first][found], -1)


def _keys(events: Events, shown: Ints, happened: Ints) -> tuple[Ints, Ints]:
    """(request, document) as one number; requests are renumbered first, as an id of 53 bits leaves no room for the document."""
    both = np.concatenate([shown, happened])
    request = np.unique(key_column(events, "request_id")[both], return_inverse=True)[1]
    key = pair(request.astype(np.int64), key_column(events, "doc_id")[both])
    return key[: len(shown)], key[len(shown) :]
