"""A platform of which everything is known but what raters say: posts, how much they are seen and reported, a score, labels that are sometimes wrong.

No text, no picture, no model: an interval is tried in a hundred worlds, and what it needs of a world is only this. Views are Pareto (tail 1.2: a few
posts are seen by everybody), harm is seen and reported more, and the score is right about chances unless told to be too sure of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.contract import Bools, Floats, Ints
from harmful_content.evaluate.prevalence import Raters
from harmful_content.evaluate.sampling import Frame, strata

MOST_VIEWS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Posts:
    """[n]: what stands on the platform. `harmful` is the truth; the rest is known before anybody is asked."""

    harmful: Bools
    probability: Floats
    views: Ints
    reported: Bools

    @cached_property
    def posts(self) -> Frame:
        return self._frame(np.ones(len(self.views)))

    @cached_property
    def seen(self) -> Frame:
        return self._frame(self.views.astype(float))

    def share(self, frame: Frame) -> float:
        """The truth: of the frame's weight."""
        return float(np.average(self.harmful, weights=frame.weight))

    def _frame(self, weight: Floats) -> Frame:
        stratum = strata(self.probability, self.views, self.reported)
        return Frame(stratum=stratum, weight=weight, probability=self.probability)


def make(seed: int, num: int = 20_000, share: float = 0.03, spread: float = 1.5, sure: float = 1.0) -> Posts:
    """`share` of the posts is harmful, in expectation. `spread`: standard deviation of the log odds of harm, which is what a score can know.
    `sure`: the score's log odds lie this many times as far from their mean as they should."""
    rng = np.random.default_rng([seed, 40])
    odds = spread * rng.standard_normal(num)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(middle + odds).mean() < share else (low, middle)
    harmful = rng.random(num) < _chance(low + odds)
    views = np.minimum(rng.pareto(1.2, num) * np.where(harmful, 30, 20), MOST_VIEWS).astype(np.int64)
    reported = rng.random(num) < 1 - np.exp(-views * np.where(harmful, 2e-3, 1e-4))
    return Posts(harmful=harmful, probability=_chance(low + sure * odds), views=views, reported=reported)


def label(harmful: Bools, raters: Raters, rng: np.random.Generator) -> Bools:
    """What such raters say of posts [n] whose truth this is."""
    draw = rng.random(len(harmful))
    found: Bools = np.where(harmful, draw < raters.sensitivity, draw >= raters.specificity)
    return found


def _chance(odds: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-odds))
    return found
