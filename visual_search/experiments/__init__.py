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
from visual_search.experiments import (
    active_learning,
    blue_green,
    captions,
    codes,
    crop,
    duplicates,
    encoder_change,
    index_contract,
    index_dimension,
    index_lab,
    index_tuner,
    ladder,
    metadata,
    metrics,
    negatives,
    online,
    position_bias,
    positives,
    pretraining,
    rules,
    text_query,
)

EXPERIMENTS: Mapping[str, Experiment] = {
    **index_lab.EXPERIMENTS,
    **index_dimension.EXPERIMENTS,
    **codes.EXPERIMENTS,
    **index_tuner.EXPERIMENTS,
    **index_contract.EXPERIMENTS,
    **blue_green.EXPERIMENTS,
    **crop.EXPERIMENTS,
    **text_query.EXPERIMENTS,
    **metadata.EXPERIMENTS,
    **metrics.EXPERIMENTS,
    **position_bias.EXPERIMENTS,
    **rules.EXPERIMENTS,
    **duplicates.EXPERIMENTS,
    **online.EXPERIMENTS,
    **encoder_change.EXPERIMENTS,
    **ladder.EXPERIMENTS,
    **positives.EXPERIMENTS,
    **negatives.EXPERIMENTS,
    **pretraining.EXPERIMENTS,
    **active_learning.EXPERIMENTS,
    **captions.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {
    **index_lab.CHARTS,
    **index_dimension.CHARTS,
    **crop.CHARTS,
    **pretraining.CHARTS,
    **captions.CHARTS,
}
