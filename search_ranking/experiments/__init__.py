"""The trade-offs, each a runnable comparison with a number.

In:     a Config.
Out:    EXPERIMENTS: name -> a function that makes a table; CHARTS: which of them are curves over a knob.
Choice: one question an experiment, everything else held still.
Else:   a grid over everything, where nobody asks a question.
Breaks: a table without a foil: each has the row that should lose.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Experiment
from common.eval.chart import Chart
from search_ranking.experiments import (
    clicks,
    cross,
    curves,
    encoders,
    engagement,
    features,
    fusion,
    judges,
    ladder,
    mismatch,
    online,
    rules,
    understanding,
)

EXPERIMENTS: Mapping[str, Experiment] = {
    **clicks.EXPERIMENTS,
    **curves.EXPERIMENTS,
    **features.EXPERIMENTS,
    **mismatch.EXPERIMENTS,
    **online.EXPERIMENTS,
    **ladder.EXPERIMENTS,
    **cross.EXPERIMENTS,
    **fusion.EXPERIMENTS,
    **understanding.EXPERIMENTS,
    **encoders.EXPERIMENTS,
    **engagement.EXPERIMENTS,
    **rules.EXPERIMENTS,
    **judges.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {
    **clicks.CHARTS,
    **curves.CHARTS,
    **mismatch.CHARTS,
    **judges.CHARTS,
}
