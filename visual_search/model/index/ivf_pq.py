"""IVF-PQ: lists of codes (Jegou, Douze & Schmid 2011, section IV, IVFADC). Some bytes a vector instead of four a number.

What is coded is the residual, a vector minus the centre of its list: it is smaller than the vector, and so is the error. The score of x in the list of c is
q.c + q.(x - c): the first is known from picking the list, the second is a sum of table entries, and the table is the same for every list.
"""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from visual_search.model.index.codes import Codes, Product, looked_up
from visual_search.model.index.exact import stacked
from visual_search.model.index.ivf import kmeans
from visual_search.model.parts import Vectors


class IvfPq:
    def __init__(self, vectors: Vectors, lists: int, code: int = 8, probes: int = 1, seed: int = 0) -> None:
        self.probes, self.num = probes, 0
        self.centres = kmeans(vectors, lists, seed=seed, spherical=True)
        self.product = Product(vectors - self.centres[self._of(vectors)], code, seed)
        self.lists: list[tuple[Ints, Codes]] = [(np.empty(0, np.int64), np.empty((0, code), np.uint8))] * lists
        self.add(vectors)

    def _of(self, vectors: Vectors) -> Ints:
        found: Ints = np.argmax(vectors @ self.centres.T, axis=1)
        return found

    def add(self, vectors: Vectors) -> None:
        of = self._of(vectors)
        codes = self.product.encode(vectors - self.centres[of])
        for one in np.unique(of).tolist():
            (rows, before), mine = self.lists[one], np.flatnonzero(of == one)
            self.lists[one] = np.concatenate([rows, self.num + mine]), np.concatenate([before, codes[mine]])
        self.num += len(vectors)

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[m, dim] -> rows and scores [m, k], best first by the coded vectors, -1 where the lists held no more."""
        centre, tables = queries @ self.centres.T, self.product.table(queries)
        near = np.argsort(-centre, axis=1)[:, : self.probes]
        answers = zip(near.tolist(), centre, tables, strict=True)
        return stacked([self._search(lists, scores, table, k) for lists, scores, table in answers])

    def _search(self, lists: list[int], centre: Vectors, table: Vectors, k: int) -> tuple[Ints, Vectors]:
        rows = np.concatenate([self.lists[one][0] for one in lists])
        scores = np.concatenate([centre[one] + looked_up(table, self.lists[one][1]) for one in lists])
        order = np.argsort(-scores, kind="stable")[:k]
        found, score = np.full(k, -1), np.full(k, -np.inf, np.float32)
        found[: len(order)], score[: len(order)] = rows[order], scores[order]
        return found, score

    @property
    def nbytes(self) -> int:
        return self.num * (self.product.num + 8) + self.centres.nbytes + self.product.books.nbytes
