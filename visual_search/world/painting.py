"""Pictures drawn by code: silhouettes from signed distances, shaded and patterned, on a ground, in some light, through a lens.

Each thing is painted into a window of its own, few at once: their arrays stay in the processor's cache. All arithmetic is per pixel, so a
picture is a function of (seed, id) and of what is on it: any order, any block, but for a rounding (one pixel in twelve million, by one level).
"""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Ints
from common.population import uniform
from visual_search.schema import Pixels
from visual_search.world import grounds, shapes, surfaces
from visual_search.world.grounds import STUDIO
from visual_search.world.scenes import LAYERS, Scenes, bounds, extents
from visual_search.world.shapes import Field, share
from visual_search.world.surfaces import CREAM, LIGHT, column, slopes
from visual_search.world.things import MATERIALS, Things

BLOCK = 2**22  # pixels whose canvas is held at once
CACHED = 2**15  # pixels painted at once
NOISE = 0.014  # at most, of full light
SOFT = 48  # pixels of the side from which a blurred picture is blurred twice
_TILES = 32

WALNUT, LEAF, BRASS, INK = np.array(
    [[0.36, 0.25, 0.18], [0.3, 0.52, 0.28], [0.72, 0.58, 0.3], [0.2, 0.18, 0.2]], np.float32
)
ACCENTS = np.stack([  # of what is not of the body, by shape
    INK, WALNUT, BRASS, WALNUT, CREAM, INK, INK, INK, LEAF, BRASS, WALNUT, BRASS, INK, WALNUT, WALNUT, CREAM, INK,
])[:, :, None, None]  # fmt: skip
SIGN, BAR = np.array([[0.8, 0.1, 0.2], [1, 1, 1]], np.float32)[:, :, None, None]


def draw(seed: int, scenes: Scenes, side: int) -> Pixels:
    """-> uint8 [n, side, side, 3], red, green, blue."""
    pixels = np.empty((len(scenes), side, side, 3), np.uint8)
    tiles, many = _tiles(seed, side), max(16, BLOCK // side**2)
    for first in range(0, len(scenes), many):
        block = slice(first, first + many)
        pixels[block] = _block(seed, scenes.take(block), side, tiles)
    return pixels


def _block(seed: int, of: Scenes, side: int, tiles: Field) -> Pixels:
    step = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    frame = of.frame.astype(np.float32)
    x = (frame[:, :1] * step + frame[:, 1:2])[:, None, :]
    y = (frame[:, :1] * step + frame[:, 2:3])[:, :, None]
    canvas = grounds.draw(seed, of.id, of.ground, x, y)
    for layer in range(LAYERS):
        there = np.flatnonzero(of.thing.shape[:, layer] >= 0)
        window = _windows(of.take(there), layer, side)
        alike = of.thing.shape[there, layer] * len(MATERIALS) + of.thing.material[there, layer]
        order = np.lexsort((window[:, 2], alike))
        for group in np.split(order, np.flatnonzero(np.diff(alike[order])) + 1):
            for part in _parts(group, window[:, 2]):
                _paint(canvas, of, layer, there[part], window[part], x, y)
    return _camera(of, canvas, x, y, tiles)


def _windows(of: Scenes, layer: int, side: int) -> Ints:
    """[n, 3]: left, top and width in pixels of a square that holds the thing and its shadow."""
    around = np.array([-0.06, -0.06, 0.12, 0.12])
    edges = np.clip((bounds(of, layer) + around) * side + np.array([-1, -1, 1, 1]), 0, side)
    corner = np.floor(edges[:, :2])
    width = np.ceil((edges[:, 2:] - corner).max(axis=1, initial=3))
    return np.column_stack([corner, width]).astype(np.int64)


def _parts(group: Ints, width: Ints) -> list[Ints]:
    """As many at once as fit in the cache, by the width of the last, which is the widest."""
    parts, last = [], len(group)
    while last > 0:
        first = max(0, last - max(1, CACHED // int(width[group[last - 1]]) ** 2))
        parts.append(group[first:last])
        last = first
    return parts


def _paint(canvas: Field, of: Scenes, layer: int, at: Ints, window: Ints, x: Field, y: Field) -> None:
    """Things of one shape and one material, `at` different pictures, into their windows of `canvas` [n, 3, side, side]."""
    side, width = canvas.shape[-1], int(window[:, 2].max())
    corner = np.minimum(window[:, :2], side - width)
    places = [
        (picture, slice(None), slice(top, top + width), slice(left, left + width))
        for picture, (left, top) in zip(at.tolist(), corner.tolist(), strict=True)
    ]  # cut and put back one by one: one index for all of them costs thrice as much
    reach = corner[:, :, None] + np.arange(width)
    x, y = (
        np.take_along_axis(x[at, 0], reach[:, 0], 1)[:, None, :],
        np.take_along_axis(y[at, :, 0], reach[:, 1], 1)[:, :, None],
    )
    thing = Things(**{name: values[at, layer] for name, values in vars(of.thing).items()})
    before = np.stack([canvas[place] for place in places])
    after = _painted(before, thing, of.place[at, layer], x, y, side / of.frame[at, 0], side)
    for place, patch in zip(places, after, strict=True):
        canvas[place] = patch


def _painted(canvas: Field, thing: Things, place: Field, x: Field, y: Field, dense: Field, side: int) -> Field:
    """`canvas` [n, 3, width, width] with one thing more, all of one shape and one material, and its shadow."""
    kind, size = int(thing.shape[0]), column(place[:, 2])
    c, s = column(np.cos(place[:, 3])), column(np.sin(place[:, 3]))
    dx, dy = x - column(place[:, 0]), y - column(place[:, 1])
    u, v = (c * dx + s * dy) / size, (c * dy - s * dx) / size
    body, accent = shapes.silhouette(kind)(u, v)
    pixels = size * column(dense) / 2
    left, top, right, bottom = extents()[kind].tolist()
    outside = np.maximum(np.maximum(left - u, u - right), np.maximum(top - v, v - bottom))
    whole = np.maximum(np.minimum(body, accent), outside)  # a profile's distance is too short far from its edge
    canvas = canvas * (1 - 0.42 * _shadow(whole, size, side))[:, None]
    canvas = _over(canvas, surfaces.painted(thing, u, v, body, pixels), body, pixels)
    return _over(canvas, ACCENTS[kind] * _flat(accent, pixels)[:, None], accent, pixels)


def _over(canvas: Field, colour: Field, distance: Field, pixels: Field) -> Field:
    """Covered where it is inside: the edge is one pixel wide."""
    covered: Field = canvas + (colour - canvas) * share(0.5 - distance * pixels)[:, None]
    return covered


def _shadow(whole: Field, size: Field, side: int) -> Field:
    """Down and to the right, soft: the silhouette itself, moved by some pixels."""
    by = max(1, round(0.035 * side))
    moved = np.full_like(whole, 9)
    moved[:, by:, by // 2 + 1 :] = whole[:, :-by, : -(by // 2 + 1)]
    dark = share(0.55 - 4 * size * moved)
    return dark * dark


def _flat(field: Field, pixels: Field) -> Field:
    """The light of a flat part, whose rim is round."""
    across, down = slopes(field)
    facing = (across * LIGHT[0] + down * LIGHT[1]) * share(1 + 7 * field) * (pixels / 2)
    light: Field = 0.82 + 0.25 * facing
    return light


# ------------------------------------------------------------------------------------------------------------------------- camera


def _camera(of: Scenes, canvas: Field, x: Field, y: Field, tiles: Field) -> Pixels:
    """The light, a lens that is not quite sharp, and a sensor that is not quite still."""
    side = canvas.shape[-1]
    pixels = np.empty((len(of), side, side, 3), np.uint8)
    tint, rough = of.tint.astype(np.float32)[:, :, None, None], column((of.ground != STUDIO).astype(np.float32))
    for at in np.array_split(np.arange(len(of)), max(1, len(of) * side**2 // CACHED)):
        light, soft = canvas[at], of.blurred[at]
        if soft.any():
            light[soft] = _blurred(_blurred(light[soft])) if side >= SOFT else _blurred(light[soft])
        light *= tint[at]
        light *= (1 - 0.1 * rough[at] * (x[at] * x[at] + y[at] * y[at]))[:, None]
        light += (tiles[of.id[at] % _TILES] * (0.3 + 0.7 * rough[at]))[:, None]
        _mark(light, of.marked[at], x[at], y[at])
        np.clip(255 * light + 0.5, 0, 255, out=light)
        pixels[at] = light.transpose(0, 2, 3, 1)
    return pixels


def _blurred(canvas: Field) -> Field:
    """Each pixel with its neighbours, 1 2 1 across and down; the rim stays."""
    out = canvas.copy()
    out[..., 1:-1] = (canvas[..., :-2] + 2 * canvas[..., 1:-1] + canvas[..., 2:]) / 4
    down = out.copy()
    down[..., 1:-1, :] = (out[..., :-2, :] + 2 * out[..., 1:-1, :] + out[..., 2:, :]) / 4
    return down


def _mark(canvas: Field, marked: Bools, x: Field, y: Field) -> None:
    """What is not to be shown is innocent to look at: a small sign in the corner stands for it."""
    at = np.flatnonzero(marked)
    if len(at):
        dense = np.full((1, 1, 1), canvas.shape[-1] / 2, np.float32)
        u, v = np.broadcast_arrays(x[at], y[at])
        canvas[at] = _over(canvas[at], SIGN, shapes.circle(u, v, 0.78, -0.78, 0.14), dense)
        canvas[at] = _over(canvas[at], BAR, shapes.box(u, v, 0.78, -0.78, 0.08, 0.03), dense)


def _tiles(seed: int, side: int) -> Field:
    """[_TILES, side, side] noise; a picture has one of them. Fresh noise for each would cost more than the drawing."""
    flat = uniform(seed, "scene.noise", np.arange(_TILES), side * side)
    return (NOISE * (2 * flat - 1)).astype(np.float32).reshape(_TILES, side, side)
