"""From costs and labelled posts to four numbers a policy, and the reason for each that is not where the costs alone would have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats
from harmful_content.policy.costs import NEVER, Costs

SETS = 5
"""Nested sets of the likeliest posts on which the floor is tried, each half of the one before. Fixed beforehand, and the error is shared among
them: whoever tries every threshold finds one that passes by luck."""
ERROR = 0.05


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Of one policy, probabilities: from `demote`, `queue`, `remove` up the action is at least that (NEVER: no probability is enough); from `waiting` up
    a queued post is demoted while it waits. `reason`: where the precision floor put `remove`, and why."""

    demote: float
    queue: float
    remove: float
    waiting: float
    reason: str


def solve(
    costs: Costs, probability: Floats, label: Floats, floor: float, demoting: bool = True
) -> tuple[Threshold, ...]:
    """probability (calibrated), label (by hand, NaN unknown) [n, num_policies] -> one Threshold a policy.

    The costs alone give the crossings (Costs.bands). Then a removal without a human has to be right `floor` of the time: `remove` rises to where
    that is sure. `floor` 0: the costs alone."""
    bands, waiting, found = costs.bands(demoting), costs.waits_demoted(), []
    for policy, (demote, queue, remove) in enumerate(bands.tolist()):
        known = np.isfinite(label[:, policy])
        safe, reason = raise_to(floor, remove, probability[known, policy], label[known, policy])
        asleep = float(waiting[policy]) if demoting else NEVER
        found.append(Threshold(demote=demote, queue=queue, remove=safe, waiting=asleep, reason=reason))
    return tuple(found)


def raise_to(floor: float, start: float, probability: Floats, label: Floats) -> tuple[float, str]:
    """-> (the least threshold from `start` up above which the precision is at least `floor` for sure, what was found). probability, label [n].

    Tried on SETS sets: all labelled posts from `start` up, the likelier half, quarter, and so on; the lower bound is Clopper and Pearson's at
    ERROR / SETS each (Bonferroni), so the promise is broken in at most ERROR of all fits."""
    if floor <= 0:
        return start, "the costs alone"
    order = np.argsort(-probability, kind="stable")
    order = order[: int((probability >= start).sum())]
    best, most = 0.0, len(order)
    for part in range(SETS):
        size = most // 2**part
        if not size:
            break
        least = float(probability[order[size - 1]])
        above = label[probability >= least]
        bound = lower_bound(int(above.sum()), len(above), ERROR / SETS)
        if bound >= floor:
            threshold = start if part == 0 else least
            moved = (
                "where the costs put it"
                if part == 0
                else f"raised from {start:.3f} to {threshold:.3f} for the precision floor"
            )
            return threshold, f"{moved}: {int(above.sum())} of {len(above)} labelled posts above it are violations"
        best = max(best, bound)
    wanted = int(np.ceil(np.log(ERROR / SETS) / np.log(floor)))
    return NEVER, (
        f"nothing is removed without a reviewer: of {most} labelled posts from {start:.3f} up a precision of {best:.2f} is sure, "
        f"the floor is {floor:g}; it takes {wanted} labelled posts without an error"
    )


def lower_bound(hits: int, tried: int, error: float) -> float:
    """The least share of which so many hits are still likely: one-sided Clopper-Pearson, too low in at most `error` of all samples."""
    from scipy.special import betaincinv  # without scipy.stats and its half second of import

    return float(betaincinv(hits, tried - hits + 1, error)) if hits else 0.0
