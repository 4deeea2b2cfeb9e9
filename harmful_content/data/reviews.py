"""What reviewers decided, as labels: all of it is told by hand, and what was drawn by lot says how much harm there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Events, Floats, Ints
from common.errors import InputError
from common.events import key_column, value_column
from harmful_content.schema import CHOSEN


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """[n] decisions of reviewers: of which post, `policy` the one that is violated, `upheld` whether one is, `chosen` of CHOSEN, `propensity` how likely
    it was, when the post was chosen, that this one would be; NaN where it was no matter of chance."""

    post_id: Ints
    policy: Ints
    upheld: Bools
    chosen: NDArray[np.str_]
    propensity: Floats


@dataclass(frozen=True, kw_only=True)
class Labels:
    """hand_label [n, num_policies] for the next training; `weight` [n] for an estimate over all posts: 1 / propensity of those drawn by lot, 0 of all
    others, which were looked at because they looked bad."""

    post_id: Ints
    hand_label: Floats
    weight: Floats

    def of(self, post_id: Ints) -> Labels:
        """The labels of these posts [m]; NaN and weight 0 where nobody looked."""
        place = np.searchsorted(self.post_id, post_id)
        known = np.isin(post_id, self.post_id)
        hand_label = np.full((len(post_id), self.hand_label.shape[1]), np.nan)
        hand_label[known] = self.hand_label[place[known]]
        weight = np.zeros(len(post_id))
        weight[known] = self.weight[place[known]]
        return Labels(post_id=post_id, hand_label=hand_label, weight=weight)


def read(events: Events) -> Reviews:
    """The decisions of the desk, in log order. Those of the log before it name no reviewer: they were asked about the one policy that was suspected, so
    they stay what they were, natural labels."""
    at = np.flatnonzero((events.kind == "review") & (key_column(events, "reviewer_id") >= 0))
    propensity = value_column(events, "propensity_ppm")[at] / 1e6
    return Reviews(
        post_id=key_column(events, "post_id")[at],
        policy=value_column(events, "policy")[at],
        upheld=value_column(events, "upheld")[at] == 1,
        chosen=np.array(CHOSEN)[value_column(events, "chosen")[at]],
        propensity=np.where(propensity > 0, propensity, np.nan),
    )


def labels(reviews: Reviews, num_policies: int) -> Labels:
    """One row a post, by its last review (an appeal corrects what was said before). A reviewer reads the whole rule book, so a policy that is not
    named is not violated. Its weight is that of its lot, if it was ever drawn by one."""
    strange = sorted(set(reviews.chosen.tolist()) - set(CHOSEN))
    if strange:
        raise InputError(f"A review was chosen by {strange[0]!r}; known are {', '.join(CHOSEN)}.")
    by_lot = reviews.chosen == "lot"
    if not (reviews.propensity[by_lot] > 0).all() or (reviews.propensity[by_lot] > 1).any():
        raise InputError(
            "A review by lot wants its propensity, above 0 and at most 1: nothing can be weighed without it."
        )
    post_id, whose = np.unique(reviews.post_id, return_inverse=True)
    last = np.zeros(len(post_id), dtype=np.int64)
    np.maximum.at(last, whose, np.arange(len(whose)))
    found = np.zeros((len(post_id), num_policies))
    found[np.arange(len(post_id)), reviews.policy[last]] = reviews.upheld[last]
    weight = np.zeros(len(post_id))
    np.maximum.at(weight, whose[by_lot], 1 / reviews.propensity[by_lot])
    return Labels(post_id=post_id, hand_label=found, weight=weight)
