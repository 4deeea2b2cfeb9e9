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
from harmful_content.experiments import case_queue, human_bias, modalities, prevalence, review, rules, student

EXPERIMENTS: Mapping[str, Experiment] = {
    **modalities.EXPERIMENTS,
    **review.EXPERIMENTS,
    **case_queue.EXPERIMENTS,
    **rules.EXPERIMENTS,
    **prevalence.EXPERIMENTS,
    **human_bias.EXPERIMENTS,
    **student.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {**review.CHARTS, **prevalence.CHARTS}
