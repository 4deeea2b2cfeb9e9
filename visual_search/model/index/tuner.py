"""The cheapest index that finds enough, soon enough: measured on queries held out, not looked up in a table.

Kinds are tried from the least memory to the most, and the first that reaches the recall inside the deadline is the answer, so nothing dearer is
ever built. Within one kind the knob of its search (probes, ef) is the least that reaches the recall. An exact scan of a few megabytes comes
before all of them: it has nothing to learn, nothing to grow stale, and nothing to save.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Ints
from common.errors import InputError
from visual_search.model.index.served import Served
from visual_search.model.index.settings import CODE, FLAT, HNSW, IVF, IVF_PQ, Setting, faiss, make
from visual_search.model.parts import Vectors

K = 100  # neighbours: as many as are ranked again
FREE = 16 * 2**20  # bytes not worth saving: below it a scan is taken if it is in time
TIMED = 60  # single queries a time is taken from
BLOCK = 128  # queries whose answers are compared at once
MOST_EF = 16 * K  # beyond, a graph reads so much that lists do the same


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One setting as measured: share of the K exact neighbours found, milliseconds of a single query (the slowest but one in twenty), bytes in memory."""

    setting: Setting
    recall: float
    ms: float
    nbytes: int
    build_seconds: float


@dataclass(frozen=True)
class Choice:
    """The cheapest, built; and all that was tried on the way to it."""

    setting: Setting
    index: Served
    tried: Sequence[Tried]


def cheapest(ids: Ints, vectors: Vectors, queries: Vectors, recall: float, deadline_ms: float) -> Choice:
    """vectors [n, dim]; queries [m, dim], some hundreds that nothing was fitted on. InputError where no setting reaches both."""
    truth, tried = exact_neighbours(vectors, queries, K), list[Tried]()
    shape, base, seconds = None, None, 0.0
    for setting in settings(*vectors.shape):
        if setting.shape != shape:
            begin = time.perf_counter()
            shape, base = setting.shape, make(setting, vectors)
            seconds = time.perf_counter() - begin
        index = Served(setting, ids, vectors, base)
        tuned(index, queries, truth, recall)
        tried.append(measured(index, queries, truth, seconds))
        if tried[-1].recall >= recall and tried[-1].ms <= deadline_ms:
            return Choice(index.setting, index, tried)
    raise InputError(_refusal(tried, recall, deadline_ms))


def settings(num: int, dim: int) -> Iterator[Setting]:
    """What is tried for `num` vectors, the least memory first: codes with their vectors in a file, a scan, lists, graphs."""
    flat = Setting(kind=FLAT)
    small = 4 * num * dim <= FREE
    if small:
        yield flat
    lists = num_lists(num)
    for code in (dim // 4, dim // 2):
        if code and dim % code == 0 and num >= 4 * CODE:
            yield from (Setting(kind=IVF_PQ, lists=lists, probes=1, code=code, rerank=rerank) for rerank in (2, 8))
    if not small:
        yield flat
    yield Setting(kind=IVF, lists=lists, probes=1)
    yield from (Setting(kind=HNSW, links=links, ef=K) for links in (8, 16, 32))


def num_lists(num: int) -> int:
    """The power of two nearest to four times the root of the number of vectors: picking lists costs about as much as reading them."""
    return min(int(2 ** round(np.log2(4 * num**0.5))), num)


def tuned(index: Served, queries: Vectors, truth: Ints, recall: float) -> None:
    """Sets the least probes, or ef, that finds `recall` of the true neighbours (rows [m, k]); the most there are where none does."""
    knob, least, most = _knob(index.setting)
    if not knob:
        return

    def reached(value: int) -> float:
        index.setting = replace(index.setting, **{knob: value})  # type: ignore[arg-type]
        return ann_recall(index.search(queries, truth.shape[1])[0], index.ids[truth])

    top = least
    while top < most and reached(top) < recall:
        top = min(2 * top, most)
    low = max(least, top // 2)
    reached(low + bisect_left(range(low, top), recall, key=reached))


def _knob(setting: Setting) -> tuple[str, int, int]:
    """What a search turns, from where to where."""
    if setting.lists:
        return "probes", 1, setting.lists
    return ("ef", K, MOST_EF) if setting.kind == HNSW else ("", 0, 0)


def measured(index: Served, queries: Vectors, truth: Ints, build_seconds: float) -> Tried:
    found = index.search(queries, truth.shape[1])[0]
    ms = [_ms(index, queries[at % len(queries)][None]) for at in range(TIMED)]
    return Tried(
        setting=index.setting,
        recall=ann_recall(found, index.ids[truth]),
        ms=float(np.quantile(ms, 0.95)),
        nbytes=index.nbytes,
        build_seconds=build_seconds,
    )


def _ms(index: Served, query: Vectors) -> float:
    begin = time.perf_counter()
    index.search(query, K)
    return (time.perf_counter() - begin) * 1e3


def exact_neighbours(vectors: Vectors, queries: Vectors, k: int) -> Ints:
    """[m, k] rows, by a scan of everything."""
    found: Ints = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)[1]
    return found


def ann_recall(found: Ints, truth: Ints) -> float:
    """Share of the exact neighbours [m, k] that were found."""
    return float(each_recall(found, truth).mean())


def each_recall(found: Ints, truth: Ints) -> Vectors:
    """The same of every query, [m]."""
    hits = [
        (truth[at : at + BLOCK, :, None] == found[at : at + BLOCK, None, :]).any(axis=2).mean(axis=1)
        for at in range(0, len(truth), BLOCK)
    ]
    return np.concatenate([np.empty(0), *hits]).astype(np.float32)


def _refusal(tried: Sequence[Tried], recall: float, deadline_ms: float) -> str:
    most = max(tried, key=lambda one: one.recall)
    soon = [one for one in tried if one.recall >= recall]
    enough = "none finds as much"
    if soon:
        quickest = min(soon, key=lambda one: one.ms)
        enough = f"the quickest that finds as much is {quickest.setting}, {quickest.ms:.3g} ms"
    return (
        f"No index of the {len(tried)} tried finds {recall:g} of the {K} neighbours within {deadline_ms:g} ms: {enough}; "
        f"the most is found by {most.setting}, {most.recall:.3f} in {most.ms:.3g} ms. Ask for less recall, or allow more time."
    )
