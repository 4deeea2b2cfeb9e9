"""A scan of everything: O(num x dim) for each query, and never wrong. Every other index is measured by it."""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from visual_search.model.parts import Vectors


class Exact:
    """vectors [n, dim] of length 1: then the order by dot product is that by cosine, and by Euclidean distance, as |q - x|^2 = 2 - 2 q.x"""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first."""
        scores = queries @ self.vectors.T
        some = np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[
            :, :k
        ]  # the best k, in no order: linear in n
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
        rows = np.take_along_axis(some, order, axis=1)
        return rows, np.take_along_axis(scores, rows, axis=1)

    def add(self, vectors: Vectors) -> None:
        self.vectors = np.concatenate([self.vectors, vectors])

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes


def ranked(vectors: Vectors, query: Vectors, rows: Ints, k: int) -> tuple[Ints, Vectors]:
    """The last step of most indexes: candidates [c] of one query [dim] in order of their true score -> rows and scores [k], -1 and -inf where there are
    no more."""
    scores = vectors[rows] @ query
    order = np.argsort(-scores, kind="stable")[:k]
    found, score = np.full(k, -1), np.full(k, -np.inf, np.float32)
    found[: len(order)], score[: len(order)] = rows[order], scores[order]
    return found, score


def stacked(answers: list[tuple[Ints, Vectors]]) -> tuple[Ints, Vectors]:
    """Answers of single queries as one."""
    return np.stack([rows for rows, _ in answers]), np.stack([scores for _, scores in answers])
