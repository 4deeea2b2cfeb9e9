"""The position-based model by expectation-maximisation: P(click) = examination[slot] x attraction[pair, or features].

A click says seen and attracted. No click leaves three cases, and the E-step shares them out (with t = examination, g = attraction):

    P(seen | no click) = t (1 - g) / (1 - t g)          P(attracted | no click) = g (1 - t) / (1 - t g)

`by_pairs` keeps one g for each (query, document): it needs pairs that were shown in several slots (Chuklin et al. 2015, 4.2). `by_regression` lets
features tell g (Wang et al. 2018, Position Bias Estimation for Unbiased Learning to Rank in Personal Search) and needs no pair twice. Two
steps differ from the paper: g is fitted to the shares themselves, not to labels drawn from them, and each round takes one step towards the
best fit, one Newton step or one tree, not a whole fit. Either raises the likelihood at every round, as EM must.

Breaks: `by_regression` where the old ranker knew what the features do not tell. Then documents in slot 0 are better than their features say,
and that is counted as being seen more: test_clicks.py says by how much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError, did_you_mean
from search_ranking.model.clicks import Curve, check, relative, resampled

LEAST = 1e-6  # a pair never clicked would have attraction 0 for good, one always clicked 0 / 0
RIDGE = 1e-3


def by_pairs(
    query_id: Ints,
    doc_id: Ints,
    slot: Ints,
    clicked: Bools,
    *,
    rounds: int = 2_000,
    tolerance: float = 1e-5,
    reps: int = 50,
    seed: int = 0,
) -> Curve:
    """All [n]. Rows of one (query, document, slot) count as one. Stops when no slot moves by `tolerance` of itself in a
    round, or after `rounds`. Intervals over queries, each resample started where the whole log ended. Too high far down where pairs are shown a few
    times each: a pair's own rate follows its luck, and the interval does not know (test_clicks.py). Raises InputError where no pair was shown in two slots."""
    num_slots = check(slot, clicked)
    query, pair, at, shown, clicks = _cells(query_id, doc_id, slot, clicked)
    if len(np.unique(pair)) == len(pair):
        raise InputError(f"None of {len(pair)} (query, document) pairs was shown in two slots: nothing tells a good slot from a good document. Use by_regression or swaps.")  # fmt: skip
    shown_of_pair, num_queries = np.bincount(pair, shown), int(query.max()) + 1

    def fit(weights: Floats, seen: Floats, attraction: Floats) -> tuple[Floats, Floats]:
        """From a start to where it settles. A pair belongs to one query, so weights move the slots alone."""
        weight = weights[query]
        shown_at = np.bincount(at, weight * shown, num_slots)
        for _ in range(rounds):
            before, t, g = relative(seen), seen[at], attraction[pair]
            missed = (shown - clicks) / (1 - t * g)
            seen = np.bincount(at, weight * (clicks + missed * t * (1 - g)), num_slots) / shown_at
            attraction = np.bincount(pair, clicks + missed * g * (1 - t)) / shown_of_pair
            attraction = np.clip(attraction, LEAST, 1 - LEAST)
            if np.abs(relative(seen) / before - 1).max() < tolerance:
                break
        return seen, attraction

    whole = fit(np.ones(num_queries), np.full(num_slots, 0.5), np.full(len(shown_of_pair), 0.5))
    return resampled(lambda weights: relative(fit(weights, *whole)[0]), num_queries, reps, seed)


def by_regression(
    features: Floats,
    slot: Ints,
    clicked: Bools,
    clusters: Ints,
    *,
    kind: str = "gbdt",
    rounds: int = 250,
    reps: int = 10,
    seed: int = 0,
) -> Curve:
    """features [n, d], the others [n]. kind: gbdt (a small tree a round) or logistic (a Newton step a round). Intervals over clusters, by fitting
    again: `reps` is what they cost."""
    if kind not in _FITS:
        raise InputError(f"There is no regression {kind!r}. {did_you_mean(kind, _FITS)}")
    num_slots = check(slot, clicked)
    _, cluster = np.unique(clusters, return_inverse=True)

    def estimate(weights: Floats) -> Floats:
        em = _Shares(slot, clicked, weights[cluster], num_slots)
        _FITS[kind](features, em.step, rounds, seed)
        return relative(em.seen)

    return resampled(estimate, int(cluster.max()) + 1, reps, seed)


class _Shares:
    """The E-step and the M-step of the slots; `step` then says where attraction should move."""

    def __init__(self, slot: Ints, clicked: Bools, weights: Floats, num_slots: int) -> None:
        self.slot, self.clicked, self.weights = slot, clicked.astype(float), weights
        self.shown = np.bincount(slot, weights, num_slots)
        self.seen = np.full(num_slots, 0.5)

    def step(self, score: Floats) -> tuple[Floats, Floats]:
        """score [n], the log odds of attraction -> gradient and curvature [n] of minus the likelihood of the shares."""
        g, t = 1 / (1 + np.exp(-np.clip(score, -30, 30))), self.seen[self.slot]
        missed = (1 - self.clicked) / (1 - t * g)
        seen = self.clicked + missed * t * (1 - g)
        attracted = self.clicked + missed * g * (1 - t)
        with np.errstate(invalid="ignore"):  # a resample may hold no row of some slot
            self.seen = np.clip(
                np.bincount(self.slot, self.weights * seen, len(self.seen)) / self.shown, LEAST, 1 - LEAST
            )
        return self.weights * (g - attracted), self.weights * g * (1 - g)


Step = Callable[[Floats], tuple[Floats, Floats]]


def _logistic(features: Floats, step: Step, rounds: int, seed: int) -> None:
    rows = np.column_stack([np.ones(len(features)), features])
    weights = np.zeros(rows.shape[1])
    for _ in range(rounds):
        gradient, curvature = step(rows @ weights)
        hessian = (rows * curvature[:, None]).T @ rows + RIDGE * np.eye(len(weights))
        weights = weights - np.linalg.solve(hessian, rows.T @ gradient + RIDGE * weights)


def _gbdt(features: Floats, step: Step, rounds: int, seed: int) -> None:
    import lightgbm

    from common.training.seeding import lightgbm_threads

    def objective(score: Floats, train: Any) -> tuple[Floats, Floats]:
        return step(score)

    parameters = {
        "objective": objective,
        "num_leaves": 31,
        "learning_rate": 0.3,
        "min_data_in_leaf": 200,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
    }
    lightgbm.train(parameters, lightgbm.Dataset(features), rounds)


_FITS: dict[str, Callable[[Floats, Step, int, int], None]] = {"gbdt": _gbdt, "logistic": _logistic}


def _cells(query_id: Ints, doc_id: Ints, slot: Ints, clicked: Bools) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """-> (query, pair, slot, times shown, clicks), one entry for each (query, document, slot) of the log; queries and pairs numbered from 0."""
    _, query = np.unique(query_id, return_inverse=True)
    _, document = np.unique(doc_id, return_inverse=True)
    _, pair = np.unique(query * (int(document.max()) + 1) + document, return_inverse=True)
    _, first, cell = np.unique(pair * (int(slot.max()) + 1) + slot, return_index=True, return_inverse=True)
    shown, clicks = np.bincount(cell).astype(float), np.bincount(cell, clicked).astype(float)
    return query[first], pair[first], slot[first], shown, clicks
