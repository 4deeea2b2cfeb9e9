"""The trade-offs, each a runnable comparison with a number.

In:     a Config.
Out:    EXPERIMENTS: name -> a function that makes a table; CHARTS: which of them are curves over a knob.
Choice: one question an experiment, everything else held still.
Else:   a grid over everything, where nobody asks a question.
Breaks: a table without a foil: each has the row that should lose.
"""

from __future__ import annotations

from collections.abc import Mapping

from ad_click.experiments import charts, continual, features, gates, labels, ladder, money, training, variants
from common.contract import Experiment
from common.eval.chart import Chart

EXPERIMENTS: Mapping[str, Experiment] = {
    **gates.EXPERIMENTS,
    **training.EXPERIMENTS,
    **labels.EXPERIMENTS,
    **money.EXPERIMENTS,
    **ladder.EXPERIMENTS,
    **variants.EXPERIMENTS,
    **charts.EXPERIMENTS,
    **features.EXPERIMENTS,
    **continual.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {**training.CHARTS, **labels.CHARTS, **money.CHARTS, **charts.CHARTS}
