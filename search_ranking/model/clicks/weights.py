"""Clicks turned into unbiased labels, and the objectives that learn from them.

    ips        c / t[slot]                        E = P(attracted) under the position-based model           (Joachims et al. 2017)

Under trust bias no weight repairs a click: an affine correction does, which wants the bias measured first (Vardasbi et al. 2020; not built).
An objective that is linear in the label stays unbiased when such a label takes the place of the true one, also above 1:

    pairwise   sum over i of label_i x sum over all j of |discount_i - discount_j| x log(1 + exp(s_j - s_i)), every other j of the list, clicked
               or not: an unclicked document is not an irrelevant one, and leaving out the clicked would bring the click of j back in

The short way is `ips` as `weight` of a LightGBM Dataset under its lambdarank. It is not this sum: LightGBM multiplies each row's whole gradient
by the row's own weight, so in a pair the unclicked side keeps weight 1. `a_list_a_click` makes lists in which both sides have it. LightGBM's `position=` is a third way: a bias added to the score,
learnt along the way. `debias.debias_table` puts all of them side by side.

Breaks: a slot that is seen once in a hundred weighs 100; clip, and read the share that was clipped, which is where bias comes back in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError

Objective = Callable[[Floats, Any], tuple[Floats, Floats]]
MOST = 20.0


@dataclass(frozen=True, kw_only=True)
class Labels:
    """`values` [n]: unbiased labels. `weights` [n]: of each row, 1 where there is no click (what a Dataset takes). `clipped`: share of the clicks
    whose weight was cut; of them the label is too small."""

    values: Floats
    weights: Floats
    clipped: float


def ips(slot: Ints, clicked: Bools, examination: Floats, *, most: float = MOST) -> Labels:
    """slot, clicked [n], examination [num_slots] on any scale: 1 at its highest slot is usual. Weights above `most` count as `most`."""
    _refuse(examination, slot)
    full = 1 / examination[slot]
    weights = np.where(clicked, np.minimum(full, most), 1.0)
    return Labels(values=np.where(clicked, weights, 0.0), weights=weights, clipped=_share(full > most, clicked))


def self_normalised(labels: Labels, clicked: Bools, groups: Ints) -> Labels:
    """ips labels scaled so that the clicks of each group [n] weigh 1 on average (Swaminathan and Joachims 2015): less variance, and a bias that
    goes with the clicks of a group. A group is a query with its many sessions, or the whole log. Never a session: one with a single click would
    get weight 1, wherever the click was."""
    _, group = np.unique(groups, return_inverse=True)
    clicks = np.bincount(group, clicked)
    mean = np.bincount(group, labels.weights * clicked) / np.maximum(clicks, 1)
    weights = np.where(clicked, labels.weights / np.maximum(mean, 1e-12)[group], 1.0)
    return Labels(values=np.where(clicked, weights, 0.0), weights=weights, clipped=labels.clipped)


def a_list_a_click(request_id: Ints, clicked: Bools) -> tuple[Ints, Ints]:
    """Rows of pages, [n] each, those of one page together -> of each click's list the rows [m], and the click they belong to [m]."""
    start = np.flatnonzero(np.diff(request_id, prepend=-1))
    size = np.diff(np.append(start, len(request_id)))
    clicks = np.flatnonzero(clicked)
    page = np.searchsorted(start, clicks, side="right") - 1
    click, place = np.repeat(clicks, size[page]), np.concatenate([np.arange(one) for one in size[page]])
    row = np.repeat(start[page], size[page]) + place
    kept = (row == click) | ~clicked[row]
    return row[kept], click[kept]


def pairwise(labels: Floats, sizes: Ints) -> Objective:
    """labels [n], sizes [num_lists] of consecutive rows -> a LightGBM objective: LambdaRank's lambdas (Burges 2010) on the sum above, discounts by the
    model's own order. Lists are padded to the longest."""
    rows, real = _padded(sizes)
    padded = np.where(real, labels[rows], 0.0)
    lists = np.flatnonzero((padded != 0).any(axis=1))  # the others have no gradient
    rows, real, padded = rows[lists], real[lists], padded[lists]

    def objective(score: Floats, train: Any) -> tuple[Floats, Floats]:
        scores = np.where(real, score[rows], -np.inf)
        places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
        discount = np.where(real, 1 / np.log2(places + 2), 0.0)
        finite = np.where(real, scores, 0.0)
        gradient, curvature = np.zeros(scores.shape), np.zeros(scores.shape)
        for i in range(scores.shape[1]):  # one column against all: lists x longest memory
            apart = padded[:, i, None] * np.abs(discount[:, i, None] - discount) * (real & real[:, i, None])
            losing = 1 / (1 + np.exp(np.clip(finite[:, i, None] - finite, -30, 30)))
            push, bend = apart * losing, np.abs(apart) * losing * (1 - losing)
            gradient += push
            curvature += bend
            gradient[:, i] -= push.sum(axis=1)
            curvature[:, i] += bend.sum(axis=1)
        found = np.zeros((2, len(score)))
        found[0, rows[real]], found[1, rows[real]] = gradient[real], curvature[real] + 1e-9
        return found[0], found[1]

    return objective


def _padded(sizes: Ints) -> tuple[Ints, Bools]:
    """-> (row of each place, whether it is one), [num_lists, longest]."""
    place = np.arange(int(sizes.max()))
    real = place < sizes[:, None]
    return np.where(real, (np.cumsum(sizes) - sizes)[:, None] + place, 0), real


def _refuse(examination: Floats, slot: Ints) -> None:
    if slot.max() >= len(examination):
        raise InputError(f"Slot {slot.max()} has no examination: the curve holds {len(examination)} slots.")
    if not (np.isfinite(examination) & (examination > 0)).all():
        raise InputError(f"Examination must be finite and above 0 in every slot, got {examination.tolist()}.")


def _share(cut: Bools, clicked: Bools) -> float:
    return float((cut & clicked).sum() / max(clicked.sum(), 1))
