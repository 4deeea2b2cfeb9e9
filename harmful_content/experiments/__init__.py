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
from harmful_content.experiments import (
    cascade,
    case_queue,
    duplicates,
    fairness,
    few_shot,
    functions,
    human_bias,
    labelling,
    labels,
    ladder,
    memes,
    modalities,
    obfuscation,
    prevalence,
    review,
    rules,
    shapes,
    student,
    sweep,
    temporal,
)

EXPERIMENTS: Mapping[str, Experiment] = {
    **ladder.EXPERIMENTS,
    **memes.EXPERIMENTS,
    **shapes.EXPERIMENTS,
    **labels.EXPERIMENTS,
    **modalities.EXPERIMENTS,
    **review.EXPERIMENTS,
    **case_queue.EXPERIMENTS,
    **rules.EXPERIMENTS,
    **prevalence.EXPERIMENTS,
    **human_bias.EXPERIMENTS,
    **fairness.EXPERIMENTS,
    **functions.EXPERIMENTS,
    **obfuscation.EXPERIMENTS,
    **duplicates.EXPERIMENTS,
    **few_shot.EXPERIMENTS,
    **labelling.EXPERIMENTS,
    **cascade.EXPERIMENTS,
    **sweep.EXPERIMENTS,
    **temporal.EXPERIMENTS,
    **student.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {
    **memes.CHARTS,
    **review.CHARTS,
    **prevalence.CHARTS,
    **labelling.CHARTS,
    **cascade.CHARTS,
}
