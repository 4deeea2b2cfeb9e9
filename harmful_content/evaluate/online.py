"""What is measured of a platform that runs: the log says what was done and seen, and somebody who knows says what was harmful.

In:     what became of each post (read of the event log); which posts are harmful: the key, or what reviewers said where there is none.
Out:    prevalence on posts and on views, proactive rate, valid appeals, each with an interval over authors; the share of reports under each policy.
Choice: every rate is one quotient of two sums over posts, so one formula serves all. Without a key, prevalence is of what reviewers were handed by
        lot: the rest of their posts were chosen because they looked bad. `mlsd traffic harmful_content` prints it.
Else:   prevalence on views alone, which is what people meet: the rate on posts is blind to reach.
Breaks: a low prevalence because nobody was asked about what was left up; a proactive rate that rises because users have given up reporting.

The four are those of the whiteboard (Xu and Aminian, Machine Learning System Design Interview, 2023, chapter 5); prevalence on views is what Meta's
Community Standards Enforcement Report calls prevalence. None says how good the classifier is: they are of the whole platform.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from common.eval import intervals
from common.eval.report import Interval
from harmful_content.schema import POLICIES, Live, Moderated


def measured(posts: Moderated, harmful: Bools, weight: Floats | None = None) -> Mapping[str, Interval]:
    """The four rates by their keys; harmful [n] is the truth about each post, weight [n] how many posts each stands for in the two prevalences (1
    without it). A rate that counts posts of fewer than two authors (no enforcement yet, no views) is left out, for nothing is known of it."""
    stands_for = np.ones(len(posts)) if weight is None else weight
    parts = {
        "prevalence_posts": (stands_for * (harmful & ~posts.prevented), stands_for),
        "prevalence_views": (stands_for * harmful * posts.views, stands_for * posts.views),
        "proactive_rate": (harmful & posts.found, harmful & (posts.found | posts.reported)),
        "valid_appeal_rate": (posts.reversed, posts.enforced),
    }
    counted: dict[str, tuple[Floats, Floats]] = {
        key: (part.astype(float), whole.astype(float)) for key, (part, whole) in parts.items()
    }
    rows = {key: whole > 0 for key, (_, whole) in counted.items()}
    return {
        key: rate(part[rows[key]], whole[rows[key]], posts.user_id[rows[key]])
        for key, (part, whole) in counted.items()
        if len(np.unique(posts.user_id[rows[key]])) > 1
    }


def by_hand(live: Live) -> Mapping[str, Interval]:
    """`measured` by what reviewers said: prevalence of what was drawn by lot, which is what stands, each post weighing one over its chance; the proactive
    rate of what reviewers found violating. Their errors are in it (`prevalence` takes them out where they are known)."""
    harmful, weight = np.zeros(len(live.posts), dtype=bool), np.zeros(len(live.posts))
    place = np.searchsorted(live.posts.post_id, live.rows.post_id)
    harmful[place] = np.nansum(live.rows.hand_label, axis=1) > 0
    weight[place] = live.weight
    return measured(live.posts, harmful, weight)


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


def reports_by_policy(live: Live) -> Mapping[str, Interval]:
    """The share of all reports that came under each policy. They say what people dislike: bombs and grudges are in it."""
    policy, author = live.report_policy, live.report_author
    if len(np.unique(author)) < 2:
        return {}
    ones = np.ones(len(policy))
    under = [(policy == place).astype(float) for place in range(len(POLICIES))]
    return {f"reports:{name}": rate(part, ones, author) for name, part in zip(POLICIES, under, strict=True)}
