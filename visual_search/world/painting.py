"""Pictures drawn by code: silhouettes from signed distances, shaded, patterned, on a ground, in some light.

Each thing is painted into a window of its own, few at once: their arrays stay in the processor's cache. All arithmetic is per pixel, so a picture is a function of (seed, id)
and of what is on it: any order, any block.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools
from common.population import uniform
from visual_search.schema import Pixels
from visual_search.world import shapes
from visual_search.world.scenes import LAYERS, STUDIO, Scenes, bounds
from visual_search.world.things import MATERIALS, Things

Field = NDArray[np.float32]
BLOCK = 2**22  # pixels whose canvas is held at once
CACHED = 2**15  # pixels painted at once
NOISE = 0.014  # at most, of full light
_TILES = 32

RING = np.array(  # colours by hue, in the order of things.COLOURS
    [
        [198, 46, 50], [231, 120, 42], [238, 194, 58], [158, 190, 66], [58, 146, 84],
        [42, 152, 152], [58, 114, 196], [80, 76, 170], [144, 76, 164], [224, 108, 152],
    ],
    np.float32,
) / 255  # fmt: skip
CREAM, CHARCOAL = np.array([[0.95, 0.92, 0.85], [0.2, 0.19, 0.22]], np.float32)
WALNUT, LEAF, BRASS, INK = np.array([[0.36, 0.25, 0.18], [0.3, 0.52, 0.28], [0.72, 0.58, 0.3], [0.2, 0.18, 0.2]], np.float32)
ACCENTS = np.stack([  # of what is not of the body, by shape
    INK, WALNUT, BRASS, WALNUT, CREAM, INK, INK, INK, LEAF, BRASS, WALNUT, BRASS, INK, WALNUT, WALNUT, CREAM, INK,
])  # fmt: skip
STEEL, TIMBER = np.array([[0.62, 0.64, 0.68], [0.56, 0.4, 0.26]], np.float32)
WALLS = np.array(
    [[228, 214, 194], [186, 208, 214], [226, 196, 172], [178, 196, 166], [238, 228, 210], [164, 178, 204], [218, 182, 172], [140, 152, 152]],
    np.float32,
) / 255  # fmt: skip
FLOORS = np.array([[150, 112, 80], [190, 160, 124], [120, 110, 104], [212, 200, 184], [92, 74, 62], [164, 150, 140]], np.float32) / 255
LIGHT = np.array([-0.42, -0.58, 0.70], np.float32)
HALF = np.array([-0.23, -0.31, 0.92], np.float32)  # between the light and the eye


def draw(seed: int, scenes: Scenes, side: int) -> Pixels:
    """-> uint8 [n, side, side, 3], red, green, blue."""
    pixels = np.empty((len(scenes), side, side, 3), np.uint8)
    tiles, many = _tiles(seed, side), max(16, BLOCK // side**2)
    for first in range(0, len(scenes), many):
        block = slice(first, first + many)
        pixels[block] = _block(seed, scenes.take(block), side, tiles)
    return pixels


def _block(seed: int, of: Scenes, side: int, tiles: Field) -> Pixels:
    step = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - 1
    frame = of.frame.astype(np.float32)
    x = (frame[:, :1] * step + frame[:, 1:2])[:, None, :]
    y = (frame[:, :1] * step + frame[:, 2:3])[:, :, None]
    canvas = _grounds(seed, of, x, y)
    for layer in range(LAYERS):
        there = np.flatnonzero(of.thing.shape[:, layer] >= 0)
        window = _windows(of.take(there), layer, side)
        alike = of.thing.shape[there, layer] * len(MATERIALS) + of.thing.material[there, layer]
        order = np.lexsort((window[:, 2], alike))
        for group in np.split(order, np.flatnonzero(np.diff(alike[order])) + 1):
            for part in _parts(group, window[:, 2]):
                _paint(canvas, of, layer, there[part], window[part], x, y)
    return _camera(of, canvas, x, y, tiles)


def _windows(of: Scenes, layer: int, side: int) -> NDArray[np.int64]:
    """[n, 3]: left, top and width in pixels of a square that holds the thing and its shadow."""
    around = np.array([-0.05, -0.05, 0.12, 0.12])
    edges = np.clip((bounds(of, layer) + around) * side + np.array([-1, -1, 1, 1]), 0, side)
    left, top = np.floor(edges[:, :2]).T
    width = np.ceil((edges[:, 2:] - np.floor(edges[:, :2])).max(axis=1))
    window: NDArray[np.int64] = np.stack([left, top, np.maximum(width, 3)], axis=1).astype(np.int64)
    return window


def _parts(group: NDArray[np.int64], width: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """As many at once as fit in the cache, by the width of the last, which is the widest."""
    parts, last = [], len(group)
    while last > 0:
        first = max(0, last - max(1, CACHED // int(width[group[last - 1]]) ** 2))
        parts.append(group[first:last])
        last = first
    return parts


def _paint(canvas: Field, of: Scenes, layer: int, at: NDArray[np.int64], window: NDArray[np.int64], x: Field, y: Field) -> None:
    """Things of one shape and one material, `at` different pictures, into their windows of `canvas` [n, 3, side, side]."""
    side, width = canvas.shape[-1], int(window[:, 2].max())
    left, top = np.minimum(window[:, 0], side - width), np.minimum(window[:, 1], side - width)
    places = [
        (picture, slice(None), slice(down, down + width), slice(across, across + width))
        for picture, down, across in zip(at.tolist(), top.tolist(), left.tolist(), strict=True)
    ]  # cut and put back one by one: one index for all of them costs thrice as much
    reach = np.arange(width)
    across, down = x[at[:, None], 0, left[:, None] + reach][:, None, :], y[at[:, None], top[:, None] + reach, 0][:, :, None]
    thing = Things(**{name: column[at, layer] for name, column in vars(of.thing).items()})
    dense = np.float32(side) / of.frame[at, 0].astype(np.float32)
    before = np.stack([canvas[place] for place in places])
    after = _painted(before, thing, of.place[at, layer].astype(np.float32), across, down, dense, side)
    for place, patch in zip(places, after, strict=True):
        canvas[place] = patch


def _column(values: object) -> Field:
    return np.asarray(values, np.float32)[:, None, None]


# ------------------------------------------------------------------------------------------------------------------------ a thing


def _painted(canvas: Field, thing: Things, place: Field, x: Field, y: Field, dense: Field, side: int) -> Field:
    """`canvas` [n, 3, width, width] with one thing more, all of one shape and one material, and its shadow."""
    kind, size, turn = int(thing.shape[0]), _column(place[:, 2]), place[:, 3]
    c, s = _column(np.cos(turn)), _column(np.sin(turn))
    dx, dy = x - _column(place[:, 0]), y - _column(place[:, 1])
    u, v = (c * dx + s * dy) / size, (c * dy - s * dx) / size
    body, accent = shapes.ALL[kind](u, v)
    pixels = size * _column(dense) / 2  # of one unit of u
    canvas = canvas * (1 - np.float32(0.42) * _shadow(np.minimum(body, accent), size, side))[:, None]
    canvas = _over(canvas, _lit(thing, u, v, body, pixels), _cover(body, pixels))
    flat = np.float32(0.82) + np.float32(0.25) * _edge(accent, pixels)
    return _over(canvas, ACCENTS[kind][None, :, None, None] * flat[:, None], _cover(accent, pixels))


def _cover(distance: Field, pixels: Field) -> Field:
    """The share of each pixel that is inside: the edge is one pixel wide."""
    return np.clip(np.float32(0.5) - distance * pixels, 0, 1)


def _over(canvas: Field, colour: Field, cover: Field) -> Field:
    covered: Field = canvas + (colour - canvas) * cover[:, None]
    return covered


def _shadow(whole: Field, size: Field, side: int) -> Field:
    """Down and to the right, soft: the silhouette itself, moved by some pixels."""
    by = max(1, round(0.035 * side))
    moved = np.full_like(whole, 9)
    moved[:, by:, by // 2 + 1 :] = whole[:, :-by, : -(by // 2 + 1)]
    dark = np.clip(np.float32(0.55) - moved * size * np.float32(4), 0, 1)
    return dark * dark


def _slopes(field: Field) -> tuple[Field, Field]:
    across, down = np.zeros_like(field), np.zeros_like(field)
    np.subtract(field[:, :, 2:], field[:, :, :-2], out=across[:, :, 1:-1])
    np.subtract(field[:, 2:], field[:, :-2], out=down[:, 1:-1])
    return across, down


def _edge(field: Field, pixels: Field) -> Field:
    """How much a flat part's rim faces the light, -1 to 1."""
    across, down = _slopes(field)
    near = np.clip(1 + field * np.float32(7), 0, 1) * (pixels / 2)
    facing: Field = (across * LIGHT[0] + down * LIGHT[1]) * near
    return facing


def _lit(thing: Things, u: Field, v: Field, body: Field, pixels: Field) -> Field:
    """[n, 3, side, side]: the colour of the body, as if its surface rose from its edge."""
    across, down = _slopes(body)
    slope = np.clip(1 + body * np.float32(3.2), 0, 1)
    slope *= slope
    slope *= pixels / 2
    nx = across * slope + np.float32(0.36) * np.clip(u, -1, 1)
    ny = down * slope + np.float32(0.16) * np.clip(v, -1, 1)
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, np.float32(0.04)))
    facing = np.maximum(nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2], 0)
    gloss = np.maximum(nx * HALF[0] + ny * HALF[1] + nz * HALF[2], 0)
    colour = _coloured(thing, u, v, pixels)
    dress = (_ceramic, _metal, _wood, _cloth)[int(thing.material[0])]
    return dress(colour, facing, gloss, nx, u, v, body, pixels, thing)


def _power(base: Field, doublings: int) -> Field:
    for _ in range(doublings):
        base = base * base
    return base


def _ceramic(colour: Field, facing: Field, gloss: Field, *_: object) -> Field:
    shade = (np.float32(0.5) + np.float32(0.62) * facing)[:, None]
    shine = np.float32(0.75) * _power(gloss, 5) + np.float32(0.1) * _power(gloss, 2)
    return colour * shade + shine[:, None]


def _metal(colour: Field, facing: Field, gloss: Field, nx: Field, *_: object) -> Field:
    bands = np.float32(0.5) + np.float32(0.5) * np.sin(np.float32(7.5) * nx + np.float32(3) * facing)
    shade = (np.float32(0.28) + np.float32(0.5) * facing + np.float32(0.42) * bands)[:, None]
    shine = np.float32(0.6) * _power(gloss, 4)
    return (np.float32(0.66) * colour + np.float32(0.34) * STEEL[:, None, None]) * shade + shine[:, None]


def _wood(colour: Field, facing: Field, gloss: Field, nx: Field, u: Field, v: Field, body: Field, pixels: Field, thing: Things) -> Field:
    ring = u * np.float32(15) + np.float32(1.6) * np.sin(np.float32(2.4) * v + 6 * _column(thing.tone)) + np.float32(0.5) * np.sin(np.float32(7) * v)
    grain = np.sin(ring) * np.float32(0.6) + np.sin(ring * np.float32(2.3)) * np.float32(0.4) * _fine(pixels, 11)
    shade = (np.float32(0.6) + np.float32(0.45) * facing) * (1 + np.float32(0.17) * grain)
    return (np.float32(0.62) * colour + np.float32(0.38) * TIMBER[:, None, None]) * shade[:, None]


def _cloth(colour: Field, facing: Field, gloss: Field, nx: Field, u: Field, v: Field, body: Field, pixels: Field, thing: Things) -> Field:
    weave = np.sin(np.float32(52) * u) * np.sin(np.float32(52) * v) * _fine(pixels, 17)
    folds = np.sin(np.float32(5) * u + np.float32(2) * v + 6 * _column(thing.turn))
    shade = np.float32(0.7) + np.float32(0.28) * facing + np.float32(0.1) * weave + np.float32(0.05) * folds
    seam = (abs(body + np.float32(0.09)) < np.float32(0.022)) & (np.sin(np.float32(34) * (u + v)) > 0)
    return colour * (shade * (1 - np.float32(0.22) * seam))[:, None]


def _fine(pixels: Field, waves: float) -> Field:
    """0 where a texture of so many waves a unit would be finer than the pixels, 1 where it has room."""
    return np.clip(pixels / np.float32(waves) - np.float32(0.6), 0, 1)


# ----------------------------------------------------------------------------------------------------------------------- patterns


def _coloured(thing: Things, u: Field, v: Field, pixels: Field) -> Field:
    tone = (np.float32(0.84) + np.float32(0.3) * thing.tone.astype(np.float32))[:, None]
    first, second = hues(thing.hue) * tone, hues(thing.second)
    share = np.zeros(u.shape, np.float32)
    fine = _column(np.float32(0.8) + np.float32(0.5) * thing.grain)
    turn = np.pi * thing.turn.astype(np.float32)
    for pattern, of in enumerate((_stripes, _dots, _checks, _zigzag, _marbled), 1):
        at = np.flatnonzero(thing.pattern == pattern)
        if len(at):
            share[at] = of(u[at], v[at], fine[at], _column(turn[at]), pixels[at])
    return first[:, :, None, None] + (second - first)[:, :, None, None] * share[:, None]


def hues(hue: NDArray[np.float64]) -> Field:
    """[n] -> [n, 3]: between the colours of RING; 2 is cream, 3 charcoal."""
    at = (hue % 1) * len(RING)
    low = at.astype(np.int64)
    share = (at - low).astype(np.float32)[:, None]
    colour = RING[low % len(RING)] * (1 - share) + RING[(low + 1) % len(RING)] * share
    return np.where(hue[:, None] >= 3, CHARCOAL, np.where(hue[:, None] >= 2, CREAM, colour)).astype(np.float32)


def _soft(wave: Field, waves: Field, pixels: Field) -> Field:
    """A sine as bands with an edge of one pixel."""
    return np.clip(np.float32(0.5) + wave * (pixels / waves), 0, 1)


def _stripes(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    quarter = np.round(turn / np.float32(np.pi / 4)) * np.float32(np.pi / 4)
    waves = 13 * fine
    return _soft(np.sin(waves * (np.cos(quarter) * u + np.sin(quarter) * v)), waves, pixels)


def _dots(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    p, q = u * (np.float32(3.0) * fine), v * (np.float32(3.0) * fine)
    row = np.floor(q)
    p = p + np.float32(0.5) * (row % 2)
    far = np.sqrt((p - np.floor(p) - np.float32(0.5)) ** 2 + (q - row - np.float32(0.5)) ** 2)
    return np.clip(np.float32(0.5) + (np.float32(0.29) - far) * pixels / (3 * fine), 0, 1)


def _checks(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    waves = np.float32(8.5) * fine
    return _soft(np.sin(waves * u) * np.sin(waves * v), waves, pixels)


def _zigzag(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    waves = np.float32(13) * fine
    bent = u * (np.float32(2.6) * fine)
    teeth = abs(bent - np.floor(bent) - np.float32(0.5)) * np.float32(1.5)
    return _soft(np.sin(waves * v + np.float32(4.5) * teeth), waves, pixels)


def _marbled(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    p, q = u * fine, v * fine
    bend = np.sin(4 * q + 6 * turn) + np.float32(0.5) * np.sin(7 * p + 3 * turn)
    veins = np.sin(np.float32(4) * p + np.float32(2.2) * bend + 2 * turn)
    return np.clip(np.float32(0.42) + np.float32(0.75) * veins, 0, 1)


# ------------------------------------------------------------------------------------------------------------------------ grounds


def _grounds(seed: int, of: Scenes, x: Field, y: Field) -> Field:
    """[n, 3, side, side]: light and empty in a studio, else a wall and mostly a floor."""
    draws = uniform(seed, "scene.ground", of.id, 12).astype(np.float32)
    n, side = len(of), x.shape[-1]
    canvas = np.empty((n, 3, side, side), np.float32)
    for ground, of_kind in enumerate((_studio, _wall, _striped, _tiled, _lights, _planks)):
        at = np.flatnonzero(of.ground == ground)
        if len(at):
            canvas[at] = of_kind(draws[at], x[at], y[at])
    return canvas


def _studio(draws: Field, x: Field, y: Field) -> Field:
    warm = (draws[:, :1] - np.float32(0.5)) * np.array([0.05, 0.01, -0.05], np.float32)
    paper = (np.float32(0.9) + np.float32(0.06) * draws[:, 1:2] + warm)[:, :, None, None]
    fall = 1 - np.float32(0.07) * np.clip(y - np.float32(0.35), 0, 1) - np.float32(0.03) * (x * x + y * y)
    return paper * fall[:, None]


def _room(draws: Field, x: Field, y: Field, texture: Field, floor_texture: Field | float = 0.0) -> Field:
    """A wall with `texture` (a share of its light), a floor below, softly met."""
    wall = WALLS[(draws[:, 0] * len(WALLS)).astype(int)] * (np.float32(0.86) + np.float32(0.26) * draws[:, 1:2])
    floor = FLOORS[(draws[:, 2] * len(FLOORS)).astype(int)] * (np.float32(0.9) + np.float32(0.25) * draws[:, 3:4])
    horizon = _column(np.float32(0.15) + np.float32(0.75) * draws[:, 4])
    below = np.clip((y - horizon) * np.float32(30), 0, 1) + 0 * x
    glow = 1 - np.float32(0.12) * ((x - _column(draws[:, 5] * 2 - 1)) ** 2 + (y + np.float32(0.6)) ** 2) / 2
    walls = wall[:, :, None, None] * (glow + texture)[:, None]
    floors = floor[:, :, None, None] * (1 - np.float32(0.18) * (y - horizon) + floor_texture)[:, None]
    return walls + (floors - walls) * below[:, None]


def _wall(draws: Field, x: Field, y: Field) -> Field:
    return _room(draws, x, y, np.float32(0.02) * np.sin(9 * x + 6 * _column(draws[:, 6])) * np.sin(7 * y))


def _striped(draws: Field, x: Field, y: Field) -> Field:
    waves = 8 + 12 * _column(draws[:, 6])
    return _room(draws, x, y, np.float32(0.07) * np.clip(3 * np.sin(waves * x + 6 * _column(draws[:, 7])), -1, 1) + 0 * y)


def _tiled(draws: Field, x: Field, y: Field) -> Field:
    many = np.float32(1.6) + 2 * _column(draws[:, 6])
    p, q = x * many, y * many
    gap = np.minimum(abs(p - np.round(p)) + 0 * q, abs(q - np.round(q)) + 0 * p)
    return _room(draws, x, y, np.float32(-0.16) * np.clip(1 - gap * 18, 0, 1))


def _lights(draws: Field, x: Field, y: Field) -> Field:
    """Out of focus: a dim ground with discs of light."""
    dim = (WALLS[(draws[:, 0] * len(WALLS)).astype(int)] * (np.float32(0.5) + np.float32(0.34) * draws[:, 1:2]))[:, :, None, None]
    canvas = dim * (1 - np.float32(0.15) * (y + 0 * x))[:, None]
    for k in range(4):
        far = np.sqrt((x - _column(2 * draws[:, 2 + k] - 1)) ** 2 + (y - _column(2 * draws[:, 6 + k] - 1)) ** 2)
        disc = np.clip((np.float32(0.2) + np.float32(0.14) * _column(draws[:, (3 + k) % 12]) - far) * 14, 0, 1)
        glow = np.array([0.24, 0.19, 0.1] if k % 2 else [0.12, 0.17, 0.2], np.float32)
        canvas = canvas + disc[:, None] * glow[:, None, None]
    return canvas


def _planks(draws: Field, x: Field, y: Field) -> Field:
    """Seen from above: a table of boards."""
    board = y * np.float32(3.2) + 6 * _column(draws[:, 6])
    number = np.floor(board)
    grain = np.sin(x * np.float32(3) + number * np.float32(2.1)) * np.float32(0.04) + np.sin(board * 19 + np.sin(3 * x + number)) * np.float32(0.03)
    gap = np.clip(1 - abs(board - np.round(board)) * 22, 0, 1)
    tone = FLOORS[(draws[:, 2] * len(FLOORS)).astype(int)] * (np.float32(0.9) + np.float32(0.3) * draws[:, 3:4])
    each = np.float32(0.05) * np.sin(number * np.float32(12.9))
    return tone[:, :, None, None] * (1 + grain + each - np.float32(0.3) * gap)[:, None]


# ------------------------------------------------------------------------------------------------------------------------- camera


def _camera(of: Scenes, canvas: Field, x: Field, y: Field, tiles: Field) -> Pixels:
    """The light, a lens that is not quite sharp, and a sensor that is not quite still."""
    side = canvas.shape[-1]
    pixels = np.empty((len(of), side, side, 3), np.uint8)
    taken = (of.ground != STUDIO).astype(np.float32)
    tint, noise = of.tint.astype(np.float32)[:, :, None, None], np.float32(0.3) + np.float32(0.7) * taken
    for at in np.array_split(np.arange(len(of)), max(1, len(of) * side**2 // CACHED)):
        light = canvas[at]
        soft = of.blurred[at]
        if soft.any():
            light[soft] = _blurred(_blurred(light[soft])) if side > 48 else _blurred(light[soft])
        vignette = 1 - np.float32(0.1) * _column(taken[at]) * (x[at] * x[at] + y[at] * y[at])
        light *= tint[at]
        light *= vignette[:, None]
        light += (tiles[of.id[at] % _TILES] * _column(noise[at]))[:, None]
        _mark(light, of.marked[at], x[at], y[at])
        np.clip(light * np.float32(255) + np.float32(0.5), 0, 255, out=light)
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
        sign = shapes.circle(x[at] + 0 * y[at], y[at] + 0 * x[at], 0.78, -0.78, 0.14)
        bar = shapes.box(x[at] + 0 * y[at], y[at] + 0 * x[at], 0.78, -0.78, 0.08, 0.03)
        canvas[at] = _over(canvas[at], np.array([0.8, 0.1, 0.2], np.float32)[None, :, None, None], _cover(sign, dense))
        canvas[at] = _over(canvas[at], np.ones((1, 3, 1, 1), np.float32), _cover(bar, dense))


def _tiles(seed: int, side: int) -> Field:
    """[_TILES, side, side] noise; a picture has one of them. Fresh noise for each would cost more than the drawing."""
    flat = uniform(seed, "scene.noise", np.arange(_TILES), side * side)
    return (NOISE * (2 * flat - 1)).astype(np.float32).reshape(_TILES, side, side)
