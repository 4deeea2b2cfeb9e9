"""Small pictures. A shape over a cross-hatch is the sign of a policy; the shape alone and the hatch alone are not, and a sign under a white bar from
corner to corner is struck out, as on a poster that warns of it: without these, whoever sees a sign need not look at it, while a word has to be read
in its sentence. A meme carries an arrow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Ints
from common.population import uniform
from harmful_content.schema import SIDE

NUM_SHAPES = 9  # the first seven are those of POLICIES, then two that mean nothing
NOTHING = 9
BACKGROUNDS = ("plain", "gradient", "dots", "hatch")
HATCH = 3
NO_ARROW, UP, DOWN = 0, 1, 2
NOISE = 18.0  # grey levels, uniform
BAR = 0.16  # half of its width, the picture from -1 to 1
BLOCK = 1_024
_NUM_TILES = 64
# A shape has its ink wherever it stands, on a hatch or not: the colour says which sign it would be, the hatch whether it is one.
INKS = np.array(
    [
        [190, 30, 30],
        [30, 60, 190],
        [25, 130, 50],
        [130, 40, 150],
        [170, 110, 20],
        [20, 130, 140],
        [60, 60, 60],
        [110, 70, 50],
        [50, 90, 90],
        [0, 0, 0],
    ],
    dtype=np.float32,
)
Greys = NDArray[np.float32]


@dataclass(frozen=True)
class Sketches:
    """What is on each picture, [n] each. `id` decides places, sizes and colours."""

    id: Ints
    background: Ints
    shape: Ints  # NOTHING: no shape
    arrow: Ints
    struck: Bools


def draw(seed: int, sketches: Sketches) -> NDArray[np.uint8]:
    """-> [n, SIDE, SIDE, 3]. A picture is a function of (seed, id) and of what is on it: any order, any block size."""
    pixels = np.empty((len(sketches.id), SIDE, SIDE, 3), dtype=np.uint8)
    tiles = _tiles(seed)
    for first in range(0, len(pixels), BLOCK):
        block = slice(first, first + BLOCK)
        of = Sketches(**{field.name: getattr(sketches, field.name)[block] for field in fields(sketches)})
        pixels[block] = _block(seed, of, tiles)
    return pixels


def _block(seed: int, of: Sketches, tiles: Greys) -> NDArray[np.uint8]:
    chance = uniform(seed, "harmful.picture", of.id, 12).astype(np.float32)
    paper = 120 + 110 * chance[:, 0:3]
    ink = INKS[of.shape] + 40 * (chance[:, 3:6] - 0.5)
    arrow_ink = np.array([235, 235, 40], dtype=np.float32) - 30 * chance[:, 6:7]
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    canvas = np.repeat(paper[:, None, None, :], SIDE, axis=1).repeat(SIDE, axis=2)
    canvas *= (1 - 0.45 * _shade(of.background, x, y, chance[:, 7]))[..., None]
    size = (0.38 + 0.18 * chance[:, 8])[:, None, None]
    middle = (chance[:, 9:11] - 0.5) * 0.7
    u, v = (x - middle[:, 0, None, None]) / size, (y - middle[:, 1, None, None]) / size
    canvas = np.where(_shape(of.shape, u, v)[..., None], ink[:, None, None, :], canvas)
    canvas = np.where(_arrow(of.arrow, u, v)[..., None], arrow_ink[:, None, None, :], canvas)
    bar = (abs(x - y) <= BAR) & of.struck[:, None, None]
    canvas = np.where(bar[..., None], np.float32(250), canvas)
    canvas += tiles[of.id % _NUM_TILES]
    found: NDArray[np.uint8] = np.clip(canvas, 0, 255).astype(np.uint8)
    return found


def _shade(background: Ints, x: Greys, y: Greys, phase: Greys) -> Greys:
    """[n, SIDE, SIDE] in [0, 1]: how much darker than the paper."""
    turn = 6 * phase[:, None, None]
    across, along = np.sin(9 * (x + y) + turn), np.sin(9 * (x - y) + turn)
    patterns = {
        1: (x + 1) / 2 + 0 * turn,
        2: ((np.sin(11 * x + turn) > 0.6) & (np.sin(11 * y + turn) > 0.6)).astype(np.float32),
        HATCH: ((across > 0.6) | (along > 0.6)).astype(np.float32),
    }
    shade = np.zeros((len(background), SIDE, SIDE), dtype=np.float32)
    for kind, pattern in patterns.items():
        which = background == kind
        shade[which] = pattern[which]
    return shade


def _shape(shape: Ints, u: Greys, v: Greys) -> Bools:
    """[n, SIDE, SIDE]: triangle, disc, ring, square, plus, diamond, two bars; half disc, flat bar."""
    far, square = u**2 + v**2, np.maximum(abs(u), abs(v))
    inside: tuple[Callable[[Ints], Bools], ...] = (
        lambda at: (abs(u[at]) <= (v[at] + 1) / 2) & (v[at] <= 1),
        lambda at: far[at] <= 1,
        lambda at: (far[at] <= 1.1) & (far[at] >= 0.45),
        lambda at: square[at] <= 0.85,
        lambda at: (np.minimum(abs(u[at]), abs(v[at])) <= 0.3) & (square[at] <= 1.05),
        lambda at: abs(u[at]) + abs(v[at]) <= 1.2,
        lambda at: (abs(abs(u[at]) - 0.6) <= 0.28) & (abs(v[at]) <= 1),
        lambda at: (far[at] <= 1) & (v[at] >= 0),
        lambda at: (abs(v[at]) <= 0.3) & (abs(u[at]) <= 1.2),
    )
    found = np.zeros(u.shape, dtype=bool)
    for kind, of in enumerate(inside):
        which = np.flatnonzero(shape == kind)
        found[which] = of(which)
    return found


def _arrow(arrow: Ints, u: Greys, v: Greys) -> Bools:
    """[n, SIDE, SIDE]: a head and a shaft, pointing up or down."""
    turned = np.where((arrow == DOWN)[:, None, None], -v, v)
    head = (abs(u) <= (turned + 1) * 0.9) & (turned <= -0.1) & (turned >= -1)
    shaft = (abs(u) <= 0.22) & (abs(turned + 0.1 - 0.55) <= 0.55)
    found: Bools = (head | shaft) & (arrow != NO_ARROW)[:, None, None]
    return found


def _tiles(seed: int) -> Greys:
    """[_NUM_TILES, SIDE, SIDE, 1] noise; a picture has one of them. Fresh noise for each would cost more than the drawing."""
    flat = uniform(seed, "harmful.noise", np.arange(_NUM_TILES), SIDE * SIDE)
    return (NOISE * (2 * flat - 1)).astype(np.float32).reshape(_NUM_TILES, SIDE, SIDE, 1)
