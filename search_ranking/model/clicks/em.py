"""The position-based model by expectation-maximisation: P(click) = examination[slot] x attraction[pair, or features].

A click says seen and attracted. No click leaves three cases, and the E-step shares them out (with t = examination, g = attraction):

    P(seen | no click) = t (1 - g) / (1 - t g)          P(attracted | no click) = g (1 - t) / (1 - t g)

`by_pairs` keeps one g for each (query, document): it needs pairs that were shown in several slots (Chuklin et al. 2015, 4.2). Where none was,
features may tell g instead: PAL (pal.py).

Breaks: pairs shown a few times each make the lower slots look seen more (test_clicks.py).
"""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from search_ranking.model.clicks import Curve, check, relative, resampled

LEAST = 1e-6  # a pair never clicked would have attraction 0 for good, one always clicked 0 / 0


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
        raise InputError(f"None of {len(pair)} (query, document) pairs was shown in two slots: nothing tells a good slot from a good document. Use pal.factorised or swaps.")  # fmt: skip
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


def _cells(query_id: Ints, doc_id: Ints, slot: Ints, clicked: Bools) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """-> (query, pair, slot, times shown, clicks), one entry for each (query, document, slot) of the log; queries and pairs numbered from 0."""
    _, query = np.unique(query_id, return_inverse=True)
    _, document = np.unique(doc_id, return_inverse=True)
    _, pair = np.unique(query * (int(document.max()) + 1) + document, return_inverse=True)
    _, first, cell = np.unique(pair * (int(slot.max()) + 1) + slot, return_index=True, return_inverse=True)
    shown, clicks = np.bincount(cell).astype(float), np.bincount(cell, clicked).astype(float)
    return query[first], pair[first], slot[first], shown, clicks
