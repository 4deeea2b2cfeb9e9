"""A vector in fewer bytes: 8-bit numbers, product quantisation, and 64 bits, each with the score it still can tell.

All but the last are asymmetric: the query stays as it is, only the gallery is coded, so one error enters a score and not two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visual_search.model.index.ivf import kmeans, nearest
from visual_search.model.parts import Vectors

Codes = NDArray[np.uint8]
ROUNDS = 25  # of k-means for a code book, and of ITQ: 25 and 50 in the papers


class Code(Protocol):
    def encode(self, vectors: Vectors) -> Codes:
        """[n, dim] -> [n, bytes a vector]."""
        ...

    def scores(self, queries: Vectors, codes: Codes) -> Vectors:
        """[m, dim], [n, bytes] -> [m, n], greater for nearer."""
        ...


class Whole:
    """float32 as it stands: four bytes a number."""

    def encode(self, vectors: Vectors) -> Codes:
        return np.ascontiguousarray(vectors).view(np.uint8)

    def scores(self, queries: Vectors, codes: Codes) -> Vectors:
        found: Vectors = queries @ codes.view(np.float32).T
        return found


class EightBits:
    """Every number as one of 256 steps between the least and the greatest of its column."""

    def __init__(self, vectors: Vectors) -> None:
        self.low = vectors.min(axis=0)
        self.step = np.maximum(vectors.max(axis=0) - self.low, 1e-9) / 255

    def encode(self, vectors: Vectors) -> Codes:
        codes: Codes = np.clip(np.rint((vectors - self.low) / self.step), 0, 255).astype(np.uint8)
        return codes

    def scores(self, queries: Vectors, codes: Codes) -> Vectors:
        found: Vectors = (queries * self.step) @ codes.T.astype(np.float32) + (queries @ self.low)[:, None]
        return found


class Product:
    """Product quantisation (Jegou, Douze & Schmid 2011): the vector in `num` parts, each replaced by the nearest of 256 means of such parts. A query makes
    a table of its product with each of them, [num, 256], and a score is the sum of `num` entries (ADC)."""

    def __init__(self, vectors: Vectors, num: int = 8, seed: int = 0) -> None:
        assert vectors.shape[1] % num == 0, (vectors.shape, num)
        self.num = num
        self.books = np.stack([kmeans(part, 256, ROUNDS, seed) for part in self._parts(vectors)])

    def _parts(self, vectors: Vectors) -> Vectors:
        """[n, dim] -> [num, n, dim / num]."""
        return np.ascontiguousarray(vectors.reshape(len(vectors), self.num, -1).transpose(1, 0, 2))

    def encode(self, vectors: Vectors) -> Codes:
        parts = zip(self._parts(vectors), self.books, strict=True)
        return np.stack([nearest(part, book) for part, book in parts], axis=1).astype(np.uint8)

    def table(self, queries: Vectors) -> Vectors:
        """[m, num, 256]."""
        found: Vectors = np.einsum("pmd,pcd->mpc", self._parts(queries), self.books, optimize=True)
        return found

    def scores(self, queries: Vectors, codes: Codes) -> Vectors:
        return np.stack([looked_up(table, codes) for table in self.table(queries)])


def looked_up(table: Vectors, codes: Codes) -> Vectors:
    """table [num, 256] of one query, codes [n, num] -> [n]."""
    found: Vectors = table[np.arange(len(table)), codes].sum(axis=1)
    return found


class Signs:
    """`bits` signs: of a random rotation (Charikar 2002), or of one turned until the signs fit (ITQ: Gong & Lazebnik 2011). Compared bit by bit."""

    def __init__(self, vectors: Vectors, bits: int = 64, learnt: bool = False, seed: int = 0) -> None:
        rng, dim = np.random.default_rng(seed), vectors.shape[1]
        self.mean: Vectors = vectors.mean(axis=0) if learnt else np.zeros(dim, np.float32)
        turn = rng.standard_normal((dim, bits))
        if learnt:
            _, _, directions = np.linalg.svd(vectors - self.mean, full_matrices=False)
            turn = directions[:bits].T @ _fitted((vectors - self.mean) @ directions[:bits].T, rng)
        self.turn = turn.astype(np.float32)

    def encode(self, vectors: Vectors) -> Codes:
        return np.packbits((vectors - self.mean) @ self.turn > 0, axis=1)

    def scores(self, queries: Vectors, codes: Codes) -> Vectors:
        """Minus the number of bits that differ."""
        return np.stack(
            [-np.bitwise_count(code ^ codes).sum(axis=1, dtype=np.float32) for code in self.encode(queries)]
        )


def _fitted(points: Vectors, rng: np.random.Generator) -> Vectors:
    """The rotation that brings points [n, d] closest to the corners of a cube: corners for a rotation, a rotation for corners (Procrustes), in turns."""
    turn, _ = np.linalg.qr(rng.standard_normal((points.shape[1], points.shape[1])))
    for _ in range(ROUNDS):
        left, _, right = np.linalg.svd(np.sign(points @ turn).T @ points)
        turn = (left @ right).T
    found: Vectors = turn
    return found


CODES: Mapping[str, Callable[[Vectors], Code]] = {
    "float32": lambda vectors: Whole(),
    "int8": EightBits,
    "PQ, 16 bytes": lambda vectors: Product(vectors, 16),
    "PQ": Product,
    "64 bits": lambda vectors: Signs(vectors, learnt=True),
    "64 bits, random planes": Signs,
}
"""Each fitted to vectors like those it will code. PQ: 8 bytes."""
