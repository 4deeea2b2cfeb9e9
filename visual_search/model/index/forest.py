"""A forest of random-projection trees (Dasgupta & Freund 2008, "Random projection trees and low dimensional manifolds"), searched as Annoy does.

A cut lies midway between two random points, square to the line between them: it follows the directions in which the points really spread, where a
kd-tree has only the axes. One tree parts many a pair of neighbours, ten trees part few in all of them; so one queue of nodes, of all trees,
the nearest to the query's side of every cut first, until `most` candidates are together.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from common.contract import Ints
from visual_search.model.index.exact import ranked, stacked
from visual_search.model.parts import Vectors

LEAF = 32


@dataclass(eq=False)
class Node:
    """A leaf with its rows; or, with `sides`, a cut: where normal . x is below `at`, and above."""

    rows: list[int] = field(default_factory=list)
    normal: Vectors = field(default_factory=lambda: np.empty(0, np.float32))
    at: float = 0.0
    sides: tuple[Node, Node] | None = None

    @property
    def size(self) -> int:
        return 1 + sum(side.size for side in self.sides or ())


class Forest:
    def __init__(self, vectors: Vectors, trees: int = 8, most: int = 1_000, seed: int = 0) -> None:
        self.vectors, self.most, self.rng = vectors, most, np.random.default_rng(seed)
        self.roots = [self._grow(np.arange(len(vectors))) for _ in range(trees)]

    def _grow(self, rows: Ints) -> Node:
        if len(rows) <= LEAF:
            return Node(rows.tolist())
        one, two = self.vectors[self.rng.choice(rows, 2, replace=False)]
        normal = (one - two) / max(float(np.linalg.norm(one - two)), 1e-9)
        at = float(normal @ (one + two) / 2)
        below = self.vectors[rows] @ normal < at
        if not 0 < below.sum() < len(rows):  # the same point many times
            return Node(rows.tolist())
        return Node([], normal, at, (self._grow(rows[below]), self._grow(rows[~below])))

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first."""
        return stacked([self._search(query, k) for query in queries])

    def _search(self, query: Vectors, k: int) -> tuple[Ints, Vectors]:
        some: list[int] = []
        for rows in self.leaves(query):
            some += rows
            if len(some) >= max(self.most, k):
                break
        return ranked(self.vectors, query, np.unique(np.array(some, np.int64)), k)

    def leaves(self, query: Vectors) -> Iterator[list[int]]:
        """Of all trees, those first that the query is least on the wrong side of."""
        turn = count()  # of two nodes equally far the first: nodes do not compare
        queue = [(0.0, next(turn), root) for root in self.roots]
        while queue:
            beyond, _, node = heapq.heappop(queue)
            while node.sides:
                margin = float(node.normal @ query) - node.at
                near, far = node.sides if margin < 0 else node.sides[::-1]
                heapq.heappush(queue, (max(beyond, abs(margin)), next(turn), far))
                node = near
            yield node.rows

    def add(self, vectors: Vectors) -> None:
        """Each into a leaf of every tree, which is cut when it is twice too long."""
        first = len(self.vectors)
        self.vectors = np.concatenate([self.vectors, vectors])
        for row, vector in enumerate(vectors, start=first):
            for leaf in [_leaf(root, vector) for root in self.roots]:
                leaf.rows.append(row)
                if len(leaf.rows) > 2 * LEAF:
                    vars(leaf).update(vars(self._grow(np.array(leaf.rows))))

    @property
    def nbytes(self) -> int:
        """As arrays: in every tree a row number a vector, and for half of the nodes a normal, a cut and two children."""
        nodes, cut = sum(root.size for root in self.roots) // 2, 4 * int(self.vectors.shape[1]) + 12
        return self.vectors.nbytes + 8 * len(self.vectors) * len(self.roots) + nodes * cut


def _leaf(node: Node, vector: Vectors) -> Node:
    while node.sides:
        node = node.sides[int(float(node.normal @ vector) >= node.at)]
    return node
