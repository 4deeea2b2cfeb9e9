"""Which class a post is, judged by macro F1: the figure of shared tasks, where every class counts the same however rare it is."""

from __future__ import annotations

import numpy as np

from common.contract import Floats, Ints
from common.errors import InputError, did_you_mean
from common.eval import intervals
from common.eval.report import Interval, Report
from harmful_content.baseline.questions import task_of
from harmful_content.schema import Judgments


def evaluate(predictions: Floats, judgments: Judgments, task: str) -> Report:
    """macro_f1 of this task, primary; of every other as a slice. predictions [n, num_policies]."""
    tasks = dict.fromkeys(task_of(name) for name in judgments.policies)
    if task not in tasks:
        raise InputError(f"--set task={task}: the labels have no such task. {did_you_mean(task, tasks)}")
    judged = {name: units(predictions, judgments, name) for name in tasks}
    found, rows = judged[task]
    return Report(
        primary="macro_f1",
        origin=judgments.origin,
        metrics={"macro_f1": intervals.mean(found, judgments.user_id[rows])},
        slices={
            f"task={name}": {"macro_f1": _interval(*judged[name], judgments)} for name in tasks if len(judged[name][0])
        },
        units=found,
        clusters=judgments.user_id[rows],
    )


def units(predictions: Floats, judgments: Judgments, task: str) -> tuple[Floats, Ints]:
    """-> macro_f1_units, and the test rows they are of. A task of one policy asks yes or no, from one half on, of every row whose label is known. Of
    several classes the likeliest is the answer, asked of the rows of which one is known to be true, as shared tasks ask it."""
    of = np.array([at for at, name in enumerate(judgments.policies) if task_of(name) == task])
    label = judgments.label[:, of]
    if len(of) == 1:
        rows = np.flatnonzero(~np.isnan(label[:, 0]))
        truth, guess = label[rows, 0].astype(np.int64), (predictions[rows, of[0]] >= 0.5).astype(np.int64)
    else:
        rows = np.flatnonzero((label == 1).any(axis=1))
        truth, guess = (label[rows] == 1).argmax(axis=1), predictions[np.ix_(rows, of)].argmax(axis=1)
    return macro_f1_units(truth, guess), rows


def macro_f1_units(truth: Ints, guess: Ints) -> Floats:
    """[n] whose mean is `macro_f1`, and whose spread is its standard error: macro_f1 + n times its derivative in the weight of each row (the
    infinitesimal jackknife, Efron 1982, chapter 6). With F = 2 tp / (asked + given), dF/dw of a row is (2 [both] - F [asked] - F [given]) / (asked +
    given)."""
    n, classes = len(truth), np.union1d(truth, guess)
    asked, given = truth[:, None] == classes, guess[:, None] == classes
    total = asked.sum(axis=0) + given.sum(axis=0)
    f1 = 2 * (asked & given).sum(axis=0) / total
    slope = (2 * (asked & given) - f1 * asked - f1 * given) / total
    found: Floats = f1.mean() + n * slope.mean(axis=1) if n else np.zeros(0)
    return found


def _interval(found: Floats, rows: Ints, judgments: Judgments) -> Interval:
    return intervals.mean(found, judgments.user_id[rows])
