"""The trade-offs, each a runnable comparison with a number.

In:     a Config.
Out:    EXPERIMENTS: name -> a function that makes a table.
Choice: one question an experiment, everything else held still.
Else:   a grid over everything, where nobody asks a question.
Breaks: a table without a foil: each has the row that should lose.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Experiment
from common.eval.chart import Chart
from visual_search.experiments import (
    blue_green,
    codes,
    index_contract,
    index_dimension,
    index_lab,
    index_tuner,
    rules,
)

EXPERIMENTS: Mapping[str, Experiment] = {
    **index_lab.EXPERIMENTS,
    **index_dimension.EXPERIMENTS,
    **codes.EXPERIMENTS,
    **index_tuner.EXPERIMENTS,
    **index_contract.EXPERIMENTS,
    **blue_green.EXPERIMENTS,
    **rules.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {
    **index_lab.CHARTS,
    **index_dimension.CHARTS,
}
