"""Where in a picture the thing is that is meant: what differs from the ground, in one piece, and the larger and nearer to the middle the more likely.

The ground of a place is what the border shows in its row, left and right, and in its column, above: a wall, a table before it, and planks in either are
each their own ground, and a place that is like any of the three is ground. After Borji et al. 2015, Salient Object Detection: A Benchmark (IEEE TIP), the border
as background is the strongest of the simple priors; a learned detector (VIS-63) knows what things look like as well.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from visual_search.features.preparation import WHOLE
from visual_search.schema import Crops, Pixels

GRID = 32  # a side of what is looked at: a box to a thirty-second is as good as any
FRAME = 2  # of GRID: what counts as border
LENIENT = 0.8  # of Otsu's cut: a pale handle belongs to its cup
MARGIN = 0.02  # added around what is found
NEAR = 0.2  # of the side: standard deviation of where people hold what they mean, around the middle
LEAST, MOST = 0.02, 0.85  # of the picture: smaller is a speck, larger is the picture
BLOCK = 64  # pictures looked at at once: what is made on the way stays in the cache
Maps = NDArray[np.float32]


def propose(pixels: Pixels) -> Crops:
    """uint8 [n, side, side, 3] -> crops [n, 4]; the whole picture where nothing stands out."""
    parts = [boxes(standing_out(reduced(pixels[at : at + BLOCK]))) for at in range(0, len(pixels), BLOCK)]
    return np.concatenate([np.empty((0, 4), np.float32), *parts])


def is_found(crops: Crops) -> NDArray[np.bool_]:
    """[n]: is there a thing, or only a picture?"""
    found: NDArray[np.bool_] = (crops != np.array(WHOLE, np.float32)).any(axis=1)
    return found


def reduced(pixels: Pixels) -> Maps:
    """-> [n, GRID, GRID, 3]: means of blocks where the side is a multiple of GRID, else the nearest pixels."""
    side = pixels.shape[1]
    if side % GRID == 0:
        block = side // GRID
        total = np.zeros((len(pixels), GRID, GRID, 3), np.float32)
        for row, column in np.ndindex(block, block):
            total += pixels[:, row::block, column::block]
        mean: Maps = total / np.float32(block**2)
        return mean
    at = ((np.arange(GRID) + 0.5) * side / GRID).astype(np.int64)
    return pixels[:, at][:, :, at].astype(np.float32)


def standing_out(small: Maps) -> Maps:
    """[n, GRID, GRID, 3] -> [n, GRID, GRID]: levels of colour, summed over channels, by which each place differs from the ground it is most like."""
    left, right = _steady(small[:, :, :FRAME].mean(axis=2)), _steady(small[:, :, -FRAME:].mean(axis=2))
    above = _steady(small[:, :FRAME].mean(axis=1))
    differs = [_apart(small, ground) for ground in (left[:, :, None], right[:, :, None], above[:, None])]
    least: Maps = np.minimum.reduce(differs)
    return least


def _apart(small: Maps, ground: Maps) -> Maps:
    """Channel by channel: numpy sums an axis of three at a tenth of its speed."""
    red, green, blue = (np.abs(small[..., channel] - ground[..., channel]) for channel in range(3))
    total: Maps = red + green + blue
    return total


def _steady(line: Maps) -> Maps:
    """[n, GRID, 3] -> medians of three along the border: a corner of a thing is not ground."""
    padded = np.pad(line, ((0, 0), (1, 1), (0, 0)), mode="edge")
    before, here, after = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    steady: Maps = np.maximum(np.minimum(before, here), np.minimum(np.maximum(before, here), after))
    return steady


def boxes(map_: Maps) -> Crops:
    """[n, GRID, GRID] -> [n, 4]: around the piece above its picture's threshold that has most to show near the middle."""
    from scipy import ndimage

    n = len(map_)
    above = map_ > LENIENT * _threshold(map_)[:, None, None]
    structure = np.zeros((3, 3, 3), bool)
    structure[1] = True  # pieces hang together within a picture, diagonals too, and never across two
    label, num = ndimage.label(above, structure)
    crops = np.tile(np.array(WHOLE, np.float32), (n, 1))
    if not num:
        return crops
    weight = np.bincount(label.ravel(), (map_ * _middle()).ravel(), num + 1)
    size = np.bincount(label.ravel(), minlength=num + 1) / GRID**2
    places = ndimage.find_objects(label)
    whose = np.array([place[0].start for place in places])
    order = np.lexsort((-weight[1:], whose))
    best = order[np.unique(whose[order], return_index=True)[1]]
    for one in best.tolist():
        if LEAST <= size[one + 1] <= MOST:
            _, rows, columns = places[one]
            box = np.array([columns.start, rows.start, columns.stop, rows.stop]) / GRID
            crops[whose[one]] = np.clip(box + MARGIN * np.array([-1, -1, 1, 1]), 0, 1)
    return crops


def _threshold(map_: Maps) -> Maps:
    """Otsu 1979 (A threshold selection method from gray-level histograms), for each map: the cut between two groups that lie furthest apart."""
    flat = np.sort(map_.reshape(len(map_), -1), axis=1)
    num = flat.shape[1]
    left = np.cumsum(flat, axis=1)[:, :-1]
    count = np.arange(1, num)
    right = flat.sum(axis=1, keepdims=True) - left
    apart = count * (num - count) * (left / count - right / (num - count)) ** 2
    cut: Maps = np.take_along_axis(flat, apart.argmax(axis=1)[:, None], 1)[:, 0]
    return cut


@lru_cache(maxsize=1)
def _middle() -> Maps:
    """[GRID, GRID]: 1 in the middle, less towards the border: people point at what they mean."""
    at = (np.arange(GRID) + 0.5) / GRID - 0.5
    near: Maps = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * NEAR**2)).astype(np.float32)
    return near
