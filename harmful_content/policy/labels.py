"""What reviewers decided, as labels: all of it trains, and what was drawn by lot says how much harm there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.errors import InputError

CHOSEN = ("priority", "oldest", "lot", "appeal")
"""How a post came to a reviewer."""


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
