"""The labels: what followed an impression, joined to it by (request, video)."""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Events
from common.events import key_column, value_column
from common.features import following
from video_rec.schema import Rows


def join(events: Events) -> Rows:
    """One row per impression that logged the moment of its features, in log order; what is known of watched videos only is NaN elsewhere."""
    shown = np.flatnonzero(impressions(events))
    watch, like, share, hide = (
        following.first(events, kind, shown, "video_id") for kind in ("watch", "like", "share", "hide")
    )
    clicked = watch >= 0
    known_if_watched = {
        name: value_column(events, name)[watch].astype(float) for name in ("completed", "watch_seconds")
    }
    known_if_watched |= {"liked": (like >= 0).astype(float), "shared": (share >= 0).astype(float)}
    return Rows(
        user_id=key_column(events, "user_id")[shown],
        video_id=key_column(events, "video_id")[shown],
        event_time=events.event_time[shown],
        moment=events.moment[shown],
        labels={"clicked": clicked.astype(float), "hidden": (hide >= 0).astype(float)}
        | {name: np.where(clicked, label, np.nan) for name, label in known_if_watched.items()},
        numbers={
            "slot": value_column(events, "slot")[shown].astype(float),
            "propensity": value_column(events, "propensity_ppm")[shown] / 1e6,
        },
    )


def impressions(events: Events) -> Bools:
    """Which events are impressions that can become rows."""
    shown: Bools = (events.kind == "impression") & (events.moment >= 0)
    return shown
