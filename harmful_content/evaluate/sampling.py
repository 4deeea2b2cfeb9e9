"""Which posts to have labelled by hand, so that few labels say how much harm stands.

In:     what is known of every post before anybody is asked: its probability, its views, whether it was reported.
Out:    a Sample: rows, and the chance with which each was drawn.
Choice: strata of score x views x reported; labels spread by Neyman's rule (more where answers differ and more is at stake), a floor in every
        stratum; inside a stratum the chance grows with the weight, so what is seen a million times is asked about for certain.
Else:   posts or views at random, where there is no score worth the name: no code, no assumption, several times the labels.
Breaks: a score that is sure of itself and wrong leaves the lower strata empty-handed: the floor, and TRUST, keep some labels there. Labels of the
        review queue are no sample at all, whatever weights they get: what was never queued had no chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError

SCORE_EDGES = (0.01, 0.03, 0.1, 0.3)
VIEW_EDGES = (1, 10, 100, 1_000)
FLOOR = 3  # labels in each stratum
TRUST = 0.9  # in the scores; the rest goes by their mean


@dataclass(frozen=True, kw_only=True)
class Frame:
    """All posts that are asked about, [n]. `stratum` 0, 1, ...; `weight`: 1 each for a share of posts, their views for a share of views;
    `probability`: the model's, of being harmful. In a stratum either every post weighs something or none does."""

    stratum: Ints
    weight: Floats
    probability: Floats

    def __post_init__(self) -> None:
        assert len(self.stratum) == len(self.weight) == len(self.probability)
        if not (np.isfinite(self.weight).all() and (self.weight >= 0).all() and self.weight.any()):
            raise InputError("The weights of posts are finite numbers from 0 on, and not all 0.")
        assert self.size.all(), "a stratum holds no post"
        if not (self.probability.min() >= 0 and self.probability.max() <= 1 and self.weight @ self.probability > 0):
            raise InputError(
                "Probabilities lie in [0, 1] and are not all 0: a score that expects no harm plans no sample."
            )
        if (np.bincount(self.stratum, self.weight == 0) % self.size).any():
            raise InputError("A stratum mixes posts that weigh nothing with others: those would never be drawn.")

    @property
    def size(self) -> Ints:
        """[num_strata] posts."""
        found: Ints = np.bincount(self.stratum)
        return found

    @property
    def share(self) -> Floats:
        """[num_strata] of the weight of all posts."""
        found: Floats = np.bincount(self.stratum, self.weight) / self.weight.sum()
        return found

    @property
    def expected(self) -> Floats:
        """[num_strata] the share that is harmful, as the scores have it, drawn towards their mean."""
        mean = np.bincount(self.stratum, self.probability) / self.size
        found: Floats = TRUST * mean + (1 - TRUST) * np.average(self.probability, weights=self.weight)
        return found


@dataclass(frozen=True, kw_only=True)
class Sample:
    """rows of the frame [m], each once, and the chance each had of being among them [m], in (0, 1]."""

    rows: Ints
    chance: Floats


def strata(probability: Floats, views: Ints, reported: Bools) -> Ints:
    """[n] -> the stratum of each post; strata without posts get no number."""
    score, reach = np.digitize(probability, SCORE_EDGES), np.digitize(views, VIEW_EDGES)
    code = (score * (len(VIEW_EDGES) + 1) + reach) * 2 + reported
    found: Ints = np.unique(code, return_inverse=True)[1]
    return found


def unstratified(frame: Frame) -> Frame:
    """The same posts in one stratum; what weighs nothing stands in a second."""
    return replace(frame, stratum=(frame.weight == 0).astype(np.int64))


def proportional(frame: Frame, budget: int, floor: int = FLOOR) -> Ints:
    """[num_strata] labels, as many as the stratum's share of the weight."""
    return _spend(frame.share, frame.size, budget, floor)


def neyman(frame: Frame, budget: int, error: float = 0.0, floor: int = FLOOR) -> Ints:
    """[num_strata] labels, as the share of the weight times the standard deviation of an answer there (Neyman 1934; Cochran 5.5), which is told
    from the scores. `error`: how often a label is wrong, which is what answers differ by where there is next to no harm."""
    answer = error + (1 - 2 * error) * frame.expected
    return _spend(frame.share * np.sqrt(answer * (1 - answer)), frame.size, budget, floor)


def draw(frame: Frame, labels: Ints, rng: np.random.Generator) -> Sample:
    """labels [num_strata] distinct posts from each stratum, with chances that grow with the weight."""
    rows, chances = [], []
    order = rng.permutation(len(frame.stratum))
    order = order[np.argsort(frame.stratum[order], kind="stable")]
    for of, count in zip(np.split(order, frame.size.cumsum()[:-1]), labels.tolist(), strict=True):
        chance = _chances(frame.weight[of], count)
        # Systematic, in random order: the chances are exactly these, and no post comes twice (Madow 1949; Hartley and Rao 1962).
        passed = np.floor(chance.cumsum() - rng.uniform(1e-9, 1 - 1e-9))  # clear of what the sum rounds off
        drawn = np.diff(passed, prepend=-1.0) > 0
        rows.append(of[drawn])
        chances.append(chance[drawn])
    return Sample(rows=np.concatenate(rows), chance=np.concatenate(chances))


def _chances(weight: Floats, count: int) -> Floats:
    """[n] proportional to the weight, their sum `count`; none is above 1, for what would be is certain, and the rest share what is left."""
    chance = np.zeros(len(weight))
    weight = weight if weight.any() else np.ones(len(weight))
    certain = np.zeros(len(weight), bool)
    while count > certain.sum():
        rest = ~certain
        chance = np.where(rest, (count - certain.sum()) * weight / weight[rest].sum(), 1.0)
        more = rest & (chance >= 1)
        if not more.any():
            break
        certain |= more
    return np.where(certain, 1.0, chance)


def _spend(share: Floats, size: Ints, budget: int, floor: int) -> Ints:
    """Whole numbers in the ratio of `share`, at least `floor`, at most `size`, that add up to the budget."""
    least = np.minimum(floor, size)
    if not least.sum() <= budget <= size.sum():
        raise InputError(
            f"A budget of {budget} labels does not fit: {len(size)} strata need {least.sum()} and hold {size.sum()} posts. "
            f"Take another budget or a lower floor than {floor}."
        )
    share = np.maximum(share, 1e-9 * share.max())
    low, high = 0.0, float(size.sum() / share.min())
    for _ in range(200):  # the factor at which the labels add up
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle * share, least, size).sum() < budget else (low, middle)
    wanted = np.clip(high * share, least, size)
    found = np.floor(wanted).astype(np.int64)
    order = np.argsort(np.where(found < size, found - wanted, 1.0), kind="stable")
    found[order[: budget - found.sum()]] += 1
    return found
