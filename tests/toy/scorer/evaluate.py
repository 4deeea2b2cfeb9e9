"""Predictions against the key.

In:     probabilities of the test rows, whoever made them, and the judgments.
Out:    a Report: log loss (primary) and AUC, with intervals over people.
Choice: log loss, because the policy cuts at a probability and the truth is a bound for it.
Else:   AUC as primary, where only the order is used.
Breaks: intervals over rows, which take one eager person for a thousand: clusters are people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.contract import Floats
from common.eval import classification, intervals
from common.eval.report import Published, Report
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Judgments

PUBLISHED: Mapping[str, Sequence[Published]] = {}


def evaluate(predictions: Floats, judgments: Judgments, config: Config) -> Report:
    label, user_id = judgments.label, judgments.user_id
    units = classification.log_loss_units(label, predictions)
    auc = intervals.bootstrap(classification.auc, (label, predictions), user_id, seed=config.seed, reps=50)
    return Report(
        primary="log_loss",
        origin=judgments.origin,
        metrics={"log_loss": intervals.mean(units, user_id), "auc": auc},
        units=units,
        clusters=user_id,
    )
