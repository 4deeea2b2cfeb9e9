"""Inverted lists (Sivic & Zisserman 2003, "Video Google"; Jegou et al. 2011): k-means cuts the space, a search reads the lists of the nearest centres.

k-means here is spherical (Dhillon & Modha 2001): centres have length 1, and a vector goes to the one with the largest dot product. With lists = 4 sqrt(n)
a search compares 4 sqrt(n) centres and, in each list it reads, about sqrt(n) / 4 vectors.
"""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from visual_search.model.index.exact import ranked, stacked
from visual_search.model.parts import Vectors

ROUNDS = 8


def kmeans(points: Vectors, num: int, rounds: int = ROUNDS, seed: int = 0, spherical: bool = False) -> Vectors:
    """Lloyd's algorithm (1982) from `num` of the points [n, dim] -> centres [num, dim]. A centre nobody is near moves to half of the largest."""
    rng = np.random.default_rng(seed)
    centres: Vectors = points[rng.choice(len(points), num, replace=len(points) < num)].copy()
    for _ in range(rounds):
        of = nearest(points, centres)
        size = np.bincount(of, minlength=num)
        sums = np.stack([np.bincount(of, weights=column, minlength=num) for column in points.T], axis=1)
        centres = np.asarray(sums / np.maximum(size, 1)[:, None], np.float32)
        for empty in np.flatnonzero(size == 0):
            full = int(np.argmax(size))
            apart = 1e-3 * rng.standard_normal(points.shape[1:])
            centres[empty], centres[full] = centres[full] + apart, centres[full] - apart
            size[empty] = size[full] // 2
            size[full] -= size[empty]
        if spherical:
            centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    return centres


def nearest(points: Vectors, centres: Vectors) -> Ints:
    """[n]: which centre is nearest to each."""
    half = (centres**2).sum(axis=1) / 2  # |p - c|^2 = |p|^2 - 2 (p.c - |c|^2 / 2)
    return np.concatenate(
        [np.argmax(part @ centres.T - half, axis=1) for part in np.array_split(points, len(points) // 8192 + 1)]
    )


class Ivf:
    def __init__(self, vectors: Vectors, lists: int, probes: int = 1, seed: int = 0) -> None:
        self.probes = probes
        self.centres = kmeans(vectors, lists, seed=seed, spherical=True)
        self.lists = [np.empty(0, np.int64) for _ in range(lists)]
        self.vectors = vectors[:0]
        self.add(vectors)

    def add(self, vectors: Vectors) -> None:
        """Into the lists as they were cut: if those that come are unlike those that were there, a few lists grow, or neighbours are parted."""
        first, of = len(self.vectors), np.argmax(vectors @ self.centres.T, axis=1)
        self.vectors = np.concatenate([self.vectors, vectors])
        for one in np.unique(of).tolist():
            self.lists[one] = np.concatenate([self.lists[one], first + np.flatnonzero(of == one)])

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first, -1 where the lists held no more."""
        near = np.argsort(-(queries @ self.centres.T), axis=1)[:, : self.probes]
        return stacked(
            [
                ranked(self.vectors, query, np.concatenate([self.lists[one] for one in row]), k)
                for query, row in zip(queries, near.tolist(), strict=True)
            ]
        )

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes + 8 * len(self.vectors) + self.centres.nbytes
