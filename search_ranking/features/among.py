"""The documents that may be answered to somebody, as a leg asks for them while it looks: what it leaves out afterwards leaves its page short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Ints


@dataclass(frozen=True, eq=False)
class Among:
    """Of the documents `doc_id` [n], ascending, those where `allowed` [n]. A document that is not one of them may not be answered."""

    doc_id: Ints
    allowed: Bools

    def of(self, doc_id: Ints) -> Bools:
        """[m], in any order -> [m]."""
        if len(doc_id) == len(self.doc_id) and (doc_id == self.doc_id).all():
            return self.allowed
        if not len(self.doc_id):
            return np.zeros(len(doc_id), bool)
        at = np.minimum(np.searchsorted(self.doc_id, doc_id), len(self.doc_id) - 1)
        allowed: Bools = self.allowed[at] & (self.doc_id[at] == doc_id)
        return allowed


EachAmong = Callable[[int], Among]
"""Of the i-th query. Asked one by one: a thousand masks of a million documents are a gigabyte."""
