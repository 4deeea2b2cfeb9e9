"""Pictures as numbers: plainly, for a vector; or as another view of the same thing, to learn from.

A view is a part of the picture, turned, perhaps mirrored, in a little other light, with a piece of it hidden: what a thing looks like in the next photo. Colour changes
little, because people search by it; in SimCLR (Chen et al. 2020), which has no other use for colour, it changes most. One random affine map and one look-up
make part, turn and mirror at once. A part fills the view, so things are seen larger while learning than afterwards, unless the whole picture is then
looked at in more pixels (Touvron et al. 2019): on Grocery that is worth more than any other choice here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from visual_search.schema import Pixels

ASPECT = 4 / 3
TURN = math.radians(15)
LIGHT, CAST = 0.2, 0.05  # brightness, contrast and saturation; each of red, green and blue
HIDDEN, HIDDEN_SIDE = 0.25, (0.15, 0.45)  # share of views with a piece hidden; its side, as a share


def plain(pixels: Pixels, side: int) -> Tensor:
    """uint8 [n, any, any, 3] -> float [n, 3, side, side], about -2 to 2."""
    whole = _numbers(pixels)
    if whole.shape[-1] == side:
        return whole
    return interpolate(whole, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def viewed(pixels: Pixels, side: int, least_area: float) -> Tensor:
    """The same shape as `plain`, each picture as one view of it, a part of this share at least. Draws from torch's global generator."""
    num = len(pixels)
    grid = affine_grid(_maps(num, least_area), [num, 3, side, side], align_corners=False)
    view = grid_sample(_numbers(pixels), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    brightness, contrast, saturation = (_around(LIGHT, num, 1) for _ in range(3))
    grey = view.mean(dim=1, keepdim=True)
    view = (grey + (view - grey) * (1 + saturation)) * (1 + contrast) * (1 + _around(CAST, num, 3)) + brightness
    return view * _shown(num, side)


def _numbers(pixels: Pixels) -> Tensor:
    """One scale for all three colours: what is grey stays grey."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float().sub_(128).div_(64)


def _around(most: float, num: int, channels: int) -> Tensor:
    return torch.empty(num, channels, 1, 1).uniform_(-most, most)


def _maps(num: int, least_area: float) -> Tensor:
    """[num, 2, 3]: where in the picture each place of the view lies, both from -1 to 1."""
    area = torch.empty(num).uniform_(least_area, 1)
    aspect = torch.empty(num).uniform_(-math.log(ASPECT), math.log(ASPECT)).exp()
    wide, high = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    turn = torch.empty(num).uniform_(-TURN, TURN)
    mirrored = wide * (torch.rand(num) < 0.5).float().mul(2).sub(1)
    left, top = ((torch.rand(num) * 2 - 1) * (1 - reach) for reach in (wide, high))
    rows = [[mirrored * turn.cos(), -high * turn.sin(), left], [mirrored * turn.sin(), high * turn.cos(), top]]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def _shown(num: int, side: int) -> Tensor:
    """[num, 1, side, side]: 0 where a piece is hidden, 1 elsewhere."""
    least, most = HIDDEN_SIDE
    size = torch.empty(num, 2).uniform_(least, most) * (torch.rand(num, 1) < HIDDEN)
    start = torch.rand(num, 2) * (1 - size)
    at = (torch.arange(side) + 0.5) / side
    inside = (at >= start[:, :, None]) & (at < (start + size)[:, :, None])  # [num, 2, side]
    return (~(inside[:, 0, :, None] & inside[:, 1, None, :])).float()[:, None]
