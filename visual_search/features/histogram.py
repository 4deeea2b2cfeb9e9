"""Which colours there are, and roughly where: shares of hue, saturation and value in the whole picture and in each quarter.

Swain and Ballard 1991, Color Indexing. Roots of shares, so that a dot product is the Bhattacharyya coefficient: a small colour counts beside a large one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visual_search.schema import Pixels

HUES, SATURATIONS, VALUES = 10, 2, 3
GREYS = 4  # a pixel without colour has no hue: by its value alone
GREY = 0.15  # saturation below which that is so
BINS = HUES * SATURATIONS * VALUES + GREYS
WHOLE = 0.5  # share of the whole picture; the quarters share the rest
DIM = 5 * BINS
FINE = 32  # of a larger picture every second pixel is counted, or every third: shares need no more
BLOCK = 128
Histograms = NDArray[np.float32]


def histograms(pixels: Pixels) -> Histograms:
    """uint8 [n, side, side, 3] -> [n, DIM], each of length 1."""
    found = np.empty((len(pixels), DIM), np.float32)
    for at in range(0, len(pixels), BLOCK):
        found[at : at + BLOCK] = _of(pixels[at : at + BLOCK])
    return found


def _of(pixels: Pixels) -> Histograms:
    step = max(1, pixels.shape[1] // FINE)
    pixels = pixels[:, step // 2 :: step, step // 2 :: step]
    n, side = pixels.shape[:2]
    bins = colours(pixels)
    half = np.arange(side) >= side / 2
    quarter = 2 * half[:, None] + half[None, :]
    cell = (np.arange(n)[:, None, None] * 4 + quarter) * BINS + bins
    counts = np.bincount(cell.ravel(), minlength=n * 4 * BINS).reshape(n, 4, BINS)
    parts = np.concatenate([counts.sum(axis=1, keepdims=True), counts], axis=1)
    shares = parts / np.maximum(parts.sum(axis=2, keepdims=True), 1)
    shares *= np.array([WHOLE, *[(1 - WHOLE) / 4] * 4])[:, None]
    found: Histograms = np.sqrt(shares).reshape(n, DIM).astype(np.float32)
    return found


def colours(pixels: Pixels) -> NDArray[np.int64]:
    """uint8 [..., 3] -> the bin of each pixel [...]."""
    value, chroma, hue = hsv(pixels)
    saturation = chroma / np.maximum(value, 1)
    level = np.minimum((value / 256 * VALUES).astype(np.int64), VALUES - 1)
    strength = np.minimum(((saturation - GREY) / (1 - GREY) * SATURATIONS).astype(np.int64), SATURATIONS - 1)
    wheel = (np.floor(hue * HUES + 0.5).astype(np.int64)) % HUES  # red lies in the middle of a bin, not on its edge
    coloured = (wheel * SATURATIONS + strength) * VALUES + level
    grey = HUES * SATURATIONS * VALUES + np.minimum((value / 256 * GREYS).astype(np.int64), GREYS - 1)
    return np.where(saturation < GREY, grey, coloured)


def hsv(pixels: Pixels) -> tuple[Histograms, Histograms, Histograms]:
    """-> value and chroma in levels, hue as a share of the circle, [...] each (Smith 1978, Color Gamut Transform Pairs)."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    by = np.maximum(chroma, 1)
    hue = np.where(
        value == red, (green - blue) / by % 6, np.where(value == green, (blue - red) / by + 2, (red - green) / by + 4)
    )
    return value, chroma, (hue / 6).astype(np.float32)
