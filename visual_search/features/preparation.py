"""From a picture to what is compared: the part of it that is meant, as a square. One preparation for the gallery, for training and for a photo that comes in.

A picture is a square of `side` pixels already: whatever its form was, it was pressed into one at the door, so that a crop in shares of width and height
stays the same crop. The part is cut as the smallest square around the crop, moved into the picture where it would stand out: a tall thing stays tall.
"""

from __future__ import annotations

import numpy as np

from visual_search.schema import Crops, Pixels

WHOLE = (0.0, 0.0, 1.0, 1.0)
LEAST = 0.1  # of the side: what is cut is never smaller, or a point would be drawn out over the whole square


def cut(pixels: Pixels, crops: Crops, side: int) -> Pixels:
    """pixels [n, s, s, 3], crops [n, 4] (left, top, right, bottom as shares, no NaN) -> [n, side, side, 3]."""
    from PIL import Image

    boxes = squares(crops) * pixels.shape[1]
    if pixels.shape[1] == side and (boxes == np.array(WHOLE) * side).all():
        return pixels
    found = np.empty((len(pixels), side, side, 3), np.uint8)
    for at, (picture, box) in enumerate(zip(pixels, boxes.tolist(), strict=True)):
        found[at] = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box=tuple(box)))
    return found


def squares(crops: Crops) -> Crops:
    """[n, 4] -> [n, 4]: the smallest square around each, inside the picture."""
    low, high = crops[:, :2].astype(np.float64), crops[:, 2:].astype(np.float64)
    side = np.clip((high - low).max(axis=1, keepdims=True), LEAST, 1.0)
    low = np.clip((low + high) / 2 - side / 2, 0.0, 1.0 - side)
    return np.concatenate([low, np.minimum(low + side, 1.0)], axis=1).astype(np.float32)
