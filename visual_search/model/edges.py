"""Which way edges run, and roughly where: the outline of a thing, whatever its colour.

Dalal and Triggs 2005, Histograms of Oriented Gradients for Human Detection: orientations by cell, each cell shared with its neighbours; then the directions in
which the gallery's images differ most (PCA), so that a few numbers say it and an index can hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from visual_search.schema import Pixels

FINE = 32  # pixels a side that are looked at
CELLS, TURNS = 8, 8  # a side; orientations of half a circle
BLOCK = 128
Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Edges:
    """`mean` [CELLS * CELLS * TURNS] of the gallery, `axes` [that many, dim] along which it differs."""

    mean: Numbers
    axes: Numbers

    @property
    def dim(self) -> int:
        return int(self.axes.shape[1])

    def of(self, pixels: Pixels) -> Numbers:
        """uint8 [n, side, side, 3] -> [n, dim], each of length 1."""
        found = np.empty((len(pixels), self.dim), np.float32)
        for at in range(0, len(pixels), BLOCK):
            along = (oriented(pixels[at : at + BLOCK]) - self.mean) @ self.axes
            found[at : at + BLOCK] = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        return found


def fit(pixels: Pixels, dim: int) -> Edges:
    """From the gallery as it was in training."""
    some = np.concatenate([oriented(pixels[at : at + BLOCK]) for at in range(0, len(pixels), BLOCK)])
    mean = some.mean(axis=0)
    spread = (some - mean).T.astype(np.float64) @ (some - mean)
    _, axes = np.linalg.eigh(spread)
    return Edges(mean.astype(np.float32), axes[:, ::-1][:, :dim].astype(np.float32))


def oriented(pixels: Pixels) -> Numbers:
    """-> [n, CELLS * CELLS * TURNS]: roots of shares, as of histograms of colours."""
    step = max(1, pixels.shape[1] // FINE)
    grey = np.zeros((len(pixels), *pixels[0, ::step, ::step, 0].shape), np.float32)
    for row, column, channel in np.ndindex(step, step, 3):
        part = pixels[:, row::step, column::step, channel]
        grey[:, : part.shape[1], : part.shape[2]] += part
    grey /= 3 * step**2
    n, side = grey.shape[:2]
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    turn = np.minimum((np.arctan2(down, across) % np.pi / np.pi * TURNS).astype(np.int64), TURNS - 1)
    cell = np.arange(n)[:, None, None] * CELLS**2 + _cells(side)
    strong = np.sqrt(np.hypot(across, down)).ravel()  # roots: one bright edge should not drown the outline
    counts = np.bincount((cell * TURNS + turn).ravel(), strong, n * CELLS**2 * TURNS).reshape(n, CELLS, CELLS, TURNS)
    around = np.pad(counts, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shared = 0.5 * counts + 0.125 * (
        around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]
    )
    flat = shared.reshape(n, -1)
    found: Numbers = np.sqrt(flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return found


@lru_cache(maxsize=4)
def _cells(side: int) -> NDArray[np.int64]:
    """[side, side]: the cell of each pixel."""
    of = np.minimum(np.arange(side) * CELLS // side, CELLS - 1)
    return of[:, None] * CELLS + of[None, :]
