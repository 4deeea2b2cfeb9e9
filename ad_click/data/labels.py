"""The label: clicked within the window, joined to the impression by (request, ad)."""

from __future__ import annotations

import numpy as np

from ad_click.schema import Rows
from common.contract import Bools, Events
from common.events import key_column, value_column
from common.features import following


def join(events: Events, window: int) -> Rows:
    """One row per impression that logged the moment of its features, in log order; label 1 if a click came within `window` seconds. Repeats
    change nothing, and a click dated before its impression is none."""
    shown = np.flatnonzero(impressions(events))
    clicks = np.flatnonzero(events.kind == "click")
    label = np.zeros(len(shown))
    if len(shown):
        shown_key, click_key = following.keys(events, shown, clicks, "ad_id")
        order = np.argsort(shown_key, kind="stable")
        of = order[np.minimum(np.searchsorted(shown_key[order], click_key), len(shown) - 1)]  # whose click it would be
        delay = events.event_time[clicks] - events.event_time[shown][of]
        label[of[(shown_key[of] == click_key) & (delay >= 0) & (delay <= window)]] = 1.0
    return Rows(
        user_id=key_column(events, "user_id")[shown],
        ad_id=key_column(events, "ad_id")[shown],
        event_time=events.event_time[shown],
        moment=events.moment[shown],
        label=label,
        numbers={"slot": value_column(events, "slot")[shown].astype(np.float64)},
    )


def impressions(events: Events) -> Bools:
    """Which events are impressions that can become rows."""
    shown: Bools = (events.kind == "impression") & (events.moment >= 0)
    return shown
