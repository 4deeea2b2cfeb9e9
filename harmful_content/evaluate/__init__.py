"""How well harm is ranked, policy by policy, with intervals over authors.

In:     predictions [num_rows, num_policies], whoever made them, and the key.
Out:    a Report; primary pr_auc, the mean over policies.
Choice: the area under precision and recall of each policy, all policies alike: harm is rare, and a rare policy is not the less important one.
Else:   ROC-AUC, which looks fine when one post in twenty is harm and nine flags in ten are wrong; log loss, where probabilities price actions.
Breaks: a policy with a handful of positives (its interval says so); an interval over posts, which takes one spammer for a hundred people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from common.contract import Bools, Floats, Ints
from common.eval import calibration, classification, intervals
from common.eval.report import Interval, Published, Report
from harmful_content.config import Config
from harmful_content.schema import Judgments

PUBLISHED: Mapping[str, Sequence[Published]] = {}
FEWEST = 5  # positives of a slice; below, nothing is said of it


def evaluate(predictions: Floats, judgments: Judgments, config: Config) -> Report:
    """predictions [num_rows, num_policies], in the order of the test rows."""
    label, users = judgments.label, judgments.user_id
    judged = [at for at in range(label.shape[1]) if np.nansum(label[:, at]) > 0]
    units = {at: _column_units(label[:, at], predictions[:, at]) for at in judged}
    macro = np.mean([units[at] for at in judged], axis=0)
    pairs = _pairs(label, predictions, users)
    slices = {f"policy={judgments.policies[at]}": {"pr_auc": intervals.mean(units[at], users)} for at in judged}
    for name, column in judgments.slices.items():
        for value in np.unique(column).tolist():
            if found := _slice(label, predictions, users, column == value):
                slices[f"{name}={value}"] = {"pr_auc": found}
    return Report(
        primary="pr_auc",
        origin=judgments.origin,
        metrics={
            "pr_auc": intervals.mean(macro, users),
            "log_loss": intervals.mean(classification.log_loss_units(*pairs[:2]), pairs[2]),
            "calibration_ratio": intervals.bootstrap(
                calibration.calibration_ratio, pairs[:2], pairs[2], config.seed, reps=50
            ),
        },
        slices=slices,
        units=macro,
        clusters=users,
    )


def pr_auc_units(label: Floats, score: Floats) -> Floats:
    """[n] whose mean is `pr_auc`, and whose spread is its standard error: pr_auc + n times its derivative in the weight of each row (the
    infinitesimal jackknife, Efron 1982, chapter 6). A row counts twice over: by the rank it has, and by those it stands above."""
    order = np.argsort(-score, kind="stable")
    y = label[order]
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # ties share the precision of their last
    tie = np.searchsorted(last, np.arange(len(y)))
    found, above = np.cumsum(y)[last], last + 1.0
    positives = np.diff(found, prepend=0)
    area, num = float((positives * found / above).sum() / found[-1]), found[-1]
    gain = np.cumsum((positives / above)[::-1])[
        ::-1
    ]  # what one more positive at or above a tie adds to it and to those below
    loss = np.cumsum((positives * found / above**2)[::-1])[::-1]
    slope = (y * (found / above)[tie] + y * gain[tie] - loss[tie] - y * area) / num
    units = np.empty(len(y))
    units[order] = area + len(y) * slope
    return units


def _column_units(label: Floats, score: Floats) -> Floats:
    """[n] over the rows where the label is known; the others are the mean, and move nothing."""
    known = ~np.isnan(label)
    units = pr_auc_units(label[known], score[known])
    out = np.full(len(label), units.mean())
    out[known] = units.mean() + (units - units.mean()) * len(label) / known.sum()
    return out


def _pairs(label: Floats, predictions: Floats, users: Ints) -> tuple[Floats, Floats, Ints]:
    """Every (post, policy) whose label is known, as one long column."""
    known = ~np.isnan(label)
    return label[known], predictions[known], np.broadcast_to(users[:, None], label.shape)[known]


def _slice(label: Floats, predictions: Floats, users: Ints, which: Bools) -> Interval | None:
    """pr_auc over the (post, policy) pairs of a slice: too few positives there for one policy at a time."""
    labels, scores, clusters = _pairs(label[which], predictions[which], users[which])
    if not len(labels) or labels.sum() < FEWEST or len(np.unique(clusters)) < 2:
        return None
    return intervals.mean(pr_auc_units(labels, scores), clusters)
