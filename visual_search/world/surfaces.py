"""What the body of a thing looks like: its pattern in two colours, of its material, in a light from the upper left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats
from visual_search.world.shapes import Field, share
from visual_search.world.things import Things

RING = np.array(  # colours by hue, in the order of things.COLOURS
    [
        [198, 46, 50], [231, 120, 42], [238, 194, 58], [158, 190, 66], [58, 146, 84],
        [42, 152, 152], [58, 114, 196], [80, 76, 170], [144, 76, 164], [224, 108, 152],
    ],
    np.float32,
) / 255  # fmt: skip
CREAM, CHARCOAL = np.array([[0.95, 0.92, 0.85], [0.2, 0.19, 0.22]], np.float32)
STEEL, TIMBER = np.array([[0.62, 0.64, 0.68], [0.56, 0.4, 0.26]], np.float32)[:, :, None, None]
LIGHT = np.array([-0.42, -0.58, 0.70], np.float32)
HALF = np.array([-0.23, -0.31, 0.92], np.float32)  # between the light and the eye


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Bodies of one shape and one material, [n, height, width] each. `pixels` [n, 1, 1] make one unit of u."""

    thing: Things
    u: Field
    v: Field
    body: Field  # its signed distance
    pixels: Field
    slant: Field  # how far the surface turns to the right
    facing: Field  # the light, 0 to 1
    gloss: Field  # how nearly it mirrors the light into the eye


def painted(thing: Things, u: Field, v: Field, body: Field, pixels: Field) -> Field:
    """-> [n, 3, height, width], as if the surface rose from its edge."""
    across, down = slopes(body)
    rise = share(1 + 3.2 * body)
    rise *= rise
    rise *= pixels / 2
    nx, ny = across * rise + 0.36 * np.clip(u, -1, 1), down * rise + 0.16 * np.clip(v, -1, 1)
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.04))
    surface = Surface(
        thing=thing,
        u=u,
        v=v,
        body=body,
        pixels=pixels,
        slant=nx,
        facing=np.maximum(nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2], 0),
        gloss=np.maximum(nx * HALF[0] + ny * HALF[1] + nz * HALF[2], 0),
    )
    material = (_ceramic, _metal, _wood, _cloth)[int(thing.material[0])]
    return material(_coloured(surface), surface)


def slopes(field: Field) -> tuple[Field, Field]:
    """Of [n, height, width], across and down, over two pixels; 0 on the rim."""
    across, down = np.zeros_like(field), np.zeros_like(field)
    np.subtract(field[:, :, 2:], field[:, :, :-2], out=across[:, :, 1:-1])
    np.subtract(field[:, 2:], field[:, :-2], out=down[:, 1:-1])
    return across, down


def column(values: NDArray[np.floating]) -> Field:
    """[n] -> [n, 1, 1]."""
    return values.astype(np.float32)[:, None, None]


# ---------------------------------------------------------------------------------------------------------------------- materials


def _power(base: Field, doublings: int) -> Field:
    for _ in range(doublings):
        base = base * base
    return base


def _ceramic(colour: Field, of: Surface) -> Field:
    shine = 0.75 * _power(of.gloss, 5) + 0.1 * _power(of.gloss, 2)
    lit: Field = colour * (0.5 + 0.62 * of.facing)[:, None] + shine[:, None]
    return lit


def _metal(colour: Field, of: Surface) -> Field:
    bands = 0.5 + 0.5 * np.sin(7.5 * of.slant + 3 * of.facing)
    shade = 0.28 + 0.5 * of.facing + 0.42 * bands
    lit: Field = (0.66 * colour + 0.34 * STEEL) * shade[:, None] + 0.6 * _power(of.gloss, 4)[:, None]
    return lit


def _wood(colour: Field, of: Surface) -> Field:
    ring = 15 * of.u + 1.6 * np.sin(2.4 * of.v + 6 * column(of.thing.tone)) + 0.5 * np.sin(7 * of.v)
    grain = 0.6 * np.sin(ring) + 0.4 * np.sin(2.3 * ring) * _fine(of.pixels, 11)
    shade = (0.6 + 0.45 * of.facing) * (1 + 0.17 * grain)
    lit: Field = (0.62 * colour + 0.38 * TIMBER) * shade[:, None]
    return lit


def _cloth(colour: Field, of: Surface) -> Field:
    weave = np.sin(52 * of.u) * np.sin(52 * of.v) * _fine(of.pixels, 17)
    folds = np.sin(5 * of.u + 2 * of.v + 6 * column(of.thing.turn))
    shade = 0.7 + 0.28 * of.facing + 0.1 * weave + 0.05 * folds
    seam = (abs(of.body + 0.09) < 0.022) & (np.sin(34 * (of.u + of.v)) > 0)
    lit: Field = colour * np.where(seam, 0.78 * shade, shade)[:, None]
    return lit


def _fine(pixels: Field, waves: float) -> Field:
    """0 where a texture of so many waves a unit would be finer than the pixels, 1 where it has room."""
    return share(pixels / waves - 0.6)


# ----------------------------------------------------------------------------------------------------------------------- patterns


def _coloured(of: Surface) -> Field:
    thing = of.thing
    tone = (0.84 + 0.3 * thing.tone.astype(np.float32))[:, None]
    first, second = hues(thing.hue) * tone, hues(thing.second)
    cover = np.zeros(of.u.shape, np.float32)
    fine, turn = column(0.8 + 0.5 * thing.grain), column(np.pi * thing.turn)
    for pattern, drawn in enumerate((_stripes, _dots, _checks, _zigzag, _marbled), 1):
        at = np.flatnonzero(thing.pattern == pattern)
        if len(at):
            cover[at] = drawn(of.u[at], of.v[at], fine[at], turn[at], of.pixels[at])
    colour: Field = first[:, :, None, None] + (second - first)[:, :, None, None] * cover[:, None]
    return colour


def hues(hue: Floats) -> Field:
    """[n] -> [n, 3]: between the colours of RING; 2 is cream, 3 charcoal."""
    at = (hue % 1) * len(RING)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)[:, None]
    colour = RING[low % len(RING)] * (1 - part) + RING[(low + 1) % len(RING)] * part
    return np.where(hue[:, None] >= 3, CHARCOAL, np.where(hue[:, None] >= 2, CREAM, colour)).astype(np.float32)


def _bands(wave: Field, waves: Field, pixels: Field) -> Field:
    """A sine as bands with an edge of one pixel."""
    return share(0.5 + wave * (pixels / waves))


def _stripes(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    quarter = np.round(turn / (np.pi / 4)) * (np.pi / 4)
    return _bands(np.sin(13 * fine * (np.cos(quarter) * u + np.sin(quarter) * v)), 13 * fine, pixels)


def _dots(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    p, q = 3 * fine * u, 3 * fine * v
    row = np.floor(q)
    p = p + 0.5 * (row % 2)
    far = np.sqrt((p - np.floor(p) - 0.5) ** 2 + (q - row - 0.5) ** 2)
    return share(0.5 + (0.29 - far) * pixels / (3 * fine))


def _checks(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    waves = 8.5 * fine
    return _bands(np.sin(waves * u) * np.sin(waves * v), waves, pixels)


def _zigzag(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    bent = 2.6 * fine * u
    teeth = 1.5 * abs(bent - np.floor(bent) - 0.5)
    return _bands(np.sin(13 * fine * v + 4.5 * teeth), 13 * fine, pixels)


def _marbled(u: Field, v: Field, fine: Field, turn: Field, pixels: Field) -> Field:
    p, q = u * fine, v * fine
    bend = np.sin(4 * q + 6 * turn) + 0.5 * np.sin(7 * p + 3 * turn)
    return share(0.42 + 0.75 * np.sin(4 * p + 2.2 * bend + 2 * turn))
