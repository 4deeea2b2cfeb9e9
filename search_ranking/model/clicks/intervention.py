"""Examination from interventions: the same document in two slots, put there by something that did not look at it.

    swaps    a coin moves the first result to slot k: rate(moved to k) / rate(left in 0)                  (Joachims et al. 2017)
    harvest  rankers that ran side by side differ, so pairs stand in several slots: no coin is needed      (Agarwal et al. 2019)

Neither models relevance: a document is compared with itself. harvest weights each pair as Mantel and Haenszel (1959) weight strata, by
n n' / (n + n') of its impressions in either slot, where the paper weights by 1 / n: a pair shown once in a slot is then not the loudest.

Breaks: swaps, where some queries are swapped more than others; harvest, where sessions chose their ranker (a ranker of one country's users).
"""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from search_ranking.model.clicks import Curve, check, per_cluster, relative, resampled


def swaps(slot: Ints, clicked: Bools, swapped: Bools, clusters: Ints, *, reps: int = 200, seed: int = 0) -> Curve:
    """All [n]. `swapped`: this row's document changed places with slot 0, or was there and was moved away, by a coin that is the same for every
    session. What stands swapped in slot k > 0 was first; it is compared with the first of sessions left alone. Intervals over clusters."""
    num_slots = check(slot, clicked)
    _, cluster = np.unique(clusters, return_inverse=True)
    first = np.where(slot == 0, ~swapped, swapped)
    missing = np.setdiff1d(np.arange(num_slots), slot[first & clicked])
    if len(missing):
        raise InputError(f"No click on a first result swapped into slots {missing.tolist()}: swap more sessions, or leave these slots out.")  # fmt: skip
    shape = (int(cluster.max()) + 1, num_slots)
    shown = per_cluster(cluster[first], slot[first], None, shape)
    clicks = per_cluster(cluster[first], slot[first], clicked[first], shape)

    def estimate(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):  # a resample without a swap into some slot is left out
            return relative((weights @ clicks) / (weights @ shown))

    return resampled(estimate, len(shown), reps, seed)


def harvest(query_id: Ints, doc_id: Ints, slot: Ints, clicked: Bools, *, reps: int = 200, seed: int = 0) -> Curve:
    """All [n]. Every two slots that share documents give a ratio; log examination is the least-squares fit to all of them, each weighted by its
    clicks. Intervals over queries. Raises InputError where slots fall into groups that no document joins."""
    num_slots = check(slot, clicked)
    query, pairs = _contrasts(query_id, doc_id, slot, clicked, num_slots)
    _joined(pairs.sum(axis=0).reshape(num_slots, num_slots))

    def estimate(weights: Floats) -> Floats:
        return _fit((weights @ pairs).reshape(num_slots, num_slots))

    return resampled(estimate, query, reps, seed)


def _contrasts(query_id: Ints, doc_id: Ints, slot: Ints, clicked: Bools, num_slots: int) -> tuple[int, Floats]:
    """-> (num_queries, [num_queries, num_slots * num_slots]): entry (k, j) is the weighted clicks in k of documents that stood in k and in j."""
    _, query = np.unique(query_id, return_inverse=True)
    _, document = np.unique(doc_id, return_inverse=True)
    _, pair = np.unique(query * (int(document.max()) + 1) + document, return_inverse=True)
    owner = np.zeros(int(pair.max()) + 1, np.int64)
    owner[pair] = query
    shown = per_cluster(pair, slot, None, (len(owner), num_slots))
    rate = per_cluster(pair, slot, clicked, (len(owner), num_slots)) / np.maximum(shown, 1)
    num_queries = int(query.max()) + 1
    found = np.zeros((num_queries, num_slots * num_slots))
    for k in range(num_slots):  # a pair of slots at a time: pairs x slots memory, not pairs x slots x slots
        for j in range(num_slots):
            if k != j:
                both = shown[:, k] * shown[:, j] / np.maximum(shown[:, k] + shown[:, j], 1)
                found[:, k * num_slots + j] = np.bincount(owner, both * rate[:, k], num_queries)
    return num_queries, found


def _fit(clicks: Floats) -> Floats:
    """clicks [num_slots, num_slots] -> the curve. The variance of a log ratio of two counts is about 1 / a + 1 / b; slot 0 is held at log 1."""
    weight = np.divide(clicks * clicks.T, clicks + clicks.T, out=np.zeros_like(clicks), where=clicks * clicks.T > 0)
    ratio = np.log(np.where(weight > 0, clicks, 1.0) / np.where(weight > 0, clicks.T, 1.0))
    left, right = np.diag(weight.sum(axis=1)) - weight, (weight * ratio).sum(axis=1)
    if np.linalg.matrix_rank(left[1:, 1:]) < len(left) - 1:
        return np.full(len(left), np.nan)
    curve: Floats = np.exp(np.concatenate([[0.0], np.linalg.solve(left[1:, 1:], right[1:])]))
    return curve


def _joined(clicks: Floats) -> None:
    reached, edges = {0}, clicks * clicks.T > 0
    while more := set(np.flatnonzero(edges[sorted(reached)].any(axis=0)).tolist()) - reached:
        reached |= more
    apart = sorted(set(range(len(clicks))) - reached)
    if apart:
        raise InputError(f"No clicked document joins slots {apart} to slot 0: the rankers agree too much. Swap results, or log longer.")  # fmt: skip
