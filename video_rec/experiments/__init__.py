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
from video_rec.experiments import (
    cold,
    conflict,
    gap,
    index,
    loop,
    objectives,
    off_policy,
    people,
    rankers,
    retrieval,
    rules,
    sources,
    spread,
    stages,
    weights,
)

EXPERIMENTS: Mapping[str, Experiment] = {
    **sources.EXPERIMENTS,
    **retrieval.EXPERIMENTS,
    **index.EXPERIMENTS,
    **stages.EXPERIMENTS,
    **rankers.EXPERIMENTS,
    **weights.EXPERIMENTS,
    **conflict.EXPERIMENTS,
    **rules.EXPERIMENTS,
    **people.EXPERIMENTS,
    **cold.EXPERIMENTS,
    **spread.EXPERIMENTS,
    **off_policy.EXPERIMENTS,
    **gap.EXPERIMENTS,
    **objectives.EXPERIMENTS,
    **loop.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {
    **index.CHARTS,
    **conflict.CHARTS,
    **spread.CHARTS,
    **off_policy.CHARTS,
    **gap.CHARTS,
    **objectives.CHARTS,
}
