"""What is measured of a platform that runs: the log says what was done and seen, and somebody who knows says what was harmful.

In:     the event log; which posts are harmful: the key, or hand labels where there is none (`prevalence` estimates from few).
Out:    prevalence on posts and on views, proactive rate, valid appeals, each with an interval over authors; reports per policy.
Choice: every rate is one quotient of two sums over posts, so one formula serves all; what is read of the log stands in one place.
Else:   prevalence on views alone, which is what people meet: the rate on posts is blind to reach.
Breaks: a low prevalence because nobody was asked about what was left up; a proactive rate that rises because users have given up reporting.

The four are those of the whiteboard (Xu and Aminian, Machine Learning System Design Interview, 2023, chapter 5); prevalence on views is what Meta's
Community Standards Enforcement Report calls prevalence. None says how good the classifier is: they are of the whole platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Events, Floats, Ints
from common.data import columns
from common.errors import InputError
from common.eval import intervals
from common.eval.report import Interval
from common.events import key_column, value_column
from harmful_content.schema import ACTIONS, POLICIES

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Moderated:
    """Posts as the log has them, [n], in order of their ids. `views`: seen so far. `prevented`: removed when it was first judged, so that nobody
    saw it. `found`: demoted, queued or removed before anybody reported it; `reported`: somebody was faster. `enforced`: ever removed or
    demoted; `reversed`: enforced, and a later review did not uphold it."""

    post_id: Ints
    user_id: Ints
    views: Ints
    prevented: Bools
    found: Bools
    reported: Bools
    enforced: Bools
    reversed: Bools

    def __post_init__(self) -> None:
        columns.equal_lengths("Moderated", vars(self))

    def __len__(self) -> int:
        return len(self.post_id)


def read(events: Events) -> Moderated:
    """Every post of which the log holds an impression. Places in the log decide who was first, not clocks."""
    judged = events.kind == "impression"
    posts, at = np.unique(key_column(events, "post_id")[judged], return_index=True)
    action = np.where(judged, value_column(events, "action"), 0)
    acted = _first(events, posts, judged & (action > 0))
    enforced = _first(
        events, posts, judged & ((action == ACTIONS.index("demote")) | (action == ACTIONS.index("remove")))
    )
    reported = _first(events, posts, events.kind == "report")
    refused = _last(events, posts, (events.kind == "review") & (value_column(events, "upheld") == 0))
    return Moderated(
        post_id=posts,
        user_id=key_column(events, "user_id")[judged][at],
        views=_sum(events, posts, events.kind == "reactions", value_column(events, "views")),
        prevented=action[judged][at] == ACTIONS.index("remove"),
        found=(acted < _NEVER) & (acted < reported),
        reported=(reported < _NEVER) & (reported < acted),
        enforced=enforced < _NEVER,
        reversed=(enforced < _NEVER) & (refused > enforced),
    )


def measured(posts: Moderated, harmful: Bools) -> Mapping[str, Interval]:
    """The four rates by their keys; harmful [n] is the truth about each post. A rate of which nothing was counted (no enforcement yet, no
    views) is left out, for it has no value."""
    parts = {
        "prevalence_posts": (harmful & ~posts.prevented, np.ones(len(posts))),
        "prevalence_views": (harmful * posts.views, posts.views),
        "proactive_rate": (harmful & posts.found, harmful & (posts.found | posts.reported)),
        "valid_appeal_rate": (posts.reversed, posts.enforced),
    }
    counted = {key: (part.astype(float), whole.astype(float)) for key, (part, whole) in parts.items()}
    return {key: rate(part, whole, posts.user_id) for key, (part, whole) in counted.items() if whole.any()}


def rate(part: Floats, whole: Floats, clusters: Ints) -> Interval:
    """sum(part) / sum(whole) over [n] with the interval of a ratio over clusters, cut to [0, 1]: the mean of
    value + (part - value whole) / mean(whole) (Cochran, Sampling Techniques, 6.3)."""
    usual = float(whole.mean())
    if usual == 0:
        raise InputError(f"The whole of a rate is 0 over {len(whole)} posts: nothing was counted. Leave the rate out.")
    value = float(part.sum() / whole.sum())
    found = intervals.mean(value + (part - value * whole) / usual, clusters)
    assert found.low is not None and found.high is not None
    return Interval(value=value, low=max(0.0, found.low), high=min(1.0, found.high), n=found.n)


def reports_by_policy(events: Events) -> Mapping[str, int]:
    """User reports under each policy. They count what users dislike: bombs and grudges are in it."""
    under = value_column(events, "policy")[events.kind == "report"]
    return dict(zip(POLICIES, np.bincount(under, minlength=len(POLICIES)).tolist(), strict=True))


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
