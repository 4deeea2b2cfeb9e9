"""The classic indexes in short: each finds what a scan finds where it may look at everything, and what Faiss finds where it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import faiss as typed
import numpy as np
import pytest

from common.contract import Ints
from visual_search.model.index import dimension
from visual_search.model.index.codes import CODES, EightBits, Product, Signs
from visual_search.model.index.exact import Exact
from visual_search.model.index.forest import Forest
from visual_search.model.index.hnsw import Hnsw
from visual_search.model.index.ivf import Ivf, kmeans, nearest
from visual_search.model.index.ivf_pq import IvfPq
from visual_search.model.index.kd_tree import KdTree
from visual_search.model.index.lsh import Lsh
from visual_search.model.index.settings import BUILD_EF
from visual_search.model.index.tuner import ann_recall
from visual_search.model.parts import Vectors

faiss: Any = typed
NUM, DIM = 3_000, 16


def drawn(seed: int, num: int, dim: int = DIM, directions: int = DIM) -> Vectors:
    """On a sphere within `directions` of `dim`, a few of them much stronger than the rest, as an encoder's are."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))[0][:directions]
    spread = 1 / np.sqrt(1 + np.arange(directions))
    found = (np.random.default_rng(seed).standard_normal((num, directions)) * spread) @ turn
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


VECTORS, QUERIES = drawn(1, NUM), drawn(2, 200)
TRUTH = np.argsort(-(QUERIES @ VECTORS.T), axis=1, kind="stable")[:, :10]


class Found(Protocol):
    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]: ...

    def add(self, vectors: Vectors) -> None: ...

    @property
    def nbytes(self) -> int: ...


def recall(index: Found) -> float:
    return ann_recall(index.search(QUERIES, 10)[0], TRUTH)


SEES_ALL: dict[str, Callable[[Vectors], Found]] = {
    "exact": Exact,
    "kd-tree": KdTree,
    "forest": lambda vectors: Forest(vectors, trees=2, most=10**9),
    "lsh": lambda vectors: Lsh(vectors, tables=4, bits=2, probes=4),
    "ivf": lambda vectors: Ivf(vectors, lists=16, probes=16),
}


@pytest.mark.parametrize("name", SEES_ALL)
def test_what_looks_at_everything_finds_what_a_scan_finds(name: str) -> None:
    """Whether it was built at once, or a third of it came later."""
    for first in (NUM, 2_000):
        index = SEES_ALL[name](VECTORS[:first])
        if first < NUM:
            index.add(VECTORS[first:])
        rows, scores = index.search(QUERIES, 10)
        np.testing.assert_array_equal(rows, TRUTH)
        np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ VECTORS.T, TRUTH, axis=1), atol=1e-5)


@pytest.mark.parametrize("name", SEES_ALL)
def test_there_may_be_fewer_than_asked_for(name: str) -> None:
    rows, scores = SEES_ALL[name](VECTORS[:20]).search(QUERIES[:3], 30)
    assert all(set(row.tolist()) - {-1} == set(range(20)) for row in rows)
    assert (np.diff(scores[:, :20]) <= 0).all()


def test_a_tree_reads_little_in_few_directions_and_nearly_all_in_many() -> None:
    """The curse: the same number of vectors, cut as finely."""
    read = {directions: _read(directions) / NUM for directions in (2, 16)}
    assert read[2] < 0.1 and read[16] > 0.5, read


def _read(directions: int) -> float:
    """Vectors in leaves whose box is nearer than the tenth neighbour: what an exact search has to look at."""
    vectors, queries = drawn(3, NUM, directions=directions), drawn(4, 50, directions=directions)
    tenth = np.sort(2 - 2 * queries @ vectors.T, axis=1)[:, 9]
    tree = KdTree(vectors)
    read = [
        sum(len(rows) for box, rows in tree.leaves(query) if box < square)
        for query, square in zip(queries, tenth, strict=True)
    ]
    return float(np.mean(read))


def test_a_tree_may_give_up() -> None:
    found = [recall(KdTree(VECTORS, most)) for most in (100, 400, 1_600)]
    assert found == sorted(found) and found[0] < 0.8 < found[-1]


@pytest.mark.parametrize("seed", range(3))
def test_trees_take_the_same_point_many_times(seed: int) -> None:
    points = np.repeat(drawn(seed, 3), 100, axis=0)
    for index in (KdTree(points), Forest(points, trees=2, most=10**9, seed=seed)):
        assert (index.search(points[:1], 100)[1] > 0.9999).all()


def test_more_effort_finds_more() -> None:
    efforts: dict[str, list[Found]] = {
        "trees": [Forest(VECTORS, trees=trees, most=400) for trees in (1, 4, 16)],
        "candidates": [Forest(VECTORS, trees=4, most=most) for most in (50, 200, 800)],
        "tables": [Lsh(VECTORS, tables=tables, bits=10) for tables in (1, 4, 16)],
        "buckets": [Lsh(VECTORS, tables=2, bits=10, probes=probes) for probes in (1, 8, 40)],
        "lists": [Ivf(VECTORS, lists=64, probes=probes) for probes in (1, 4, 16)],
    }
    for name, indexes in efforts.items():
        found = [recall(index) for index in indexes]
        assert found[0] + 0.02 < found[1] < found[2] - 0.02, (name, found)


def test_signs_agree_as_often_as_the_angle_says() -> None:
    """Charikar's 1 - angle / pi, over many planes."""
    index = Lsh(VECTORS[:2], tables=1, bits=4_000)
    signs = VECTORS[:2] @ index.planes[0] > 0
    angle = np.arccos(VECTORS[0] @ VECTORS[1])
    assert np.mean(signs[0] == signs[1]) == pytest.approx(1 - angle / np.pi, abs=0.02)


def test_a_probe_opens_the_likelier_bucket_first() -> None:
    index = Lsh(VECTORS, tables=1, bits=6, probes=8)
    margins = np.array([0.1, -3, 0.2, 5, 4, 6], np.float32)
    assert index.flips(margins)[:4] == [0, 0b1, 0b100, 0b101]


# ----------------------------------------------------------------------------------------------------------------- beside Faiss


def test_lists_find_what_those_of_faiss_find() -> None:
    theirs = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, 64, faiss.METRIC_INNER_PRODUCT)
    theirs.cp.niter = 8
    theirs.train(VECTORS)
    theirs.add(VECTORS)
    ours = Ivf(VECTORS, lists=64)
    for probes in (2, 6, 16):
        ours.probes = theirs.nprobe = probes
        assert recall(ours) == pytest.approx(ann_recall(theirs.search(QUERIES, 10)[1], TRUTH), abs=0.03)


@pytest.mark.slow
def test_ivf_pq_finds_what_that_of_faiss_finds() -> None:
    """Equal lists, probes, bytes and rounds of k-means, over three seeds of each: within a point. The control: codes half as long are not."""
    vectors, queries = drawn(1, 8_000), drawn(2, 1_000)
    truth = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    ours = [IvfPq(vectors, lists=64, code=8, seed=seed) for seed in range(3)]
    theirs, half = ([_theirs(vectors, code, seed) for seed in range(3)] for code in (8, 4))
    for probes in (4, 32):
        for one in ours:
            one.probes = probes
        for other in (*theirs, *half):
            other.nprobe = probes
        mine = np.mean([ann_recall(one.search(queries, 10)[0], truth) for one in ours])
        of_faiss, shorter = (
            np.mean([ann_recall(other.search(queries, 10)[1], truth) for other in others]) for others in (theirs, half)
        )
        assert mine == pytest.approx(of_faiss, abs=0.01)
        assert shorter < of_faiss - 0.05


def _theirs(vectors: Vectors, code: int, seed: int) -> Any:
    dim = vectors.shape[1]
    index = faiss.IndexIVFPQ(faiss.IndexFlatIP(dim), dim, 64, code, 8, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.seed, index.pq.cp.seed = 8, 1 + seed, 1 + seed
    index.train(vectors)
    index.add(vectors)
    return index


def test_ivf_pq_scores_are_those_of_the_coded_vectors() -> None:
    """What a code stands for, put together again: centre and means; an oracle for the table of entries."""
    index = IvfPq(VECTORS, lists=64, code=8, probes=64)
    rows, scores = index.search(QUERIES[:5], 10)
    again = np.zeros_like(VECTORS)
    for centre, (mine, codes) in zip(index.centres, index.lists, strict=True):
        parts = [book[code] for book, code in zip(index.product.books, codes.T, strict=True)]
        again[mine] = centre + np.concatenate(parts, axis=1)
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES[:5] @ again.T, rows, axis=1), atol=1e-5)
    assert (
        np.linalg.norm(again - VECTORS, axis=1).mean()
        < 0.5 * np.linalg.norm(VECTORS - index.centres[index._of(VECTORS)], axis=1).mean()
    )


def test_the_graph_finds_what_that_of_faiss_finds() -> None:
    vectors = VECTORS[:1_500]
    truth = np.argsort(-(QUERIES @ vectors.T), axis=1, kind="stable")[:, :10]
    theirs = faiss.IndexHNSWFlat(DIM, 8, faiss.METRIC_INNER_PRODUCT)
    theirs.hnsw.efConstruction = BUILD_EF
    theirs.add(vectors)
    ours = Hnsw(vectors[:1_000], links=8, ef=10, build_ef=BUILD_EF)
    ours.add(vectors[1_000:])
    found = []
    for ef in (10, 20, 60):
        ours.ef = theirs.hnsw.efSearch = ef
        found.append(ann_recall(ours.search(QUERIES, 10)[0], truth))
        assert found[-1] == pytest.approx(ann_recall(theirs.search(QUERIES, 10)[1], truth), abs=0.025)
    assert found == sorted(found) and found[0] < 0.98 < found[-1]


def test_links_lead_different_ways() -> None:
    """Two clusters far apart: with the nearest links alone each would be an island. The heuristic keeps one across."""
    rng = np.random.default_rng(0)
    ends = np.repeat(np.eye(DIM, dtype=np.float32)[:2], 60, axis=0) + 0.05 * rng.standard_normal((120, DIM)).astype(
        np.float32
    )
    ends = rng.permutation(ends / np.linalg.norm(ends, axis=1, keepdims=True)).astype(np.float32)
    graph = Hnsw(ends, links=4, build_ef=100)
    reached, edge = {0}, [0]
    while edge:
        row = edge.pop()
        new = set(graph.graph[0][row]) - reached
        reached |= new
        edge += new
    assert len(reached) == 120
    assert max(map(len, graph.graph[0].values())) <= 8


# ----------------------------------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("name", "size"), [("float32", 4 * DIM), ("int8", DIM), ("PQ", 8), ("64 bits, random planes", 8)]
)
def test_a_code_is_as_long_as_it_says(name: str, size: int) -> None:
    assert CODES[name](VECTORS).encode(VECTORS[:7]).shape == (7, size)


def found_by(code: Any, vectors: Vectors, queries: Vectors, truth: Ints) -> float:
    return ann_recall(np.argsort(-code.scores(queries, code.encode(vectors)), axis=1, kind="stable")[:, :10], truth)


def test_eight_bits_lose_next_to_nothing() -> None:
    code = EightBits(VECTORS)
    np.testing.assert_allclose(code.scores(QUERIES, code.encode(VECTORS)), QUERIES @ VECTORS.T, atol=0.02)
    assert found_by(code, VECTORS, QUERIES, TRUTH) > 0.97


def test_product_quantisation_is_that_of_faiss() -> None:
    theirs = faiss.ProductQuantizer(DIM, 8, 8)
    theirs.train(VECTORS)
    again = theirs.decode(theirs.compute_codes(VECTORS))
    of_theirs = ann_recall(np.argsort(-(QUERIES @ again.T), axis=1, kind="stable")[:, :10], TRUTH)
    assert found_by(Product(VECTORS, 8), VECTORS, QUERIES, TRUTH) == pytest.approx(of_theirs, abs=0.02)


def test_bits_that_were_fitted_find_more() -> None:
    vectors, queries = drawn(1, NUM, 64), drawn(2, 200, 64)
    truth = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    fitted, plain = (found_by(Signs(vectors, learnt=learnt), vectors, queries, truth) for learnt in (True, False))
    assert fitted > plain + 0.02
    np.testing.assert_allclose(
        Signs(vectors, learnt=True).turn.T @ Signs(vectors, learnt=True).turn, np.eye(64), atol=1e-4
    )


@pytest.mark.parametrize("seed", range(4))
def test_k_means_leaves_no_centre_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.standard_normal((20, 4)), 10, axis=0).astype(np.float32) + 0.001 * rng.standard_normal(
        (200, 4)
    ).astype(np.float32)
    centres = kmeans(points, 20, rounds=30, seed=seed)
    assert len(np.unique(nearest(points, centres))) >= 15
    assert np.isfinite(centres).all()


# ------------------------------------------------------------------------------------------------------------------- dimension


@pytest.mark.parametrize("directions", (2, 4, 8, 16))
def test_the_dimension_is_the_planted_one(directions: int) -> None:
    """A sphere in d directions has d - 1 dimensions, whatever it lies in. From some ten on, points so few fill the space too thinly, and it reads low."""
    found = (
        np.random.default_rng(0).standard_normal((8_000, directions))
        @ np.linalg.qr(np.random.default_rng(1).standard_normal((64, 64)))[0][:directions]
    )
    vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    assert dimension.intrinsic(vectors) == pytest.approx(directions - 1, rel=0.1 if directions <= 8 else 0.3)


def test_noise_in_every_direction_is_a_higher_dimension() -> None:
    rng = np.random.default_rng(0)
    flat = drawn(1, 5_000, 64, 4)
    noisy = flat + 0.05 * rng.standard_normal(flat.shape).astype(np.float32)
    assert dimension.intrinsic(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)) > 3 * dimension.intrinsic(flat)
