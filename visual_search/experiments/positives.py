"""Where pictures that belong together come from, and how many of one kind are worth how many of another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from visual_search.config import Config
from visual_search.experiments.lab import Lab
from visual_search.experiments.trained import GAIN, mean
from visual_search.model.encoders.lesson import POSITIVES

SIZES = (100, 500)
ALL, NONE, TOGETHER, SHUFFLED = "all", "none", "all three", "judged, shuffled (control)"
JUDGED, CLICKS, AUGMENTED = POSITIVES


def positives(config: Config) -> Table:
    """What are judged pairs, clicks and augmentation worth as positives, and how many clicks are worth how many judgments?

    A row is one way to come by pairs, and so many of them. Each teaches a network alike and for as long, beside the same images with their owners' words; pages
    are by its likeness alone. `against judged`: planted gain, paired over users with all judged pairs. `worth`: judged pairs that would do as well, read off
    the judged rows between none and all. `none` learns from owners' words alone: the foil. The control has the judged pairs with their
    partners dealt out by lot. It decides Config.positives, and whom to pay: whether judges are worth their price while clicks come by
    themselves."""
    lab = Lab.read(config)
    ways = pairs(lab)
    found = {way: lab.gains(lab.taught(some)) for way, some in ways.items()}
    base, users = found[JUDGED, ALL], lab.case.test.user_id
    curve = [(len(ways[way]), float(found[way].mean())) for way in found if way[0] in (NONE, JUDGED)]
    return [
        {"positives": kind, "pairs": size, **mean(GAIN, gains, users), **mean("against judged", gains - base, users)}
        | {"num_pairs": len(ways[kind, size]), "worth": worth(float(gains.mean()), curve)}
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


def worth(gain: float, curve: list[tuple[int, float]]) -> float:
    """curve: numbers of judged pairs, rising, and the gain of each -> how many would have this gain, between the numbers by their logarithm. No more
    than the curve knows."""
    sizes, gains = (np.array(column, dtype=np.float64) for column in zip(*curve, strict=True))
    rising: Floats = np.maximum.accumulate(gains)
    return float(np.expm1(np.interp(gain, rising, np.log1p(sizes))))


EXPERIMENTS: Mapping[str, Experiment] = {"positives": positives}
