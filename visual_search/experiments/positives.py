"""Where pictures that belong together come from, and how many of one kind are worth how many of another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from visual_search import world
from visual_search.config import Config
from visual_search.experiments.lab import Lab
from visual_search.experiments.trained import GAIN, mean
from visual_search.model.encoders.lesson import POSITIVES
from visual_search.world.likeness import CARES, Wanted, grades
from visual_search.world.scenes import MEANT
from visual_search.world.things import Things

SIZES = (100, 500)
ALL, NONE, TOGETHER, SHUFFLED = "all", "none", "all three", "judged, shuffled (control)"
JUDGED, CLICKS, AUGMENTED = POSITIVES


def positives(config: Config) -> Table:
    """What are judged pairs, clicks and augmentation worth as positives, and how many clicks are worth how many judgments?

    A row is one way to come by pairs, and so many of them. Each teaches a network alike and for as long, beside the same images with their owners' words; pages
    are by its likeness alone. `against judged`: planted gain, paired over users with all judged pairs. `alike`: mean planted grade of the pairs; `worth`:
    judged pairs that would do as well, read off the judged rows between none and all. `none` learns from owners' words alone: the foil. The control
    has the judged pairs with their partners dealt out by lot. It decides Config.positives, and whether judges are worth their price while clicks come by
    themselves: that flips with what the engine shows, since only what is shown can be clicked on."""
    lab = Lab.read(config)
    ways = pairs(lab)
    found = {way: lab.gains(lab.taught(some)) for way, some in ways.items()}
    base, users = found[JUDGED, ALL], lab.case.test.user_id
    curve = [(len(ways[way]), float(found[way].mean())) for way in found if way[0] in (NONE, JUDGED)]
    return [
        {"positives": kind, "pairs": size, **mean(GAIN, gains, users), **mean("against judged", gains - base, users)}
        | {
            "num_pairs": len(ways[kind, size]),
            "alike": alike(lab, ways[kind, size]),
            "worth": worth(float(gains.mean()), curve),
        }
        for (kind, size), gains in found.items()
    ]


def pairs(lab: Lab) -> dict[tuple[str, str], Ints]:
    """By kind and how many of them: [m, 2]."""
    whole = {kind: lab.pairs(kind) for kind in POSITIVES}
    judged = whole[JUDGED]
    lot = np.random.default_rng([lab.config.seed, 73]).permutation(judged[:, 1])
    ways: dict[tuple[str, str], Ints] = {(NONE, "0"): judged[:0]}
    for kind, some in whole.items():
        ways |= {(kind, str(size)): some[:size] for size in SIZES if size < len(some)}
        ways[kind, ALL] = some
    ways[TOGETHER, ALL] = np.concatenate(list(whole.values()))
    ways[SHUFFLED, ALL] = np.stack([judged[:, 0], lot], axis=1)
    return ways


def alike(lab: Lab, pairs: Ints) -> float:
    """Mean planted grade of these pairs, to people on the whole; a picture is wholly like itself. Those asked with an image of the gallery are left out."""
    truth, num_photos = world.make(lab.case.config), len(lab.lesson.photos)
    same = pairs[:, 0] == pairs[:, 1]
    photo, image = pairs[~same & (pairs[:, 0] < len(truth.shot))].T
    meant = Things(**{name: column[photo, MEANT] for name, column in vars(truth.shot.thing).items()})
    known = {name: getattr(meant, name) for name in ("item_id", "shape", "material", "pattern", "hue")}
    wanted = Wanted(**known, care=np.tile(CARES, (len(photo), 1)))
    found = np.concatenate([grades(wanted, truth.pictures.thing.take(image - num_photos)), np.ones(same.sum())])
    return float(found.mean()) if len(found) else 0.0


def worth(gain: float, curve: list[tuple[int, float]]) -> float:
    """curve: numbers of judged pairs, rising, and the gain of each -> how many would have this gain, between the numbers by their logarithm. No more
    than the curve knows."""
    sizes, gains = (np.array(column, dtype=np.float64) for column in zip(*curve, strict=True))
    rising: Floats = np.maximum.accumulate(gains)
    return float(np.expm1(np.interp(gain, rising, np.log1p(sizes))))


EXPERIMENTS: Mapping[str, Experiment] = {"positives": positives}
