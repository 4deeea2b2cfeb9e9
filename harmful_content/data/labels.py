"""The natural label: enough reports of one policy, or a reviewer who upheld it, within the window."""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Events, Floats, Ints
from common.events import key_column, value_column


def natural(events: Events, shown: Ints, window: int, enough: int, num_policies: int) -> Floats:
    """[len(shown), num_policies] 0/1 for the impressions at these indices: `enough` reports of that policy, or a review that upheld it, dated
    from the impression to `window` seconds after it. A review that found nothing outweighs reports, and of several the last one counts: an appeal that
    was granted takes the label back. What few people saw few could report: 0 here means that nobody complained, not that nothing was wrong."""
    posts, of_shown = np.unique(key_column(events, "post_id")[shown], return_inverse=True)
    began = np.full(len(posts), np.iinfo(np.int64).max)
    np.minimum.at(began, of_shown, events.event_time[shown])
    counts, last = np.zeros((len(posts), num_policies)), np.full(len(posts), -1)
    for kind in ("report", "review"):
        at, place = _events_of(events, kind, posts)
        soon = events.event_time[at] - began[place] <= window
        if kind == "report":
            np.add.at(counts, (place[soon], value_column(events, "policy")[at[soon]]), 1)
        else:
            np.maximum.at(last, place[soon], at[soon])
    reviewed = np.flatnonzero(last >= 0)
    label = counts >= enough
    upheld = value_column(events, "upheld")[last[reviewed]] == 1
    label[reviewed[~upheld]] = False
    label[reviewed[upheld], value_column(events, "policy")[last[reviewed[upheld]]]] = True
    found: Floats = label[of_shown].astype(np.float64)
    return found


def impressions(events: Events) -> Bools:
    """Which events are impressions that can become rows."""
    shown: Bools = (events.kind == "impression") & (events.moment >= 0)
    return shown


def _events_of(events: Events, kind: str, posts: Ints) -> tuple[Ints, Ints]:
    """Indices of the events of a kind about any of the posts (sorted ids), and whose they are."""
    at = np.flatnonzero(events.kind == kind)
    post_id = key_column(events, "post_id")[at]
    place = np.minimum(np.searchsorted(posts, post_id), max(len(posts) - 1, 0))
    theirs = posts[place] == post_id if len(posts) else np.zeros(len(at), dtype=bool)
    return at[theirs], place[theirs]
