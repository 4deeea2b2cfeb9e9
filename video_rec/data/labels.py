"""The labels: what followed an impression, joined to it by (request, video)."""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Events, Ints
from common.events import key_column, value_column
from common.features.views import pair
from video_rec.schema import Rows


def join(events: Events) -> Rows:
    """One row per impression that logged the moment of its features, in log order; what is known of watched videos only is NaN elsewhere."""
    shown = np.flatnonzero(impressions(events))
    watch, like, share, hide = (_first(events, kind, shown) for kind in ("watch", "like", "share", "hide"))
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


def _first(events: Events, kind: str, shown: Ints) -> Ints:
    """For each impression the index of the first event of that kind for the same request and video, -1 where there is none."""
    happened = np.flatnonzero(events.kind == kind)
    shown_key, key = _keys(events, shown, happened)
    keys, first = np.unique(key, return_index=True)  # repeats change nothing
    if not len(keys):
        return np.full(len(shown), -1)
    found = np.minimum(np.searchsorted(keys, shown_key), len(keys) - 1)
    return np.where(keys[found] == shown_key, happened[first][found], -1)


def _keys(events: Events, shown: Ints, happened: Ints) -> tuple[Ints, Ints]:
    """(request, video) as one number; requests are renumbered first, as an id of 53 bits leaves no room for the video."""
    both = np.concatenate([shown, happened])
    request = np.unique(key_column(events, "request_id")[both], return_inverse=True)[1]
    key = pair(request.astype(np.int64), key_column(events, "video_id")[both])
    return key[: len(shown)], key[len(shown) :]
