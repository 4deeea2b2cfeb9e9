"""How alike two things are, from 0 to 1, to whom: people care for the shape most, some of them less than others."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from common.contract import Bools, Floats, Ints
from common.population import normal
from visual_search.world.things import COLOURS, HALF_NAME, PATTERNS, SHAPES, Things

# The frozen strengths: changing one changes every number of the case.
CARES = np.array([0.46, 0.12, 0.18, 0.24])  # for shape, material, pattern, colour
VARIES = 0.35  # of the logarithm of each, from person to person: no model can know it
OTHER = 0.95  # of the most that two different things are alike
ALIKE = 0.75  # grade from which an image counts where truth is binary
HUE_FREE, HUE_FAR = (
    0.03,
    0.2,
)  # distance of hues, of a whole circle, up to which it does not matter, and from which there is nothing in common
KIN_SHAPES = (
    ("vase", "bottle", 0.45),
    ("cup", "teapot", 0.4),
    ("chair", "sofa", 0.4),
    ("dress", "shirt", 0.4),
    ("vase", "plant", 0.25),
)
KIN_PATTERNS = (("stripes", "zigzag", 0.5), ("dots", "checks", 0.3), ("plain", "marbled", 0.3))


def _table(names: tuple[str, ...], kin: tuple[tuple[str, str, float], ...]) -> Floats:
    """[n + 1, n + 1]: 1 for the same, 0 for strangers; the last is of what nobody had before."""
    table = np.eye(len(names) + 1)
    for one, other, alike in kin:
        at = names.index(one), names.index(other)
        table[at] = table[at[::-1]] = alike
    return table


SHAPES_ALIKE, PATTERNS_ALIKE = _table(SHAPES, KIN_SHAPES), _table(PATTERNS, KIN_PATTERNS)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody looks for, [n] each: -1 (of `hue` NaN) where it does not matter. `item_id`: that very thing, -1 if not meant. care [n, 4]."""

    item_id: Ints
    shape: Ints
    material: Ints
    pattern: Ints
    hue: Floats
    care: Floats

    def __len__(self) -> int:
        return len(self.shape)

    def take(self, index: Ints | Bools | slice) -> Wanted:
        return Wanted(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def like(thing: Things, care: Floats) -> Wanted:
    """Something like this thing."""
    names = ("item_id", "shape", "material", "pattern", "hue")
    return Wanted(**{name: getattr(thing, name) for name in names}, care=care)


def cares(seed: int, user_ids: Ints) -> Floats:
    """[n, 4], rows sum to 1."""
    own = CARES * np.exp(VARIES * normal(seed, "user.cares", user_ids, len(CARES)))
    weights: Floats = own / own.sum(axis=1, keepdims=True)
    return weights


def grades(wanted: Wanted, of: Things) -> Floats:
    """Row by row (one wish broadcasts over many things): the share of what matters that is alike; 1 for the very thing."""
    hue = np.abs(wanted.hue - of.hue) % 1
    colour = np.clip((HUE_FAR - np.minimum(hue, 1 - hue)) / (HUE_FAR - HUE_FREE), 0, 1)
    alike = (
        SHAPES_ALIKE[wanted.shape, of.shape] * (wanted.shape >= 0),
        (wanted.material == of.material) * 1.0,
        PATTERNS_ALIKE[wanted.pattern, of.pattern] * (wanted.pattern >= 0),
        np.nan_to_num(colour),
    )
    asked = np.stack([wanted.shape >= 0, wanted.material >= 0, wanted.pattern >= 0, ~np.isnan(wanted.hue)], axis=1)
    care = wanted.care * asked
    care = care / np.maximum(care.sum(axis=1, keepdims=True), 1e-9)
    share = sum(part * care[:, at] for at, part in enumerate(alike))
    grade: Floats = np.where(wanted.item_id >= 0, OTHER, 1.0) * share
    return np.where((wanted.item_id >= 0) & (wanted.item_id == of.item_id), 1.0, grade)


def middle(colour: Ints) -> Floats:
    """The hue that a name means."""
    hue: Floats = colour / len(COLOURS)
    return hue


assert HUE_FREE < HALF_NAME < HUE_FAR, "a name of a colour covers what is nearly the same and not what is strange"
