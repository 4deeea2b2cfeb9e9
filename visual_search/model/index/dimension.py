"""How many directions vectors really spread in, however many numbers they have: that, not the length of a vector, says how hard they are to search.

Levina & Bickel 2004, "Maximum likelihood estimation of intrinsic dimension"; averaged as MacKay and Ghahramani noted, over the inverses. Amsaleg et al.
2015, "Estimating local intrinsic dimensionality", has the same estimator from the theory of extremes: it is how fast the count of
neighbours grows with the distance, around a point.
"""

from __future__ import annotations

import faiss
import numpy as np

from common.contract import Floats
from visual_search.model.parts import Vectors

NEIGHBOURS = 20
SAMPLED = 2_000


def intrinsic(vectors: Vectors, neighbours: int = NEIGHBOURS, sampled: int = SAMPLED) -> float:
    """vectors [n, dim] of length 1 -> the local intrinsic dimension, over `sampled` of them."""
    some = np.random.default_rng(0).permutation(len(vectors))[:sampled]
    return float(1 / inverse(vectors, vectors[some], neighbours).mean())


def inverse(vectors: Vectors, points: Vectors, neighbours: int = NEIGHBOURS) -> Floats:
    """[m]: the mean over j < k of log(T_k / T_j) around each point, T_j the distance to its j-th neighbour; its inverse is the dimension there. Copies
    of the point itself are no neighbours."""
    scores = faiss.knn(points, vectors, neighbours + 1, metric=faiss.METRIC_INNER_PRODUCT)[0][:, 1:]
    distance = np.sqrt(np.maximum(2 - 2 * scores.astype(np.float64), 1e-7))
    logs = np.log(distance[:, -1:] / distance[:, :-1])
    found: Floats = logs.mean(axis=1)
    return found
