"""What an encoder and an index are to the rest of the case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.contract import Ints
from visual_search.schema import Pixels

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Pictures and words as points of one space, each of length 1: their dot product says how alike they are."""

    @property
    def dim(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """sha256 of everything that decides a vector: weights, shape and preparation. Vectors of two fingerprints do not compare."""
        ...

    def images(self, pixels: Pixels) -> Vectors:
        """uint8 [n, side, side, 3] of any side -> [n, dim]."""
        ...

    def texts(self, texts: Sequence[str]) -> Vectors:
        """-> [n, dim]; a text without a known word lies at 0."""
        ...

    def save(self, folder: Path) -> None: ...


class Index(Protocol):
    """Nearest neighbours by dot product, among vectors of length 1."""

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[n, dim] -> ids and scores [n, k], best first; ids -1 and scores -inf where there are no more."""
        ...

    def add(self, ids: Ints, vectors: Vectors) -> None: ...

    def remove(self, ids: Ints) -> None:
        """An unknown id is an error of ours."""
        ...

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """Of what a search reads."""
        ...

    def save(self, folder: Path) -> None: ...
