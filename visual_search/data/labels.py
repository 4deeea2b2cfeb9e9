"""The labels: what followed an impression, joined to it by (request, image)."""

from __future__ import annotations

import numpy as np

from common.contract import Events, Ints
from common.events import key_column, value_column
from common.features import following
from visual_search.schema import Images, Rows

NO_PHOTOS = Images(np.zeros((0, 1, 1, 3), np.uint8))


def join(events: Events) -> Rows:
    """One row per impression that logged the moment of its features, by request and slot. The log holds no pictures and no words."""
    at = shown(events)
    clicked = following.first(events, "click", at, "image_id") >= 0
    return Rows(
        user_id=key_column(events, "user_id")[at],
        photo=np.full(len(at), -1),
        photos=NO_PHOTOS,
        image_id=key_column(events, "image_id")[at],
        slot=value_column(events, "slot")[at],
        event_time=events.event_time[at],
        moment=events.moment[at],
        label=clicked.astype(float),
    )


def shown(events: Events) -> Ints:
    """The indices of the impressions that can become rows, by request and slot."""
    at = np.flatnonzero((events.kind == "impression") & (events.moment >= 0))
    order: Ints = np.lexsort((value_column(events, "slot")[at], key_column(events, "request_id")[at]))
    return at[order]
