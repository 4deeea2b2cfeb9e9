"""How good the probabilities are, with intervals over users.

In:     predictions, whoever made them, and the key.
Out:    a Report; primary log_loss.
Choice: log loss: the auction multiplies the probability by money, so order (AUC) is not enough; normalized entropy to compare days.
Else:   AUC as the primary, where only the order is used; a money metric, where bids are part of the question.
Breaks: an interval over rows instead of users (too narrow), a good average over a bad slice: the slices are printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ad_click.config import Config
from ad_click.schema import Judgments
from common.contract import Floats
from common.eval import calibration, classification, intervals
from common.eval.report import Published, Report

REPS = 50  # resamples of an interval beside the primary's: enough for a width; the primary's own needs none
METRICS = {
    "normalized_entropy": classification.normalized_entropy,
    "auc": classification.auc,
    "pr_auc": classification.pr_auc,
    "ece": calibration.ece,
    "calibration_ratio": calibration.calibration_ratio,
}


def evaluate(predictions: Floats, judgments: Judgments, config: Config) -> Report:
    """predictions [num_rows], in the order of the test rows."""
    units = classification.log_loss_units(judgments.label, predictions)
    both = (judgments.label, predictions)
    metrics = {
        name: intervals.bootstrap(metric, both, judgments.user_id, config.seed, reps=REPS)
        for name, metric in METRICS.items()
    }
    return Report(
        primary="log_loss",
        origin=judgments.origin,
        metrics={"log_loss": intervals.mean(units, judgments.user_id), **metrics},
        slices=intervals.by_slice("log_loss", units, judgments.user_id, judgments.slices),
        units=units,
        clusters=judgments.user_id,
    )


_COMPARABLE = {
    "frappe": "yes",
    "frappe_rebuilt": "no, because the train negatives were rebuilt and 87.5 % of test positives repeat a training pair",
}
_BARS = "BARS benchmark, Frappe_x1 (github.com/reczoo/BARS, ranking/ctr)"
_FRAPPE = (
    ("FinalNet", 0.1311, 0.9857),
    ("DeepFM", 0.1482, 0.9842),
    ("FinalMLP", 0.1484, 0.9861),
    ("DCN-V2", 0.1491, 0.9845),
    ("FM", 0.2065, 0.9671),
    ("LR", 0.3076, 0.9356),
)
PUBLISHED: Mapping[str, Sequence[Published]] = {
    tables: [
        Published(name=name, metric=metric, value=value, source=_BARS, comparable=comparable)
        for name, loss, auc in _FRAPPE
        for metric, value in (("log_loss", loss), ("auc", auc))
    ]
    for tables, comparable in _COMPARABLE.items()
}
"""By `Dataset.published`; the first figure is the third column of its reports."""
