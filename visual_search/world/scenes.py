"""Where things stand in a picture, in which light, and the box of the one that is meant."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import uniform
from visual_search.world import shapes
from visual_search.world.grounds import GROUNDS, STUDIO
from visual_search.world.things import NEW_SHAPE, Pictures, Things, things

PHOTOS = 2**32  # ids of photos begin here, those of the gallery at 0
LAYERS = 5  # behind, behind, behind, the one that is meant, in front
MEANT = 3

# The frozen strengths: changing one changes every picture of the case.
STRAIGHT, CROOKED = 0.03, 0.42  # radians at most to either side: of a shop image, of a photo
LARGE = (
    (0.66, 0.16),
    (0.6, 0.24),
    (0.55, 0.17),
)  # half of the height: of a shop image's, of a photo's, of one among others; at least, and up to so much more
OTHERS = (0.2, 0.14)  # the same of those others
SHIFT, SHOP_SHIFT = 0.34, 0.04  # how far off the middle, to either side
COVERED = 0.35  # of the pictures with other things around: one stands in front
CAST, LIGHT = 0.35, (0.66, 1.16)  # how many photos are in coloured light; exposure from, to
BLURRED = 0.3  # of the photos
ZOOM = 0.06  # a copy is cut by as much


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """[n] pictures. `thing` [n, LAYERS], from the back; `place` [n, LAYERS, 4]: x, y of the middle and half of the height, the picture from -1 to 1,
    and the angle in radians. `tint` [n, 3] is the light, 1 is white; `frame` [n, 3]: the picture is what lies around (x, y) at that zoom."""

    id: Ints  # decides the ground; a copy has its original's
    thing: Things
    place: Floats
    ground: Ints
    tint: Floats
    frame: Floats
    blurred: Bools
    marked: Bools  # the sign of what is not to be shown

    def __len__(self) -> int:
        return len(self.id)

    def take(self, index: Ints | Bools | slice) -> Scenes:
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return Scenes(
            **{name: column.take(index) if name == "thing" else column[index] for name, column in held.items()}
        )

    @staticmethod
    def joined(one: Scenes, other: Scenes) -> Scenes:
        """One after the other."""
        both = {field.name: (getattr(one, field.name), getattr(other, field.name)) for field in fields(Scenes)}
        thing = Things.joined(*both.pop("thing"))
        return Scenes(thing=thing, **{name: np.concatenate(columns) for name, columns in both.items()})

    @property
    def cluttered(self) -> Bools:
        others = np.delete(self.thing.shape, MEANT, axis=1)
        return np.asarray((others >= 0).any(axis=1))


def gallery(seed: int, of: Pictures, clutter: float) -> Scenes:
    """Shop images, straight and alone on a light ground, and posts. A copy shows its original, cut a little and in another light."""
    made = photos(seed, of.original, of.thing, clutter, of.shop > 0)
    draws = uniform(seed, "scene.copied", of.image_id, 6)
    copied = of.original != of.image_id
    frame = np.stack([1 - ZOOM * draws[:, 0], ZOOM * (draws[:, 1] - 0.5), ZOOM * (draws[:, 2] - 0.5)], axis=1)
    tint = made.tint * (0.95 + 0.1 * draws[:, 3:4])
    return Scenes(
        **{
            **vars(made),
            "frame": np.where(copied[:, None], frame, made.frame),
            "tint": np.where(copied[:, None], tint, made.tint),
            "marked": of.explicit > 0,
        }
    )


def photos(seed: int, ids: Ints, meant: Things, clutter: float, shop: Bools | None = None) -> Scenes:
    """Of the things `meant` [n]; ids are of pictures, any block."""
    n = len(ids)
    shop = np.zeros(n, bool) if shop is None else shop
    draws = uniform(seed, "scene", ids, 16)
    crowded = ~shop & (draws[:, 0] < clutter)
    place = np.zeros((n, LAYERS, 4))
    least, more = np.array(LARGE)[np.where(shop, 0, 1 + crowded)].T
    size = least + more * draws[:, 1]
    off = np.where(shop, SHOP_SHIFT, np.minimum(0.95 - size, SHIFT))[:, None] * (2 * draws[:, 2:4] - 1)
    turn = np.where(shop, STRAIGHT, CROOKED * draws[:, 5]) * (2 * draws[:, 4] - 1)
    place[:, MEANT] = np.column_stack([off, size, turn])
    around = _around(seed, ids, crowded, place)
    ground = np.where(shop, STUDIO, 1 + (draws[:, 6] * (len(GROUNDS) - 1)).astype(np.int64))
    return Scenes(
        id=np.asarray(ids, np.int64),
        thing=_stacked(around, meant),
        place=place,
        ground=ground,
        tint=_tint(draws[:, 7:13], shop),
        frame=np.tile([1.0, 0.0, 0.0], (n, 1)),
        blurred=~shop & (draws[:, 13] < BLURRED),
        marked=np.zeros(n, bool),
    )


def _around(seed: int, ids: Ints, crowded: Bools, place: Floats) -> Things:
    """[n, LAYERS] other things, none where MEANT stands; writes where they stand into `place`."""
    draws = uniform(seed, "scene.around", ids, LAYERS * 6).reshape(len(ids), LAYERS, 6)
    other = things(seed, (2**40 + draws[:, :, 0] * 2**40).astype(np.int64).ravel())
    number = 1 + (uniform(seed, "scene.number", ids)[:, 0] * 3).astype(np.int64)
    stands = crowded[:, None] & (np.arange(LAYERS) < number[:, None])
    stands[:, MEANT] = False
    stands[:, -1] = crowded & (draws[:, -1, 1] < COVERED)
    angle = 2 * np.pi * (draws[:, :, 2] / 3 + np.arange(LAYERS) / 3)
    size = OTHERS[0] + OTHERS[1] * draws[:, :, 3]
    away = place[:, [MEANT], 2] * (0.85 + 0.3 * draws[:, :, 4]) + 0.55 * size
    place[:, :, 0] = np.where(stands, place[:, [MEANT], 0] + away * np.cos(angle), place[:, :, 0])
    place[:, :, 1] = np.where(stands, place[:, [MEANT], 1] + away * np.sin(angle), place[:, :, 1])
    place[:, :, 2] = np.where(stands, size, place[:, :, 2])
    place[:, :, 3] = np.where(stands, CROOKED * (2 * draws[:, :, 5] - 1), place[:, :, 3])
    shape = np.where(stands, other.shape.reshape(stands.shape), -1)
    columns = {field.name: getattr(other, field.name).reshape(stands.shape) for field in fields(Things)}
    return Things(**{**columns, "shape": shape})


def _stacked(around: Things, meant: Things) -> Things:
    columns = {field.name: getattr(around, field.name).copy() for field in fields(Things)}
    for name, column in columns.items():
        column[:, MEANT] = getattr(meant, name)
    return Things(**columns)


def _tint(draws: Floats, shop: Bools) -> Floats:
    """[n, 3]: exposure times the colour of the light, from candle to shade, some a little green."""
    exposure = LIGHT[0] + (LIGHT[1] - LIGHT[0]) * np.sqrt(draws[:, 0])
    warm = np.where(draws[:, 1] < CAST, 1.0, 0.15) * (2 * draws[:, 2] - 1)
    colour = 1 + np.stack([0.22 * warm, 0.05 * (2 * draws[:, 3] - 1), -0.24 * warm], axis=1)
    tint: Floats = np.where(shop[:, None], 1.0, exposure[:, None] * colour)
    return tint


def cast(of: Scenes) -> Bools:
    """Whose light is far from white or dim."""
    found: Bools = (np.ptp(of.tint, axis=1) > 0.18) | (of.tint.mean(axis=1) < 0.82)
    return found


def boxes(of: Scenes) -> NDArray[np.float32]:
    """[n, 4] of the thing that is meant: left, top, right, bottom as shares of the side."""
    return np.clip(bounds(of, MEANT), 0, 1).astype(np.float32)


def bounds(of: Scenes, layer: int) -> Floats:
    """[n, 4] of the things of a layer, as shares of the side; they may reach beyond the picture."""
    extent = extents()[of.thing.shape[:, layer]]
    x, y, size, turn = of.place[:, layer].T
    corners = np.stack([extent[:, [0, 2, 2, 0]], extent[:, [1, 1, 3, 3]]]) * size[:, None]
    c, s = np.cos(turn)[:, None], np.sin(turn)[:, None]
    across = (x[:, None] + c * corners[0] - s * corners[1] - of.frame[:, 1:2]) / of.frame[:, :1]
    down = (y[:, None] + s * corners[0] + c * corners[1] - of.frame[:, 2:3]) / of.frame[:, :1]
    box: Floats = (np.stack([across.min(1), down.min(1), across.max(1), down.max(1)], axis=1) + 1) / 2
    return box


@lru_cache(maxsize=1)
def extents() -> Floats:
    """[shapes, 4]: left, top, right, bottom of each silhouette, looked up on a fine grid."""
    v, u = np.mgrid[-1.2:1.2:241j, -1.2:1.2:241j].astype(np.float32)
    found = []
    for kind in range(NEW_SHAPE + 1):
        inside = np.minimum(*shapes.silhouette(kind)(u, v)) <= 0
        across, down = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
        found.append([across[0], down[0], across[-1], down[-1]])
    return np.array(found) * 0.01 - 1.2
