"""Locality-sensitive hashing (Indyk & Motwani 1998) by signs of random projections (Charikar 2002, "Similarity estimation techniques from rounding").

Two vectors at an angle a fall on the same side of a random plane with probability 1 - a / pi, so `bits` planes agree with that to the power of
`bits`: near ones share a bucket often, far ones seldom, and several tables make up for bad luck. Multi-probe (Lv et al. 2007) also opens the
buckets across those planes the query lies closest to: fewer tables for the same recall, and tables are what costs memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, islice

import numpy as np

from common.contract import Ints
from visual_search.model.index.exact import ranked, stacked
from visual_search.model.parts import Vectors

CLOSE = 10  # planes a probe may cross, of those the query lies closest to, two at most at once


class Lsh:
    def __init__(self, vectors: Vectors, tables: int = 8, bits: int = 12, probes: int = 1, seed: int = 0) -> None:
        self.probes, self.powers = probes, 1 << np.arange(bits)
        rng = np.random.default_rng(seed)
        self.planes = rng.standard_normal((tables, vectors.shape[1], bits)).astype(np.float32)
        self.mean: Vectors = vectors.mean(axis=0)  # an encoder's lie to one side of 0, where most planes part nothing
        self.tables: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(tables)]
        self.vectors = vectors[:0]
        self.add(vectors)

    def add(self, vectors: Vectors) -> None:
        """Into one bucket of every table."""
        first = len(self.vectors)
        self.vectors = np.concatenate([self.vectors, vectors])
        for planes, table in zip(self.planes, self.tables, strict=True):
            for row, key in enumerate((((vectors - self.mean) @ planes > 0) @ self.powers).tolist(), start=first):
                table[key].append(row)

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first, -1 where the buckets held no more."""
        return stacked([self._search(query, k) for query in queries])

    def _search(self, query: Vectors, k: int) -> tuple[Ints, Vectors]:
        some: set[int] = set().union(*islice(self.buckets(query), self.probes * len(self.tables)))
        return ranked(self.vectors, query, np.array(sorted(some), np.int64), k)

    def buckets(self, query: Vectors) -> Iterator[list[int]]:
        """The query's own of every table, then the next likely of every table, and so on."""
        margins = np.einsum("d,tdb->tb", query - self.mean, self.planes)
        keys, flips = ((margins > 0) @ self.powers).tolist(), [self.flips(margin) for margin in margins]
        for probe in zip(*flips, strict=True):
            yield from (table.get(key ^ flip, []) for table, key, flip in zip(self.tables, keys, probe, strict=True))

    def flips(self, margins: Vectors) -> list[int]:
        """Which bits to turn, the likeliest bucket first: the sum of the squared margins crossed says how unlikely one is."""
        close = np.argsort(np.abs(margins))[:CLOSE].tolist()
        crossed = [(), *((one,) for one in close), *combinations(close, 2)]
        crossed.sort(key=lambda planes: sum(float(margins[one]) ** 2 for one in planes))
        return [sum(int(self.powers[one]) for one in planes) for planes in crossed]

    @property
    def nbytes(self) -> int:
        """As arrays: in every table a row number a vector, and a key and a length a bucket."""
        buckets = sum(len(table) for table in self.tables)
        return self.vectors.nbytes + self.planes.nbytes + 8 * len(self.vectors) * len(self.tables) + 12 * buckets
