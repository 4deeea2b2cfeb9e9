"""Which index, as the gallery grows and as its vectors fill more directions: the classic ones beside those that are served."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from common.contract import Experiment, Ints, Table
from common.eval.chart import Chart
from common.training import seeding
from visual_search.config import Config
from visual_search.experiments import vectors as drawn
from visual_search.experiments.vectors import Hard
from visual_search.model.index.exact import Exact
from visual_search.model.index.forest import Forest
from visual_search.model.index.hnsw import Hnsw
from visual_search.model.index.ivf import Ivf
from visual_search.model.index.ivf_pq import IvfPq
from visual_search.model.index.kd_tree import KdTree
from visual_search.model.index.lsh import Lsh
from visual_search.model.index.served import Served
from visual_search.model.index.settings import FLAT, HNSW, IVF, IVF_PQ, Setting, append, make
from visual_search.model.index.tuner import ann_recall, num_lists
from visual_search.model.parts import Vectors

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
OURS_UP_TO = 3_000  # vectors: a graph or codes in Python beyond that only say again that Python is slow
K, RECALL = 10, 0.95
ROUNDS, A_ROUND = 5, 12  # timing rounds, and queries in each
INSERTED = 60
KEY = ("index", "vectors")


class Searched(Protocol):
    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]: ...

    def add(self, vectors: Vectors) -> None: ...

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class Turned:
    """An index, and how to turn its search up, from 1 to `most`; 0: there is nothing to turn."""

    index: Searched
    turn: Callable[[int], object] = int
    most: int = 0


class Library:
    """One of Faiss, as it is served but for ids."""

    def __init__(self, setting: Setting, vectors: Vectors) -> None:
        self.num, self.served = len(vectors), Served(setting, np.arange(len(vectors)), vectors, make(setting, vectors))

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        return self.served.search(queries, k)

    def add(self, vectors: Vectors) -> None:
        """Into the Faiss index itself: this is what is timed."""
        append(self.served.base, vectors, self.num)
        self.num += len(vectors)

    @property
    def nbytes(self) -> int:
        return self.served.nbytes

    def turn(self, knob: str, value: int) -> None:
        self.served.setting = replace(self.served.setting, **{knob: value})  # type: ignore[arg-type]


def _library(knob: str, most: int, vectors: Vectors, **setting: Any) -> Turned:
    library = Library(Setting(**setting), vectors)
    return Turned(library, partial(library.turn, knob), most)


def _own(index: Searched, knob: str, most: int) -> Turned:
    return Turned(index, partial(setattr, index, knob), most)


INDEXES: Mapping[str, Callable[[Vectors], Turned]] = {
    "exact": lambda v: Turned(Library(Setting(kind=FLAT), v)),
    "kd-tree": lambda v: _own(KdTree(v, 1), "most", len(v)),
    "forest": lambda v: _own(Forest(v, trees=8), "most", 8 * len(v)),
    "LSH": lambda v: _own(Lsh(v, tables=8, bits=_bits(len(v))), "probes", 56),
    "IVF": lambda v: _library("probes", num_lists(len(v)), v, kind=IVF, lists=num_lists(len(v))),
    "IVF-PQ": lambda v: _library(
        "probes", num_lists(len(v)), v, kind=IVF_PQ, lists=num_lists(len(v)), code=v.shape[1] // 4, rerank=20
    ),
    "HNSW": lambda v: _library("ef", 16 * K, v, kind=HNSW, links=16),
}
"""The first is what the others are compared with. Exact, IVF, IVF-PQ and HNSW are Faiss's, as they are served; the rest are ours, in Python."""
OURS: Mapping[str, Callable[[Vectors], Turned]] = {
    "exact, ours": lambda v: Turned(Exact(v)),
    "IVF, ours": lambda v: _own(Ivf(v, num_lists(len(v))), "probes", num_lists(len(v))),
    "IVF-PQ, ours": lambda v: _own(IvfPq(v, num_lists(len(v)), v.shape[1] // 4), "probes", num_lists(len(v))),
    "HNSW, ours": lambda v: _own(Hnsw(v, links=16), "ef", 16 * K),
}
"""The same in short, for reading: where they find as much, what they take longer is Python."""


def _bits(num: int) -> int:
    """About thirty vectors a bucket."""
    return max(2, round(math.log2(num / 30)))


def index_lab(config: Config) -> Table:
    """Which index finds 19 of 20 neighbours soonest, in how many bytes, and what does a new image cost it, as the gallery grows?

    A row is an index over so many vectors: the trained encoder's, and others grown around them. Each is turned up until it finds RECALL of the
    ten nearest on half of the queries, or as far as it goes, and judged on the others; one query at a time, one thread. `saved`: powers of ten
    that it is faster than a scan, with its range over rounds taken in turn. The foil is the scan. Decides from which size on the tuner looks further."""
    sizes = [num for num in SIZES if num <= 40 * config.num_images]
    grown = drawn.gallery(config, max(sizes))
    seeding.limit(1)
    try:
        return [row for num in sizes for row in _compared(replace(grown, vectors=grown.vectors[:num]))]
    finally:
        seeding.limit(seeding.num_threads())


def _compared(hard: Hard) -> Iterator[dict[str, Any]]:
    tune, judged = hard.queries[::2], hard.queries[1::2]
    few = {} if len(hard.vectors) > OURS_UP_TO else OURS
    scan = Library(Setting(kind=FLAT), hard.vectors)
    for name, build in {**INDEXES, **few}.items():
        turned = build(hard.vectors)
        least(turned, tune, hard.truth(tune, K))
        pairs = [(_us(scan, judged), _us(turned.index, judged)) for _ in range(ROUNDS)]
        saved = [float(np.log10(slow / quick)) for slow, quick in pairs]
        found = {
            f"ann_recall@{K}": ann_recall(turned.index.search(judged, K)[0], hard.truth(judged, K)),
            "search_us": float(np.median([quick for _, quick in pairs])),
            "saved": float(np.median(saved)), "low": min(saved), "high": max(saved),
            "bytes": turned.index.nbytes / len(hard.vectors),
        }  # fmt: skip
        begin = time.perf_counter()
        for vector in hard.vectors[:INSERTED]:
            turned.index.add(vector[None])
        insert_us = (time.perf_counter() - begin) / INSERTED * 1e6
        yield {"index": name, "vectors": len(hard.vectors), **found, "insert_us": insert_us}


def least(turned: Turned, queries: Vectors, truth: Ints) -> None:
    """Doubles what is turned until RECALL of the true rows [n, k] is found."""
    value = 1
    while turned.most:
        turned.turn(value)
        if value >= turned.most or ann_recall(turned.index.search(queries, truth.shape[1])[0], truth) >= RECALL:
            return
        value = min(2 * value, turned.most)


def _us(index: Searched, queries: Vectors) -> float:
    """The median of single queries."""
    spent = []
    for query in queries[:A_ROUND]:
        begin = time.perf_counter()
        index.search(query[None], K)
        spent.append((time.perf_counter() - begin) * 1e6)
    return float(np.median(spent))


EXPERIMENTS: Mapping[str, Experiment] = {"index_lab": index_lab}
CHARTS: Mapping[str, Chart] = {
    "index_lab": Chart(
        title="How much faster than a scan each index finds 19 of 20 neighbours",
        x="vectors", y="saved", series="index", only=("kd-tree", "LSH", "IVF-PQ", "HNSW"), log_x=True,
        x_label="vectors in the gallery", y_label="powers of ten (0: as a scan); kd-tree and LSH are in Python",
    ),
}  # fmt: skip
