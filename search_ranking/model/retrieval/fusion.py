"""One list out of several: the legs' answers to the same queries, fused by scores, by ranks, or by a learned layer.

A leg is a Ranking [n, k]. What a leg did not return has no score there: counted as the least it did return by min-max, as 0 by the plain sum,
as nothing by reciprocal ranks. The trap: BM25 is unbounded and a cosine is not. With BM25 at 24.5 beside a cosine of .82 and weights of a half
each, words hold 24.5 / (24.5 + .82) = 96.8 % of the sum, and the vectors were computed for nothing; `share_of_decision` says so of any legs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Bools, Floats, Ints, Ranking
from common.errors import InputError, did_you_mean

RRF = 60  # Cormack, Clarke and Buettcher 2009: the first ranks weigh about alike, so that no leg decides alone


@dataclass(frozen=True, kw_only=True)
class Pool:
    """All that any leg returned: ids [n, m] ascending, -1 behind; scores [n, m, num_legs], NaN where the leg did not return it; ranks from 1, 0 there."""

    ids: Ints
    scores: Floats
    ranks: Ints

    @property
    def returned(self) -> Bools:
        return self.ranks > 0


def pool(legs: Sequence[Ranking]) -> Pool:
    """Raises InputError where the legs answer different numbers of queries."""
    counts = {len(leg.ids) for leg in legs}
    if len(counts) != 1:
        raise InputError(f"Legs to fuse answer {sorted(counts)} queries; expected one number, at least one leg.")
    rows = [np.unique(np.concatenate(each)) for each in zip(*(leg.ids for leg in legs), strict=True)]
    rows = [row[row >= 0] for row in rows]
    shape = len(rows), max((len(row) for row in rows), default=0)
    ids, scores, ranks = (
        np.full(shape, -1),
        np.full((*shape, len(legs)), np.nan),
        np.zeros((*shape, len(legs)), np.int64),
    )
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        for leg, found in enumerate(legs):
            there = np.flatnonzero(found.ids[at] >= 0)
            place = np.searchsorted(row, found.ids[at, there])
            scores[at, place, leg], ranks[at, place, leg] = found.scores[at, there], there + 1
    return Pool(ids=ids, scores=scores, ranks=ranks)


def weighted_sum(legs: Sequence[Ranking], weights: Sequence[float], k: int) -> Ranking:
    """Raw scores. Right only where the legs measure in the same unit."""
    pooled = pool(legs)
    return _best(pooled.ids, np.nan_to_num(pooled.scores) @ np.asarray(weights), k)


def min_max(legs: Sequence[Ranking], weights: Sequence[float], k: int) -> Ranking:
    """Each leg's scores of a query stretched to 0 .. 1, then the weighted sum. A query's weakest answer is 0 and its best 1, however good."""
    pooled = pool(legs)
    return _best(pooled.ids, _stretched(pooled) @ np.asarray(weights), k)


def rrf(legs: Sequence[Ranking], k: int, constant: int = RRF) -> Ranking:
    """Sum over the legs of 1 / (constant + rank): no scores, so nothing to put in one unit, and nothing of how sure a leg was."""
    pooled = pool(legs)
    return _best(pooled.ids, np.where(pooled.returned, 1 / (constant + pooled.ranks), 0.0).sum(axis=2), k)


HOW = ("rrf", "weighted", "minmax")


def named(how: str, legs: Mapping[str, Ranking], weight: float, k: int) -> Ranking:
    """By the name it has in the configuration. `weight`: of the lexical leg, the dense one has the rest; ranks have none. A leg that did not
    come is left out. Raises InputError on no such name."""
    weights = [weight if leg == "lexical" else (1 - weight) for leg in legs]
    if how == "rrf":
        return rrf(list(legs.values()), k)
    if how == "weighted":
        found = weighted_sum(
            list(legs.values()), weights, k
        )  # a cosine may be below 0, as is said of what no leg found
        return Ranking(ids=found.ids, scores=np.where(found.ids >= 0, np.maximum(found.scores, 0.0), -np.inf))
    if how == "minmax":
        return min_max(list(legs.values()), weights, k)
    raise InputError(f"fusion={how!r}. {did_you_mean(how, HOW)}")


def features(pooled: Pool) -> Floats:
    """[n, m, 4 * num_legs]: of each leg the raw score, the same stretched over the query's answers, the reciprocal rank, and whether it
    returned it. A score a leg did not give is the least it gave for the query."""
    least = np.where(pooled.returned, pooled.scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    raw = np.where(pooled.returned, pooled.scores, np.where(np.isfinite(least), least, 0.0))
    near = np.where(pooled.returned, RRF / (RRF + pooled.ranks), 0.0)
    return np.concatenate([raw, _stretched(pooled), near, pooled.returned.astype(float)], axis=2)


@dataclass(frozen=True, eq=False)
class Learned:
    """A logistic layer over `features`: the probability that a candidate is relevant, so also an answer to how sure."""

    mean: Floats
    spread: Floats
    weight: Floats
    bias: float

    def probability(self, pooled: Pool) -> Floats:
        """[n, m]."""
        chance: Floats = 1 / (1 + np.exp(-(self.bias + (features(pooled) - self.mean) / self.spread @ self.weight)))
        return chance

    def fuse(self, legs: Sequence[Ranking], k: int) -> Ranking:
        pooled = pool(legs)
        if 4 * len(legs) != len(self.weight):
            raise InputError(
                f"A layer fitted over {len(self.weight) // 4} legs was given {len(legs)}. Give it the legs of its fit."
            )
        return _best(pooled.ids, self.probability(pooled), k)


def fit(legs: Sequence[Ranking], relevant: Ints, strength: float = 1.0) -> Learned:
    """legs over judged queries, relevant [n, m] document ids (-1 pads). Every query weighs the same, its relevant candidates together as much as
    the others: else the thousand easy negatives set the slope. `strength`: inverse of the L2 penalty, as scikit-learn has it.
    Raises InputError where no leg found anything relevant: there is nothing to learn from."""
    from sklearn.linear_model import LogisticRegression

    pooled = pool(legs)
    label = (pooled.ids[:, :, None] == relevant[:, None, :]).any(axis=2) & (pooled.ids >= 0)
    there = (pooled.ids >= 0) & label.any(axis=1, keepdims=True)
    if not label.any():
        raise InputError(
            f"No leg returned a relevant document for any of {len(relevant)} queries: a layer cannot be fitted."
        )
    positives = label.sum(axis=1, keepdims=True)
    weight = np.where(
        label, 1 / np.maximum(positives, 1), 1 / np.maximum(there.sum(axis=1, keepdims=True) - positives, 1)
    )
    inputs = features(pooled)[there]
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    model: Any = LogisticRegression(C=strength, max_iter=1000)
    model.fit((inputs - mean) / spread, label[there], sample_weight=weight[there])
    return Learned(mean, spread, model.coef_[0].astype(float), float(model.intercept_[0]))


def share_of_decision(legs: Sequence[Ranking], weights: Sequence[float], depth: int = 10) -> Floats:
    """[num_legs], sums to 1: whose numbers the plain sum is made of, over each query's first `depth` documents by that sum; the mean over
    queries. Far from what the weights say means that raw scores in different units were added."""
    pooled = pool(legs)
    parts = np.nan_to_num(pooled.scores) * np.asarray(weights)
    order = np.argsort(-np.where(pooled.ids >= 0, parts.sum(axis=2), -np.inf), axis=1, kind="stable")[:, :depth]
    total = np.abs(np.take_along_axis(parts, order[:, :, None], 1)).sum(axis=1)
    told = total.sum(axis=1) > 0
    shares: Floats = (total[told] / total[told].sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def _stretched(pooled: Pool) -> Floats:
    """[n, m, num_legs] in 0 .. 1; where all of a leg's scores are the same, 1."""
    low = np.where(pooled.returned, pooled.scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(pooled.returned, pooled.scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    flat = ~(high > low)
    stretched = (pooled.scores - np.where(flat, 0.0, low)) / np.where(flat, 1.0, high - low)
    return np.where(pooled.returned, np.where(flat, 1.0, stretched), 0.0)


def _best(ids: Ints, scores: Floats, k: int) -> Ranking:
    """By score, ties by id (ascending already): the k best [n, k]."""
    ordered = np.where(ids >= 0, scores, -np.inf)
    order = np.argsort(-ordered, axis=1, kind="stable")[:, :k]
    more = ((0, 0), (0, max(k - ids.shape[1], 0)))
    return Ranking(
        ids=np.pad(np.take_along_axis(ids, order, 1), more, constant_values=-1),
        scores=np.pad(np.take_along_axis(ordered, order, 1), more, constant_values=-np.inf),
    )
