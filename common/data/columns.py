"""Columns on disk: dataclasses of arrays to Parquet and back, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


def write(path: Path, columns: Mapping[str, Array]) -> None:
    """1-D arrays (int64, float64, str) and 2-D float arrays of equal length; whole or not at all (temporary file, fsync, rename)."""
    raise NotImplementedError


def read(path: Path) -> dict[str, Array]:
    """What `write` wrote, same dtypes, same bits; a torn or foreign file is an InputError."""
    raise NotImplementedError
