"""The labels: what followed an impression, joined to it by (request, document)."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.contract import Bools, Events
from common.events import key_column, value_column
from common.features import following
from search_ranking.schema import SHOWN, Rows


def join(events: Events) -> Rows:
    """One row per impression that logged the moment of its features, by request and slot; what is known of clicked results only is NaN
    elsewhere."""
    shown = np.flatnonzero(impressions(events))
    slot = value_column(events, "slot")[shown]
    shown = shown[np.lexsort((slot, key_column(events, "request_id")[shown]))]
    click = following.first(events, "click", shown, "doc_id")
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
