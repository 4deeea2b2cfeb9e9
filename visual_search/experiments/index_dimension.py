"""What makes vectors hard to search: not how many numbers they have, but how many directions they fill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from common.contract import Experiment, Floats, Table
from common.eval.chart import Chart
from common.training import seeding
from visual_search.config import Config
from visual_search.experiments import vectors as drawn
from visual_search.experiments.vectors import Hard
from visual_search.model.index.forest import Forest
from visual_search.model.index.kd_tree import KdTree
from visual_search.model.index.lsh import Lsh
from visual_search.model.index.settings import HNSW, Setting, faiss, make
from visual_search.model.index.tuner import ann_recall
from visual_search.model.parts import Vectors

DIRECTIONS = (4, 6, 8, 12, 16, 24, 32, 64)
NUM = 10_000
K, RECALL, ASKED = 10, 0.95, 60  # neighbours; share found; queries
TREES, TABLES = 8, 8
MOST_EF = 2_000
OWN = "trained encoder"
Leaves = Iterable[list[int]]


def index_dimension(config: Config) -> Table:
    """From how many directions on do trees, hashing and graphs stop paying?

    A row is an index over NUM vectors of 64 numbers that fill so many directions, or over the trained encoder's, grown to as many. `compared`: vectors, and
    planes, that a query is compared with until RECALL of its ten nearest are among them, as a share of all; a count, so it holds on every
    machine. `saved`: the time a scan takes less that of these comparisons, over the scan's. Vectors that lie apart in memory are read `apart`
    times slower than in a row, measured here. The foil is the scan: saved is 0. Decides that lists and graphs are served, not trees or tables."""
    hard = {f"{directions} directions": drawn.planted(directions, NUM) for directions in DIRECTIONS}
    own = drawn.gallery(config, NUM)
    seeding.limit(1)
    try:
        apart = _apart(own.vectors)
        return [
            _row(name, which, one, compared(one), apart, OWN if which == OWN else "")
            for which, one in {**hard, OWN: own}.items()
            for name, compared in COMPARED.items()
        ]
    finally:
        seeding.limit(seeding.num_threads())


def _row(name: str, which: str, hard: Hard, needed: Floats, apart: float, ring: str) -> dict[str, Any]:
    """needed [queries, K]: how many were compared before each neighbour was."""
    rng, share = np.random.default_rng(0), needed / len(hard.vectors)
    again = [np.quantile(share[rng.integers(0, len(share), len(share))], RECALL) for _ in range(200)]
    compared, (low, high) = float(np.quantile(share, RECALL)), np.quantile(again, (0.025, 0.975)).tolist()
    return {
        "index": name, "vectors": which, "dimension": hard.dimension, "compared": compared, "compared_low": low,
        "compared_high": high, "apart": apart, "saved": 1 - compared * apart, "low": 1 - high * apart, "high": 1 - low * apart,
        "ring": ring,
    }  # fmt: skip


def _kd_tree(hard: Hard) -> Floats:
    tree = KdTree(hard.vectors)
    return _needed(hard, lambda query: (rows for _, rows in tree.leaves(query)), 0)


def _forest(hard: Hard) -> Floats:
    forest = Forest(hard.vectors, TREES)
    return _needed(hard, forest.leaves, round(TREES * np.log2(len(hard.vectors) / 32)))


def _lsh(hard: Hard) -> Floats:
    bits = max(2, round(np.log2(len(hard.vectors) / 30)))
    return _needed(hard, Lsh(hard.vectors, TABLES, bits).buckets, TABLES * bits)


def _needed(hard: Hard, read: Callable[[Vectors], Leaves], planes: int) -> Floats:
    """In the order in which an index reads: [queries, K] how many were read when each true neighbour was. What it never reads is found by reading
    everything, after all that."""
    queries = hard.queries[:ASKED]
    truth, needed = hard.truth(queries, K), np.full((len(queries), K), float(planes + len(hard.vectors)))
    for row, query in enumerate(queries):
        when = np.full(len(hard.vectors), -1)
        seen, cost, missing = 0, planes, set(truth[row].tolist())
        for rows in read(query):
            fresh = [one for one in rows if when[one] < 0]
            seen, cost = seen + len(fresh), cost + 1
            when[fresh] = seen + cost
            missing.difference_update(fresh)
            if not missing:
                break
        found = when[truth[row]]
        needed[row] = np.where(found >= 0, found, len(hard.vectors) + cost)
    return needed


def _graph(hard: Hard) -> Floats:
    """Faiss counts: [queries, 1] at the least ef that finds RECALL."""
    graph, queries = make(Setting(kind=HNSW, links=16), hard.vectors), hard.queries[:ASKED]
    truth, ef = hard.truth(queries, K), K
    while True:
        graph.hnsw.efSearch = ef
        if ef >= MOST_EF or ann_recall(graph.search(queries, K)[1], truth) >= RECALL:
            break
        ef += ef // 4
    return np.array([[_compared(graph, query)] for query in queries])


def _compared(graph: Any, query: Vectors) -> float:
    faiss.cvar.hnsw_stats.reset()
    graph.search(query[None], K)
    return float(faiss.cvar.hnsw_stats.ndis)


COMPARED: Mapping[str, Callable[[Hard], Floats]] = {
    "kd-tree": _kd_tree,
    "forest": _forest,
    "LSH": _lsh,
    "HNSW": _graph,
}


def _apart(vectors: Vectors) -> float:
    """How much longer a comparison takes where the vectors are read by lot and not in a row."""
    rows, query, ratios = np.random.default_rng(0).permutation(len(vectors)), vectors[0], []
    for _ in range(15):
        begin = time.perf_counter()
        _ = vectors @ query
        between = time.perf_counter()
        _ = vectors[rows] @ query
        ratios.append((time.perf_counter() - between) / (between - begin))
    return float(np.median(ratios))


EXPERIMENTS: Mapping[str, Experiment] = {"index_dimension": index_dimension}
CHARTS: Mapping[str, Chart] = {
    "index_dimension": Chart(
        title="What an index saves beside a scan, as the vectors fill more directions",
        x="dimension", y="saved", series="index", ring="ring", log_x=True,
        x_label="intrinsic dimension (Levina & Bickel)", y_label="share of the scan's time saved",
    ),
}  # fmt: skip
