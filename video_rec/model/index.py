"""The index over the videos' vectors: which of millions are nearest to a viewer.

Viewers' vectors are not spread as the videos' are: a few directions carry most of what tells one video from the next for anybody, and one
video in ten is among the nearest of anybody at all. So the lists are cut where the viewers look. k-means runs in the metric of the queries,
x' S x with S their mean of q q', which keeps the error of a score small, not that of a vector (the score-aware loss of Guo et al. 2020,
"Accelerating Large-Scale Inference with Anisotropic Vector Quantization", with the queries' second moment for its weight); and it sees a video
more often that was an answer. The experiment `index` says what that is worth.
"""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from common.contract import Floats
from common.errors import InputError

Vectors = NDArray[np.float32]

EXACT_BELOW = 100_000  # videos: up to here an exact scan takes about a millisecond, and needs no training
INDEX_BYTES = 4 * 2**30  # a larger index file is refused before it is read
K, RECALL = (
    500,
    0.955,
)  # what the number of lists looked at is chosen for: ann_recall@K on queries held out; .95 and a margin for others
HELD_OUT = 400  # of the queries
PER_LIST = 48  # vectors a list is trained on
ASKED = 0.5  # weight of being an answer beside being a video: a third of the lists lie where answers are
RIDGE = 0.01  # of the queries' mean square: a direction no query used may still be used by the next


def build_index(vectors: Vectors, queries: Vectors | None = None, recall: float = RECALL) -> faiss.Index:
    """vectors [num_videos, dim] -> exact while a scan is cheap; beyond that lists, of which as many are looked at as `recall` takes.

    queries [n, dim]: viewers' vectors, some hundreds; without any the videos stand in for them, and a viewer finds less than was asked for."""
    if len(vectors) < EXACT_BELOW:
        return exact(vectors)
    return lists(vectors, vectors[_some(len(vectors), 2 * HELD_OUT)] if queries is None else queries, recall)


def exact(vectors: Vectors) -> faiss.Index:
    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    flat: faiss.Index = index
    return flat


def lists(
    vectors: Vectors, queries: Vectors, recall: float = RECALL, num_lists: int = 0, shape: Vectors | None = None
) -> faiss.Index:
    """Inverted lists of half-precision vectors. A part of the queries says how many lists to look at, the rest where to cut (as `metric` and
    `wanted` do, unless a `shape` is given)."""
    num, dim = vectors.shape
    aside = min(HELD_OUT, len(queries) // 2)
    learn = queries[aside:]
    weight = None if shape is not None else wanted(vectors, learn)
    centres, of = partition(vectors, metric(learn) if shape is None else shape, num_lists or size(num), weight)
    quantizer: Any = faiss.IndexFlatIP(dim)
    quantizer.add(centres)
    index: Any = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, len(centres), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    quantizer.this.disown()
    index.own_fields = index.is_trained = True  # half precision has nothing to learn, and the centres are ours
    index.add_core(num, faiss.swig_ptr(vectors), None, faiss.swig_ptr(of))
    tune(index, queries[:aside], exact_neighbours(vectors, queries[:aside], K), recall)
    built: faiss.Index = index
    return built


def size(num: int) -> int:
    """How many lists: the power of two nearest to six times the root of the number of vectors, so that picking lists costs less than reading them."""
    return int(2 ** round(np.log2(6 * num**0.5)))


def metric(queries: Vectors) -> Vectors:
    """[dim, dim] M, so that |M (x - y)|^2 is the mean square of q . (x - y) over the queries, and a little more."""
    moment = queries.T.astype(float) @ queries / len(queries)
    moment += RIDGE * np.trace(moment) / len(moment) * np.eye(len(moment))
    upper: Vectors = np.linalg.cholesky(moment).T.astype(np.float32)
    return upper


def wanted(vectors: Vectors, queries: Vectors) -> Floats:
    """[num]: how much a list near each vector is worth: as much as another, and more the more often it is among the K nearest of a query."""
    times = np.bincount(exact_neighbours(vectors, queries, K).reshape(-1), minlength=len(vectors))
    weight: Floats = 1.0 + ASKED * len(vectors) * times / times.sum()
    return weight


def partition(
    vectors: Vectors, shape: Vectors, num_lists: int, weight: Floats | None = None
) -> tuple[Vectors, NDArray[np.int64]]:
    """-> (mean of every list [<= num_lists, dim], which list each vector is in). First into groups, then every group into lists, in proportion
    to its weight: a vector is compared with some hundreds of means, not with all."""
    bent = np.ascontiguousarray(vectors @ shape.T)
    worth = np.ones(len(bent)) if weight is None else weight
    group = _nearest(bent, _means(bent, worth, max(1, round(num_lists**0.5))))
    of, made = np.empty(len(bent), np.int64), 0
    for members in np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]):
        if len(members):
            share = worth[members].sum() / worth.sum()
            means = _means(bent[members], worth[members], min(len(members), max(1, round(num_lists * share))))
            of[members] = made + _nearest(bent[members], means)
            made += len(means)
    _, of = np.unique(of, return_inverse=True)  # a list nobody is in needs no number
    count = np.bincount(of)
    sums = np.stack([np.bincount(of, weights=column) for column in vectors.T], axis=1)
    return (sums / count[:, None]).astype(np.float32), of.astype(np.int64)


def tune(index: Any, queries: Vectors, truth: NDArray[np.int64], recall: float) -> float:
    """Sets the least number of lists to look at that finds `recall` of the true neighbours [n, k]; the index keeps it. -> the recall reached."""

    def reached(probes: int) -> float:
        index.nprobe = probes
        return ann_recall(index.search(queries, truth.shape[1])[1], truth)

    most = 1
    while most < index.nlist and reached(most) < recall:
        most = min(2 * most, index.nlist)
    least = max(1, most // 2)
    return reached(least + bisect_left(range(least, most), recall, key=reached))


def exact_neighbours(vectors: Vectors, queries: Vectors, k: int) -> NDArray[np.int64]:
    """[n, k] by a scan of everything."""
    found: NDArray[np.int64] = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)[1]
    return found


def ann_recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Share of the exact neighbours [n, k] found."""
    return float(np.mean([np.isin(exact, row).mean() for exact, row in zip(truth, found, strict=True)]))


def read_index(path: Path, shape: tuple[int, ...]) -> faiss.Index:
    """Bounded reading: faiss refuses a file that claims more than INDEX_BYTES, we one that does not fit the vectors beside it."""
    if path.stat().st_size > INDEX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, more than {INDEX_BYTES}. Publish the model again.")
    faiss.set_deserialization_vector_byte_limit(INDEX_BYTES)
    index: Any
    try:
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except RuntimeError as error:
        raise InputError(f"{path}: not a whole faiss index ({str(error)[:120]}). Publish the model again.") from error
    if (index.ntotal, index.d) != shape:
        raise InputError(
            f"{path}: holds {index.ntotal} vectors of {index.d} numbers, expected {shape[0]} of {shape[1]}. Publish the model again."
        )
    whole: faiss.Index = index
    return whole


def _means(points: Vectors, weight: Floats, num: int) -> Vectors:
    """k-means on a sample drawn by weight, always the same for the same points."""
    if num == 1:
        mean: Vectors = points.mean(axis=0, keepdims=True)
        return mean
    some = np.arange(len(points))
    if len(points) > PER_LIST * num:
        some = np.random.default_rng(0).choice(len(points), PER_LIST * num, p=weight / weight.sum())
    means: Any = faiss.Kmeans(
        points.shape[1], num, niter=8, seed=1, min_points_per_centroid=1, max_points_per_centroid=PER_LIST
    )
    means.train(points[some])
    found: Vectors = means.centroids
    return found


def _nearest(points: Vectors, means: Vectors) -> NDArray[np.int64]:
    found: NDArray[np.int64] = faiss.knn(points, means, 1)[1][:, 0]
    return found


def _some(num: int, most: int) -> NDArray[np.int64]:
    """`most` places of `num`, always the same."""
    return np.sort(np.random.default_rng(0).permutation(num)[:most])
