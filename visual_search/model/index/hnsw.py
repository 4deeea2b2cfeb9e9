"""HNSW (Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs").

Every vector is linked to some near ones, and a search walks from any to the nearest it can reach, keeping the `ef` best on the way (algorithm 2). Links
are chosen to lead different ways (algorithm 4): one that lies nearer to a link already chosen than to the new vector is left out, or the
graph would fall apart into clusters. Upper layers hold a few vectors each and bring the walk near in a few steps. Nothing is ever taken out:
links that led through a vector would be missing.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from common.contract import Ints
from visual_search.model.index.exact import stacked
from visual_search.model.parts import Vectors

Near = list[tuple[float, int]]  # (score, row), best first
BUILD_EF = 80


class Hnsw:
    """`links`: M of the paper, so many a vector and layer, twice as many on the ground."""

    def __init__(
        self, vectors: Vectors, links: int = 16, ef: int = 100, build_ef: int = BUILD_EF, seed: int = 0
    ) -> None:
        self.links, self.ef, self.build_ef = links, ef, build_ef
        self.rng = np.random.default_rng(seed)
        self.graph: list[dict[int, list[int]]] = []  # of each layer, from the ground: row -> rows
        self.vectors, self.top = vectors[:0], -1
        self.add(vectors)

    def add(self, vectors: Vectors) -> None:
        """One after the other (algorithm 1)."""
        first = len(self.vectors)
        self.vectors = np.concatenate([self.vectors, vectors])
        for row in range(first, len(self.vectors)):
            self._insert(row, int(-math.log(1 - self.rng.random()) / math.log(self.links)))

    def _insert(self, row: int, level: int) -> None:
        query, near = self.vectors[row], self._start(self.vectors[row])
        for layer in range(len(self.graph) - 1, -1, -1):
            near = self._walk(query, near, self.build_ef if layer <= level else 1, layer)
            if layer <= level:
                self._link(row, near, layer)
        for _ in range(len(self.graph), level + 1):
            self.graph.append({row: []})
            self.top = row

    def _link(self, row: int, near: Near, layer: int) -> None:
        """Both ways; who has too many links then chooses anew among them."""
        graph, most = self.graph[layer], self.links if layer else 2 * self.links
        graph[row] = self._chosen(near, self.links)
        for other in graph[row]:
            graph[other].append(row)
            if len(graph[other]) > most:
                scores = (self.vectors[graph[other]] @ self.vectors[other]).tolist()
                graph[other] = self._chosen(sorted(zip(scores, graph[other], strict=True), reverse=True), most)

    def _chosen(self, near: Near, most: int) -> list[int]:
        """Algorithm 4: the nearest first, but none that is nearer to one already chosen."""
        rows = [row for _, row in near]
        between = self.vectors[rows] @ self.vectors[rows].T
        chosen: list[int] = []
        for at, (score, _) in enumerate(near):
            if len(chosen) == most:
                break
            if not chosen or between[at, chosen].max() < score:
                chosen.append(at)
        return [rows[at] for at in chosen]

    def _start(self, query: Vectors) -> Near:
        return [(float(self.vectors[self.top] @ query), self.top)] if self.graph else []

    def _walk(self, query: Vectors, start: Near, ef: int, layer: int) -> Near:
        """Algorithm 2: from the best not yet looked at to its links, until that one is worse than the worst of the `ef` kept."""
        graph, seen = self.graph[layer], {row for _, row in start}
        open_, kept = [(-score, row) for score, row in start], list(start)  # the best on top; the worst on top
        heapq.heapify(open_)
        heapq.heapify(kept)
        while open_:
            score, row = heapq.heappop(open_)
            if len(kept) >= ef and -score < kept[0][0]:
                break
            fresh = [other for other in graph[row] if other not in seen]
            seen.update(fresh)
            for mine, other in zip((self.vectors[fresh] @ query).tolist(), fresh, strict=True):
                if len(kept) < ef or mine > kept[0][0]:
                    heapq.heappush(open_, (-mine, other))
                    (heapq.heappush if len(kept) < ef else heapq.heappushpop)(kept, (mine, other))
        return sorted(kept, reverse=True)

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first (algorithm 5)."""
        return stacked([self._search(query, k) for query in queries])

    def _search(self, query: Vectors, k: int) -> tuple[Ints, Vectors]:
        near = self._start(query)
        for layer in range(len(self.graph) - 1, -1, -1):
            near = self._walk(query, near, 1 if layer else max(self.ef, k), layer)
        found, score = np.full(k, -1), np.full(k, -np.inf, np.float32)
        for at, (mine, row) in enumerate(near[:k]):
            found[at], score[at] = row, mine
        return found, score

    @property
    def nbytes(self) -> int:
        """As arrays: four bytes a link, with room for all of them."""
        places = sum(len(graph) * (self.links if layer else 2 * self.links) for layer, graph in enumerate(self.graph))
        return self.vectors.nbytes + 4 * places
