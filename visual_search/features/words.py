"""Words of owners and of searchers, as TF-IDF: what two texts share, a rare word counting more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats
from common.features.text import analyse

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Words:
    """`token` [v], ascending, and how much each counts."""

    token: NDArray[np.str_]
    idf: Floats

    def said(self, texts: Sequence[str]) -> csr_array:
        """-> [n, v], rows of length 1, or 0 where no word is known."""
        from scipy.sparse import csr_array

        found = [self._of(text) for text in texts]
        starts = np.cumsum([0, *(len(columns) for columns, _ in found)])
        columns = np.concatenate([np.empty(0, np.int64), *(columns for columns, _ in found)])
        values = np.concatenate([np.empty(0), *(values for _, values in found)])
        return csr_array((values, columns, starts), shape=(len(texts), len(self.token)))

    def _of(self, text: str) -> tuple[NDArray[np.int64], Floats]:
        known = sorted({self._place[token] for token in analyse(text) if token in self._place})
        columns = np.array(known, dtype=np.int64)
        value = self.idf[columns]
        return columns, value / max(float(np.linalg.norm(value)), 1e-12)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {token: at for at, token in enumerate(self.token.tolist())}


def learn(texts: Sequence[str]) -> Words:
    """idf = log((1 + n) / (1 + df)) + 1, a word once a text (Sparck Jones 1972, smoothed)."""
    held = [word for text in texts for word in set(analyse(text))]
    token, count = np.unique(np.array(held, dtype=np.str_), return_counts=True)
    return Words(token=token, idf=np.log((1 + len(texts)) / (1 + count)) + 1)
