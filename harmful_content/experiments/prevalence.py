"""How many hand labels does it take to say how much harm stands?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart
from harmful_content.config import Config
from harmful_content.evaluate.prevalence import INTERVALS, PERFECT, Raters, estimate
from harmful_content.evaluate.sampling import Frame, Sample, draw, neyman, proportional
from harmful_content.experiments.platform import Posts, label, make

WORLDS = 40
BUDGET = 2_400  # labels at which coverage and width are told
BUDGETS = (300, 600, 1_200, BUDGET, 4_800, 9_600)
WIDTH = 0.02  # of the interval that is wanted
WRONG = Raters(sensitivity=0.98, specificity=0.98)
RATERS = {"always right": PERFECT, "2 % wrong": WRONG}
SPREADS = (0.5, 1.0, 1.5, 2.0, 3.0)

Drawn = tuple[Frame, Sample]
Design = Callable[[Posts, int, float, np.random.Generator], Drawn]


@dataclass(frozen=True)
class Told:
    """One world's interval: [low, high] minus the truth, and the value minus the truth."""

    low: float
    high: float
    error: float

    @property
    def covers(self) -> bool:
        return self.low <= 0 <= self.high


def alike(frame: Frame, budget: int, rng: np.random.Generator) -> Sample:
    """No strata: by weight alone, out of the posts that weigh anything."""
    rows = np.flatnonzero(frame.weight)
    alone = Frame(stratum=np.zeros(len(rows), np.int64), weight=frame.weight[rows], probability=frame.probability[rows])
    drawn = draw(alone, np.array([budget]), rng)
    return Sample(rows=rows[drawn.rows], chance=drawn.chance)
