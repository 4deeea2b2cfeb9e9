"""Candidates out of two million vectors: our index beside an exact scan, hnswlib and usearch, at an equal share of the true neighbours found.

Run: python -m benchmarks.candidates [--quick] [--videos 2000000] [--ours]     (--ours: beside the scan alone; all others take minutes to build)
Results: candidates (--ours), candidates_others (all of them, written anew after each kind of vectors).
hnswlib and usearch are no part of this project. Beside it: pip install --target /tmp/benchlibs hnswlib usearch, then PYTHONPATH=/tmp/benchlibs

One query at a time, one thread, everything in turn. Each index looks at as little as finds 95.5 % of the true 500 of viewers held out
(ours as the case builds it; the graphs by their ef), and is judged on the viewers of test requests. Vectors of the trained tower: as of
videos nobody has watched, and with learnt parts for every video (the ids of the small catalogue shared out among all, as a hashed table would);
beside them isotropic ones, in which no index has anything to hold on to.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Row, paired_rounds, write_result
from common.training import seeding
from video_rec.config import DEMO, Config
from video_rec.experiments import lab, millions
from video_rec.model import index as ours
from video_rec.model.index import RECALL, K, Vectors

INSTALL = (
    "pip install --target /tmp/benchlibs hnswlib usearch; PYTHONPATH=/tmp/benchlibs python -m benchmarks.candidates"
)
LINKS, BUILD_EF, MOST_EF = (
    16,
    100,
    5_000,
)  # of the graphs: links a vector has on each side, how hard the build looks for them, a search at most
A_FEW = 100  # queries the graphs are tuned on: they take their time
JUDGED, ROUNDS, A_ROUND = 300, 15, 40  # queries judged; rounds; queries a round, of which exact search answers a tenth
NOTES = (
    "One query, one thread; times_exact is the exact scan's median over the other's, round by round, with its range. exact_ms is of the same "
    "rounds: a scan of 256 MB waits for memory, so a neighbour on the machine slows it more than an index. ann_recall@500 on viewers of test "
    "requests. bytes_per_vector: what the library writes to disk. vectors: {vectors}. The machine's load average was {before:.1f} before "
    "and {after:.1f} after."
)
VECTORS = {
    "unwatched": "the trained tower over generated videos, of which only those of the small catalogue were ever watched",
    "watched": "the same, with the learnt parts of the small catalogue's ids and creators shared out among all",
    "isotropic": "normal, videos and queries alike",
}

Search = Callable[[Vectors], NDArray[np.int64]]  # [n, dim] -> [n, K]


@dataclass(frozen=True)
class Problem:
    """vectors [num_videos, dim], the queries an index may be tuned on, those it is judged on and their exact neighbours."""

    vectors: Vectors
    tune: Vectors
    judged: Vectors
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Built:
    name: str
    search: Search
    num_bytes: int
    seconds: float


def problems(num_videos: int, config: Config) -> Iterator[tuple[str, Problem]]:
    dataset, _, small = lab.trained(config)
    towers = small.sources.towers.towers
    tune = small.sources.towers.viewer(millions.queries(dataset, small))
    judged = small.sources.towers.viewer(small.sources.features.recent(dataset.test, dataset.history))[:JUDGED]
    features = millions.described(
        small.sources.features, (millions.catalogue(config, ids) for ids in millions.blocks(num_videos))
    )
    for name, shared in (("unwatched", False), ("watched", True)):
        vectors = millions.vectors(millions.grown(towers, features, shared))
        yield name, Problem(vectors, tune, judged, ours.exact_neighbours(vectors, judged, K))
    rng = np.random.default_rng(config.seed)
    vectors, tune, judged = (_isotropic(rng, n, config.dim) for n in (num_videos, len(tune), len(judged)))
    yield "isotropic", Problem(vectors, tune, judged, ours.exact_neighbours(vectors, judged, K))


def _isotropic(rng: np.random.Generator, num: int, dim: int) -> Vectors:
    drawn = rng.standard_normal((num, dim), dtype=np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def exact(problem: Problem) -> Built:
    begin = time.perf_counter()
    return _faiss("exact scan", ours.exact(problem.vectors), begin)


def lists(problem: Problem) -> Built:
    begin = time.perf_counter()
    index: Any = ours.lists(problem.vectors, problem.tune)
    return _faiss(f"ours: {index.nprobe} of {index.nlist} lists", index, begin)


def plain_lists(problem: Problem) -> Built:
    """As a user would write it: faiss cuts the lists by itself, without a look at the queries."""
    begin, (num, dim) = time.perf_counter(), problem.vectors.shape
    quantizer: Any = faiss.IndexFlatIP(dim)
    half = faiss.ScalarQuantizer.QT_fp16
    index: Any = faiss.IndexIVFScalarQuantizer(quantizer, dim, ours.size(num), half, faiss.METRIC_INNER_PRODUCT, False)
    quantizer.this.disown()
    index.own_fields, index.cp.niter = True, 8
    index.train(problem.vectors[np.random.default_rng(0).permutation(num)[: ours.PER_LIST * ours.size(num)]])
    index.add(problem.vectors)
    ours.tune(index, *_held_out(problem), RECALL)
    return _faiss(f"faiss, plain: {index.nprobe} of {index.nlist} lists", index, begin)


def hnswlib(problem: Problem) -> Built:
    begin, (num, dim) = time.perf_counter(), problem.vectors.shape
    graph: Any = import_module("hnswlib").Index(space="ip", dim=dim)
    graph.init_index(max_elements=num, ef_construction=BUILD_EF, M=LINKS)
    graph.add_items(problem.vectors, num_threads=os.cpu_count())

    def search(queries: Vectors) -> NDArray[np.int64]:
        return np.asarray(graph.knn_query(queries, k=K, num_threads=1)[0]).astype(np.int64)

    ef = least(graph.set_ef, search, problem)
    return Built(f"hnswlib, ef {ef}", search, int(graph.index_file_size()), time.perf_counter() - begin)


def usearch(problem: Problem) -> Built:
    begin = time.perf_counter()
    library: Any = import_module("usearch.index")
    graph: Any = library.Index(
        ndim=problem.vectors.shape[1], metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILD_EF
    )
    graph.add(np.arange(len(problem.vectors)), problem.vectors, threads=os.cpu_count())

    def search(queries: Vectors) -> NDArray[np.int64]:
        found = graph.search(queries, K, threads=1).keys
        return np.asarray(found).astype(np.int64).reshape(len(queries), -1)

    ef = least(lambda ef: setattr(graph, "expansion_search", ef), search, problem)
    return Built(f"usearch, half precision, ef {ef}", search, int(graph.serialized_length), time.perf_counter() - begin)


Builder = Callable[[Problem], Built]
LIBRARIES: Mapping[str, Builder] = {"hnswlib": hnswlib, "usearch": usearch}


def least(set_ef: Callable[[int], object], search: Search, problem: Problem) -> int:
    """The least ef, in steps of an eighth, that finds RECALL of the neighbours of queries held out."""
    queries, truth = _held_out(problem, A_FEW)
    ef = K
    while True:
        set_ef(ef)
        if ours.ann_recall(search(queries), truth) >= RECALL or ef > MOST_EF:
            return ef
        ef += ef // 8


def _held_out(problem: Problem, num: int = ours.HELD_OUT) -> tuple[Vectors, NDArray[np.int64]]:
    queries = problem.tune[:num]
    return queries, ours.exact_neighbours(problem.vectors, queries, K)


def _faiss(name: str, index: Any, begin: float) -> Built:
    seconds = time.perf_counter() - begin
    return Built(name, lambda queries: index.search(queries, K)[1], len(faiss.serialize_index(index)), seconds)


def compare(problem: Problem, vectors: str, rounds: int, others: Sequence[Builder] = ()) -> Iterator[Row]:
    scan = exact(problem)
    for build in (lists, *others):
        built = build(problem)  # one at a time: a graph takes most of a gigabyte
        ratio = paired_rounds(p50(scan.search, problem, A_ROUND // 10), p50(built.search, problem, A_ROUND), rounds)
        yield {
            "vectors": vectors,
            "index": built.name,
            "ann_recall@500": ours.ann_recall(_one_by_one(built.search, problem.judged), problem.truth),
            "ms": ratio.b,
            "exact_ms": ratio.a,
            "times_exact": ratio.median,
            "range": f"{ratio.low:.1f} ... {ratio.high:.1f}",
            "bytes_per_vector": built.num_bytes / len(problem.vectors),
            "build_seconds": built.seconds,
        }


def p50(search: Search, problem: Problem, num: int) -> Callable[[], float]:
    """-> a function that asks the next `num` queries, one at a time, and returns the median ms."""
    at = 0

    def measure() -> float:
        nonlocal at
        ms = []
        for _ in range(num):
            query = problem.judged[at % len(problem.judged)][None]
            at += 1
            begin = time.perf_counter()
            search(query)
            ms.append((time.perf_counter() - begin) * 1e3)
        return float(np.median(ms))

    return measure


def _one_by_one(search: Search, queries: Vectors) -> NDArray[np.int64]:
    return np.concatenate([search(query[None]) for query in queries])


def main() -> None:
    quick, before = "--quick" in sys.argv, os.getloadavg()[0]
    num_videos = int(sys.argv[sys.argv.index("--videos") + 1]) if "--videos" in sys.argv else 2_000_000
    num_videos = min(num_videos, 60_000) if quick else num_videos
    seeding.limit(1)
    others: list[Builder] = []
    if "--ours" not in sys.argv:
        others = [plain_lists, *(build for name, build in LIBRARIES.items() if find_spec(name))]
        if missing := [name for name in LIBRARIES if not find_spec(name)]:
            print(f"not compared with {', '.join(missing)}, which is not here: {INSTALL}")
    rows: list[Row] = []
    for name, problem in problems(num_videos, DEMO):
        for row in compare(problem, name, 3 if quick else ROUNDS, others):
            rows.append(row)
            print(
                "  ".join(f"{key}: {v:.4g}" if isinstance(v, float) else str(v) for key, v in row.items()), flush=True
            )
        if not quick:
            write(rows, ("candidates_others" if others else "candidates"), num_videos, before)


def write(rows: Sequence[Row], name: str, num_videos: int, before: float) -> None:
    """What is known by now: the graphs take half an hour for each kind of vectors, and what was measured is not to be lost."""
    told = "; ".join(f"{kind}: {what}" for kind, what in VECTORS.items())
    where = name if num_videos == 2_000_000 else f"{name}_{num_videos}"
    print(write_result(where, rows, NOTES.format(vectors=told, before=before, after=os.getloadavg()[0]), seed=0))


if __name__ == "__main__":
    main()
