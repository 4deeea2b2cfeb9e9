"""A gallery of a million vectors out of one of thousands: more of what is there, in the same directions and as far apart for its density.

Nobody embeds a million drawn pictures on two cores. A new vector lies beside a trained one, moved along the differences to that one's own neighbours: it goes
where the gallery goes, and not into directions in which nothing of it lies. How far is chosen so that the local intrinsic dimension, which
says how hard vectors are to search, stays that of the vectors it is grown from; both are told with every result.
"""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np

from visual_search.model.index.dimension import intrinsic
from visual_search.model.parts import Vectors

ALONG = 12  # neighbours whose differences a new vector is moved along
BLOCK = 50_000
LEAST, MOST, STEPS = 0.1, 1.5, 4  # times those differences, and how often the range is halved
SAMPLED = 400  # points the dimension is measured around


def grown(vectors: Vectors, num: int, spread: float, seed: int = 0) -> Vectors:
    """vectors [n, dim] of length 1 -> [num, dim]: themselves first, and then the new ones."""
    rest = list(_beside(vectors, num - len(vectors), spread, seed)) if num > len(vectors) else []
    return np.concatenate([vectors[:num], *rest])


def _beside(vectors: Vectors, num: int, spread: float, seed: int) -> Iterator[Vectors]:
    rng = np.random.default_rng(seed)
    near = faiss.knn(vectors, vectors, ALONG + 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 1:]
    for at in range(0, num, BLOCK):
        base = rng.integers(0, len(vectors), min(BLOCK, num - at))
        weight = rng.standard_normal((len(base), ALONG), dtype=np.float32) * (spread / ALONG**0.5)
        moved = vectors[base] * (1 - weight.sum(axis=1, keepdims=True))
        moved += np.einsum("nk,nkd->nd", weight, vectors[near[base]], optimize=True)
        yield moved / np.linalg.norm(moved, axis=1, keepdims=True)


def alike(vectors: Vectors, num: int) -> tuple[Vectors, float, float]:
    """-> `num` vectors grown from these, with a spread at which their intrinsic dimension is that of these, or as near as it gets; both dimensions."""
    own, low, high = intrinsic(vectors), LEAST, MOST
    for _ in range(STEPS):
        spread = (low * high) ** 0.5
        made = grown(vectors, num, spread)
        dimension = intrinsic(made, sampled=SAMPLED)
        low, high = (spread, high) if dimension < own else (low, spread)
    return made, own, dimension
