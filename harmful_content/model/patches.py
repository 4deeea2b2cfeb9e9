"""Pictures to vectors without labels: how near each part of a picture is to the patches that pictures are made of (Coates, Lee, Ng 2011, An
Analysis of Single-Layer Networks in Unsupervised Feature Learning, section 3). Fitted in a second and then frozen, so a picture is encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]

SIZE, STRIDE = 8, 3  # of a patch, in pixels: an arrow is about ten high, and smaller patches miss where it points
NUM_PATCHES = 10_000  # to learn from
CONTRAST, RIDGE = 10.0, 0.1  # added to variances: before patches are scaled, and before they are whitened
ROUNDS = 10  # of k-means
BLOCK = 256  # pictures encoded at once


@dataclass(frozen=True)
class Patches:
    """mean [d], whiten [d, d], centres [k, d] with d = SIZE x SIZE x 3."""

    mean: Float32s
    whiten: Float32s
    centres: Float32s

    @classmethod
    def fit(cls, pixels: NDArray[np.uint8], num_centres: int, seed: int) -> Patches:
        """pixels [n, SIDE, SIDE, 3] of training pictures; none give an encoder that says nothing."""
        rng, width = np.random.default_rng([seed, 21]), SIZE * SIZE * 3
        if not len(pixels):
            return cls(
                np.zeros(width, np.float32), np.eye(width, dtype=np.float32), np.zeros((num_centres, width), np.float32)
            )
        some = pixels[rng.choice(len(pixels), min(len(pixels), 1_000), replace=False)]
        cut = _cut(some).reshape(-1, width)
        cut = cut[rng.choice(len(cut), min(len(cut), NUM_PATCHES), replace=False)]
        mean = cut.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(cut - mean, rowvar=False).astype(np.float64))
        whiten = ((vectors / np.sqrt(values + RIDGE)) @ vectors.T).astype(np.float32)
        return cls(mean, whiten, _centres((cut - mean) @ whiten, num_centres, rng))

    def encode(self, pixels: NDArray[np.uint8]) -> Float32s:
        """[n, SIDE, SIDE, 3] -> [n, 2 k]: of each centre the nearest that any part of the picture comes, and the mean over its parts."""
        out = np.empty((len(pixels), 2 * len(self.centres)), dtype=np.float32)
        for first in range(0, len(pixels), BLOCK):
            cut = ((_cut(pixels[first : first + BLOCK]) - self.mean) @ self.whiten).astype(np.float32, copy=False)
            away = np.sqrt(np.maximum(_squared(cut, self.centres), 0))
            near = np.maximum(away.mean(axis=-1, keepdims=True) - away, 0)
            out[first : first + BLOCK] = np.concatenate([near.max(axis=1), near.mean(axis=1)], axis=1)
        return out


def _cut(pixels: NDArray[np.uint8]) -> Float32s:
    """[n, SIDE, SIDE, 3] -> [n, parts, d], each patch at mean 0 and its contrast at 1: a dark corner is like a bright one."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (SIZE, SIZE), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
    cut = windows.reshape(len(pixels), -1, SIZE * SIZE * 3).astype(np.float32)
    cut -= cut.mean(axis=-1, keepdims=True)
    cut /= np.sqrt(cut.var(axis=-1, keepdims=True) + CONTRAST)
    return cut


def _centres(white: Float32s, num: int, rng: np.random.Generator) -> Float32s:
    """k-means from points drawn at random; a centre that loses every point stays where it was."""
    centres = white[rng.choice(len(white), num, replace=len(white) < num)].copy()
    for _ in range(ROUNDS):
        nearest = _squared(white, centres).argmin(axis=1)
        count = np.bincount(nearest, minlength=num)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, white)
        centres[count > 0] = sums[count > 0] / count[count > 0, None]
    return centres


def _squared(points: Float32s, centres: Float32s) -> Float32s:
    """[..., d], [k, d] -> [..., k] squared distances."""
    found: Float32s = (points**2).sum(axis=-1, keepdims=True) - 2 * points @ centres.T + (centres**2).sum(axis=1)
    return found
