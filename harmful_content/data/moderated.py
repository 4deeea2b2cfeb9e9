"""What became of each post: what was done, who was first, how often it was seen; all of it read of the log in this one place."""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Events, Ints
from common.events import key_column, value_column
from harmful_content.schema import ACTIONS, Moderated

_NEVER = np.iinfo(np.int64).max


def read(events: Events) -> Moderated:
    """Every post of which the log holds an impression. Places in the log decide who was first, not clocks."""
    judged = events.kind == "impression"
    posts, at = np.unique(key_column(events, "post_id")[judged], return_index=True)
    action = np.where(judged, value_column(events, "action"), 0)
    reviewed, upheld = events.kind == "review", value_column(events, "upheld") == 1
    removed = reviewed & upheld
    acted = _first(events, posts, removed | judged & (action > 0))
    harder = (action == ACTIONS.index("demote")) | (action == ACTIONS.index("remove"))
    enforced = _first(events, posts, removed | judged & harder)
    reported = _first(events, posts, events.kind == "report")
    refused = _last(events, posts, reviewed & ~upheld)
    return Moderated(
        post_id=posts,
        user_id=key_column(events, "user_id")[judged][at],
        reports=_sum(events, posts, events.kind == "report", value_column(events, None)),
        views=_sum(events, posts, events.kind == "reactions", value_column(events, "views")),
        prevented=action[judged][at] == ACTIONS.index("remove"),
        found=(acted < _NEVER) & (acted < reported),
        reported=(reported < _NEVER) & (reported < acted),
        enforced=enforced < _NEVER,
        reversed=(enforced < _NEVER) & (refused > enforced),
    )


def _first(events: Events, posts: Ints, rows: Bools) -> Ints:
    place, position = _placed(events, posts, rows)
    found = np.full(len(posts), _NEVER)
    np.minimum.at(found, place, position)
    return found


def _last(events: Events, posts: Ints, rows: Bools) -> Ints:
    place, position = _placed(events, posts, rows)
    found = np.full(len(posts), -1)
    np.maximum.at(found, place, position)
    return found


def _sum(events: Events, posts: Ints, rows: Bools, value: Ints) -> Ints:
    found = np.zeros(len(posts), np.int64)
    known = rows & np.isin(key_column(events, "post_id"), posts)
    np.add.at(found, np.searchsorted(posts, key_column(events, "post_id")[known]), value[known])
    return found


def _placed(events: Events, posts: Ints, rows: Bools) -> tuple[Ints, Ints]:
    """-> (place among the posts, position in the log) of these rows; what was said of posts never judged is left out."""
    known = rows & np.isin(key_column(events, "post_id"), posts)
    return np.searchsorted(posts, key_column(events, "post_id")[known]), events.position[known]
