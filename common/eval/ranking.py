"""Metrics of ranked answers, one unit a request: the mean over requests is the metric, so every one of them can be paired.

Answers are ids [n, k], relevant items [n, m]; -1 pads both and never counts. `hits` turns ids into marks, the rest looks at marks or gains
alone. Fewer than k answers are treated as k answers of which the missing ones are wrong. A request without a relevant item scores 0:
leave such requests out first if they should not count. ir_measures is the oracle in tests/common/eval/test_ranking.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError, did_you_mean


def judge(ids: Ints, relevant: Ints, keys: Iterable[str]) -> dict[str, Floats]:
    """The units [n] of each metric key against logged positives: judge(ids, relevant, ["ndcg@20", "hit_rate@20", "mrr"])."""
    marks, num_relevant = hits(ids, relevant), (relevant >= 0).sum(axis=1)
    found: dict[str, Floats] = {}
    for key in keys:
        name, _, k = key.partition("@")
        if name not in _BINARY:
            raise InputError(f"{key!r} cannot be computed from ids and relevant ids. {did_you_mean(name, _BINARY)}")
        found[key] = _BINARY[name](marks, num_relevant, int(k) if k else marks.shape[1])
    return found


def hits(ids: Ints, relevant: Ints) -> Bools:
    """[n, k]: is this answer relevant? An id that stands twice in one answer is refused: it would be paid twice."""
    assert len(ids) == len(relevant), (ids.shape, relevant.shape)
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, place = np.argwhere(twice)[0]
        raise InputError(f"Answer {row} holds id {ordered[row, place]} twice; each id may stand in an answer once.")
    marks = np.zeros(ids.shape, bool)
    for column in relevant.T:  # a column at a time: n x k memory instead of n x k x m
        marks |= (ids == column[:, None]) & (ids >= 0)
    return marks


def precision(marks: Bools, k: int) -> Floats:
    """Relevant among the first k, over k. [n, >=1] -> [n]."""
    return expected_gain(marks.astype(float), k)


def recall(marks: Bools, num_relevant: Ints, k: int) -> Floats:
    """Relevant among the first k, over all relevant: never above k / num_relevant."""
    return _over(marks[:, :k].sum(axis=1), num_relevant)


def hit_rate(marks: Bools, k: int) -> Floats:
    """1 if any of the first k is relevant, else 0."""
    return marks[:, :k].any(axis=1).astype(float)


def mrr(marks: Bools, k: int | None = None) -> Floats:
    """1 / place of the first relevant answer, 0 if there is none."""
    first = marks[:, :k].argmax(axis=1)
    return np.where(marks[:, :k].any(axis=1), 1 / (first + 1), 0.0)


def average_precision(marks: Bools, num_relevant: Ints, k: int) -> Floats:
    """Precision at the place of each relevant answer among the first k, over all relevant (trec_eval's map_cut)."""
    cut = marks[:, :k]
    precisions = np.cumsum(cut, axis=1) / np.arange(1, cut.shape[1] + 1)
    return _over((precisions * cut).sum(axis=1), num_relevant)


def ndcg(gains: Floats | Bools, ideal: Floats | Bools, k: int) -> Floats:
    """DCG of gains [n, >=1] over the DCG of the best k of `ideal` [n, m], the gains of all items worth anything, in any order.

    Linear gain, discount 1 / log2(1 + place) (Jarvelin and Kekalainen 2002, as trec_eval has it). Binary: ndcg(hits(ids, relevant), relevant >= 0, k).
    """
    best = -np.sort(-ideal.astype(float), axis=1)
    return _over(_dcg(gains.astype(float), k), _dcg(best, k))


def expected_gain(gains: Floats, k: int) -> Floats:
    """Gain of the first k answers, summed and divided by k, no discount; gains [n, <=k] of padding must be 0. -> [n]."""
    mean: Floats = gains[:, :k].sum(axis=1) / k
    return mean


def ann_recall(found: Ints, exact: Ints, k: int) -> Floats:
    """Share of the k exact neighbours `exact` [n, >=k] that the index returned in `found` [n, >=k]. -> [n]."""
    return recall(hits(found[:, :k], exact[:, :k]), (exact[:, :k] >= 0).sum(axis=1), k)


def coverage(ids: Ints, num_items: int) -> float:
    """Share of the catalogue that stands in at least one answer."""
    return len(np.unique(ids[ids >= 0])) / num_items


def gini(ids: Ints, num_items: int) -> float:
    """Gini coefficient of exposure over all `num_items` of the catalogue, those never shown included; NaN if nothing was shown."""
    shown = np.unique(ids[ids >= 0], return_counts=True)[1]
    exposure = np.concatenate([np.zeros(num_items - len(shown)), np.sort(shown)])
    if not len(shown):
        return float("nan")
    place = np.arange(1, num_items + 1)
    return float(((2 * place - num_items - 1) * exposure).sum() / (num_items * exposure.sum()))


def diversity(vectors: Floats) -> Floats:
    """1 - mean cosine similarity of two different answers; vectors [n, k, d] with k >= 2 and no padding. -> [n].

    A list can be diverse by being random: read it beside a metric of relevance, never alone.
    """
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    k, total = unit.shape[1], unit.sum(axis=1)  # |sum of units|^2 = k + all ordered pairs
    similarity: Floats = ((total**2).sum(axis=1) - k) / (k * (k - 1))
    return 1 - similarity


_BINARY: Mapping[str, Callable[[Bools, Ints, int], Floats]] = {
    "precision": lambda marks, num_relevant, k: precision(marks, k),
    "recall": recall,
    "hit_rate": lambda marks, num_relevant, k: hit_rate(marks, k),
    "mrr": lambda marks, num_relevant, k: mrr(marks, k),
    "map": average_precision,
    "ndcg": lambda marks, num_relevant, k: _over(_dcg(marks.astype(float), k), _ideal(num_relevant, k)),
}


def _ideal(num_relevant: Ints, k: int) -> Floats:
    """DCG of an answer whose first num_relevant places are all relevant."""
    upto = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    return upto[np.minimum(num_relevant, k)]


def _dcg(gains: Floats, k: int) -> Floats:
    cut = gains[:, :k]
    discounted: Floats = cut @ (1 / np.log2(np.arange(2, cut.shape[1] + 2)))
    return discounted


def _over(part: Floats | Ints, whole: Floats | Ints) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
