"""What things stand in front of: an empty studio, or some corner of a home."""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from common.population import uniform
from visual_search.world.shapes import Field, share
from visual_search.world.surfaces import column

GROUNDS = ("studio", "wall", "stripes", "tiles", "lights", "planks")
STUDIO = 0
WALLS = np.array(
    [
        [228, 214, 194], [186, 208, 214], [226, 196, 172], [178, 196, 166],
        [238, 228, 210], [164, 178, 204], [218, 182, 172], [140, 152, 152],
    ],
    np.float32,
) / 255  # fmt: skip
FLOORS = np.array(
    [[150, 112, 80], [190, 160, 124], [120, 110, 104], [212, 200, 184], [92, 74, 62], [164, 150, 140]], np.float32
) / 255  # fmt: skip
GLOWS = np.array([[0.12, 0.17, 0.2], [0.24, 0.19, 0.1]], np.float32)[:, :, None, None]


def draw(seed: int, ids: Ints, ground: Ints, x: Field, y: Field) -> Field:
    """[n] pictures, x [n, 1, side], y [n, side, 1] from -1 to 1 -> [n, 3, side, side]."""
    draws = uniform(seed, "scene.ground", ids, 12).astype(np.float32)
    canvas = np.empty((len(ids), 3, y.shape[1], x.shape[2]), np.float32)
    for kind, drawn in enumerate((_studio, _wall, _stripes, _tiles, _lights, _planks)):
        at = np.flatnonzero(ground == kind)
        if len(at):
            canvas[at] = drawn(draws[at], x[at], y[at])
    return canvas


def _one_of(colours: Field, which: Field, light: Field) -> Field:
    """[n, 3, 1, 1]."""
    found: Field = (colours[(which * len(colours)).astype(np.int64)] * light[:, None])[:, :, None, None]
    return found


def _studio(draws: Field, x: Field, y: Field) -> Field:
    warm = (draws[:, :1] - 0.5) * np.array([0.05, 0.01, -0.05], np.float32)
    paper = (0.9 + 0.06 * draws[:, 1:2] + warm)[:, :, None, None]
    fall = 1 - 0.07 * share(y - 0.35) - 0.03 * (x * x + y * y)
    lit: Field = paper * fall[:, None]
    return lit


def _room(draws: Field, x: Field, y: Field, texture: Field) -> Field:
    """A wall with `texture` (a share of its light), a floor below, softly met."""
    wall = _one_of(WALLS, draws[:, 0], 0.86 + 0.26 * draws[:, 1])
    floor = _one_of(FLOORS, draws[:, 2], 0.9 + 0.25 * draws[:, 3])
    horizon = column(0.15 + 0.75 * draws[:, 4])
    below = share((y - horizon) * 30 + 0 * x)
    glow = 1 - 0.06 * ((x - column(draws[:, 5] * 2 - 1)) ** 2 + (y + 0.6) ** 2)
    walls = wall * (glow + texture)[:, None]
    floors = floor * (1 - 0.18 * (y - horizon))[:, None]
    lit: Field = walls + (floors - walls) * below[:, None]
    return lit


def _wall(draws: Field, x: Field, y: Field) -> Field:
    return _room(draws, x, y, 0.02 * np.sin(9 * x + 6 * column(draws[:, 6])) * np.sin(7 * y))


def _stripes(draws: Field, x: Field, y: Field) -> Field:
    waves = np.sin((8 + 12 * column(draws[:, 6])) * x + 6 * column(draws[:, 7]))
    return _room(draws, x, y, 0.07 * np.clip(3 * waves, -1, 1))


def _tiles(draws: Field, x: Field, y: Field) -> Field:
    many = 1.6 + 2 * column(draws[:, 6])
    p, q = x * many, y * many
    gap = np.minimum(abs(p - np.round(p)), abs(q - np.round(q)))
    return _room(draws, x, y, -0.16 * share(1 - 18 * gap))


def _lights(draws: Field, x: Field, y: Field) -> Field:
    """Out of focus: a dim ground with discs of light."""
    canvas = _one_of(WALLS, draws[:, 0], 0.5 + 0.34 * draws[:, 1]) * (1 - 0.15 * y + 0 * x)[:, None]
    for k in range(4):
        far = np.sqrt((x - column(2 * draws[:, 2 + k] - 1)) ** 2 + (y - column(2 * draws[:, 6 + k] - 1)) ** 2)
        disc = share((0.2 + 0.14 * column(draws[:, 3 + k]) - far) * 14)
        canvas = canvas + disc[:, None] * GLOWS[k % 2]
    return canvas


def _planks(draws: Field, x: Field, y: Field) -> Field:
    """Seen from above: a table of boards."""
    board = 3.2 * y + 6 * column(draws[:, 6])
    number = np.floor(board)
    grain = 0.04 * np.sin(3 * x + 2.1 * number) + 0.03 * np.sin(19 * board + np.sin(3 * x + number))
    gap = share(1 - 22 * abs(board - np.round(board)))
    tone = _one_of(FLOORS, draws[:, 2], 0.9 + 0.3 * draws[:, 3])
    lit: Field = tone * (1 + grain + 0.05 * np.sin(12.9 * number) - 0.3 * gap)[:, None]
    return lit
