"""What the experiments share: a lesson read once, networks taught from it, and reports side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from common.contract import Bools, Floats, Table
from common.eval import intervals
from common.eval.report import Report, paired
from harmful_content import data, evaluate, features
from harmful_content.config import Config
from harmful_content.features import Inputs
from harmful_content.model.lesson import Columns, Lesson
from harmful_content.schema import Dataset, Judgments

T = TypeVar("T")
PRECISION = 0.8
PASSES, PATIENCE = 30, 8
"""Of every network in these experiments: a picture alone ranks no better for several passes before it takes off, and to stop it there would be to
compare what was taught with what was not. The model as it is served stops sooner."""


@dataclass(frozen=True, eq=False)
class Lab:
    """The test posts as inputs and as columns; nobody learns from them."""

    config: Config
    dataset: Dataset
    lesson: Lesson
    inputs: Inputs
    test: Columns
    key: Judgments

    @classmethod
    def read(cls, config: Config) -> Lab:
        config = replace(config, epochs=PASSES, patience=PATIENCE)
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
        lesson, inputs = Lesson.read(dataset, fitted, config), fitted.inputs(dataset.test, dataset.history)
        return cls(config, dataset, lesson, inputs, lesson.reader.columns(inputs), data.judgments(config))

    def both(self, lesson: Lesson) -> Columns:
        """Validation and test, to be scored in one go, with what the lesson's own line says."""
        joined = {name: torch.cat([self.lesson.valid[name], column]) for name, column in self.test.items()}
        said = lesson.reader.line.logits(joined["tokens"].numpy())
        return joined | {"said": torch.from_numpy(said.astype(np.float32))}

    def report(self, scores: Floats) -> Report:
        return evaluate.evaluate(scores, self.key, self.config)

    def only(self, slice_name: str, value: str) -> Bools:
        return np.asarray(self.key.slices[slice_name] == value)

    def found(self, scores: Floats, which: Bools) -> float:
        """Share of the violating posts of a slice that are found where PRECISION of what is flagged violates, whatever the policy: a post is
        flagged by its likeliest."""
        return recall_at(PRECISION, self.key.label[which].max(axis=1), scores[which].max(axis=1))

    def found_interval(self, scores: Floats, which: Bools) -> dict[str, float]:
        label, score = self.key.label[which].max(axis=1), scores[which].max(axis=1)
        around = intervals.bootstrap(_recall, (label, score), self.key.user_id[which], self.config.seed, reps=200)
        return {"recall": around.value, "low": around.low or 0.0, "high": around.high or 1.0}


def recall_at(precision: float, label: Floats, score: Floats, weights: Floats | None = None) -> float:
    """The largest recall of a threshold at which at least `precision` of what is flagged is right; 0 where none is so. Ties stand or fall together."""
    order = np.argsort(-score, kind="stable")
    times = np.ones(len(label)) if weights is None else weights[order]
    right, flagged = np.cumsum(label[order] * times), np.cumsum(times)
    last = np.append(np.diff(score[order]) != 0, True) & (flagged > 0)
    good = last & (right >= precision * flagged) & (right > 0)
    return float(right[good].max() / right[-1]) if good.any() else 0.0


def _recall(label: Floats, score: Floats, weights: Floats | None = None) -> float:
    return recall_at(PRECISION, label, score, weights)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """-> what it gives, and its CPU seconds."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def microseconds(work: Callable[[], Any], num_rows: int) -> float:
    """CPU time of a post when these are scored together: the median of three."""
    return float(np.median([timed(work)[1] for _ in range(3)])) / num_rows * 1e6


def against(name: str, reports: Mapping[str, Report], first: str, called: str = "") -> Table:
    """A row a report: macro pr_auc with its interval, and its paired difference from `first` (in the column's name `called`), over authors."""
    rows, column = [], f"against_{called or first}"
    for what, report in reports.items():
        primary, change = report.metrics["pr_auc"], paired(report, reports[first])
        row = {name: what, "pr_auc": primary.value, "low": primary.low, "high": primary.high}
        rows.append(row | {column: change.value, f"{column}_low": change.low, f"{column}_high": change.high})
    return rows
