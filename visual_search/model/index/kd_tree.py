"""A kd-tree (Bentley 1975, "Multidimensional binary search trees used for associative searching"): cut where the spread is largest, at the median.

A leaf is skipped when its box is farther than the worst of the k best so far; boxes are visited nearest first (Arya & Mount 1993). In a few
dimensions that leaves a handful of leaves to read. In many, a ball that holds the nearest neighbour touches nearly every box, as its
radius is hardly less than any other distance, and the tree is a slow scan. `most` gives up after that many vectors: then it is no longer exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from common.contract import Floats, Ints
from visual_search.model.index.exact import ranked, stacked
from visual_search.model.parts import Vectors

LEAF = 32


@dataclass(eq=False)
class Node:
    """A leaf with its rows; or, with `sides`, a cut: below `at` on the `axis`, and above."""

    rows: list[int] = field(default_factory=list)
    axis: int = 0
    at: float = 0.0
    sides: tuple[Node, Node] | None = None

    @property
    def size(self) -> int:
        return 1 + sum(side.size for side in self.sides or ())


class KdTree:
    def __init__(self, vectors: Vectors, most: int | None = None) -> None:
        self.vectors, self.most = vectors, most
        self.root = self._grow(list(range(len(vectors))))

    def _grow(self, rows: list[int]) -> Node:
        points = self.vectors[rows]
        axis = int(np.argmax(np.ptp(points, axis=0))) if len(rows) > LEAF else 0
        at = float(np.median(points[:, axis])) if len(rows) > LEAF else 0.0
        below = points[:, axis] < at
        if len(rows) <= LEAF or not below.any():  # or all the same
            return Node(rows)
        sides = tuple(self._grow(np.asarray(rows)[side].tolist()) for side in (below, ~below))
        return Node([], axis, at, (sides[0], sides[1]))

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first."""
        return stacked([self._search(query, k) for query in queries])

    def _search(self, query: Vectors, k: int) -> tuple[Ints, Vectors]:
        best: list[tuple[float, int]] = []  # (minus squared distance, row): the worst of the best on top
        read = 0
        for box, rows in self.leaves(query):
            if (len(best) == k and box >= -best[0][0]) or (self.most is not None and read >= self.most):
                break
            read += len(rows)
            squares = ((self.vectors[rows] - query) ** 2).sum(axis=1)
            for square, row in zip(squares.tolist(), rows, strict=True):
                (heapq.heappush if len(best) < k else heapq.heappushpop)(best, (-square, row))
        return ranked(self.vectors, query, np.array([row for _, row in best], np.int64), k)

    def leaves(self, query: Vectors) -> Iterator[tuple[float, list[int]]]:
        """The squared distance of a leaf's box, and its rows; the nearest box first."""
        turn = count()  # of two boxes equally far the first: nodes do not compare
        boxes: list[tuple[float, int, Node, Floats]] = [(0.0, next(turn), self.root, np.zeros(len(query)))]
        while boxes:
            square, _, node, apart = heapq.heappop(boxes)
            while node.sides:  # down to the leaf it is in; what lies across each cut waits
                beyond = query[node.axis] - node.at
                near, far = node.sides if beyond < 0 else node.sides[::-1]
                other = apart.copy()
                other[node.axis] = beyond
                heapq.heappush(boxes, (float(other @ other), next(turn), far, other))
                node = near
            yield square, node.rows

    def add(self, vectors: Vectors) -> None:
        """Each into its leaf, which is cut when it is twice too long; the cuts above stay where they were, and the tree may lean."""
        first = len(self.vectors)
        self.vectors = np.concatenate([self.vectors, vectors])
        for row, vector in enumerate(vectors, start=first):
            node = self.root
            while node.sides:
                node = node.sides[int(vector[node.axis] >= node.at)]
            node.rows.append(row)
            if len(node.rows) > 2 * LEAF:
                vars(node).update(vars(self._grow(node.rows)))

    @property
    def nbytes(self) -> int:
        """As arrays: a row number a vector, and axis, cut and two children a node."""
        return self.vectors.nbytes + 8 * len(self.vectors) + 16 * self.root.size
