"""The trade-offs, each a runnable comparison with a number.

In:     a Config.
Out:    EXPERIMENTS: name -> a function that makes a table.
Choice: one question an experiment, everything else held still.
Else:   a grid over everything, where nobody asks a question.
Breaks: a table without a foil: each has the row that should lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ad_click import baseline, data, evaluate, features, model
from ad_click.config import Config
from ad_click.features import Features
from ad_click.schema import Dataset, Judgments
from common.contract import Experiment, Floats, Table
from common.errors import InputError
from common.eval.report import Report, paired


def thinned_negatives(config: Config) -> Table:
    """What a tenth of the negatives costs, with the correction of the odds and without it; the last row is the one that should lose."""
    dataset, fitted, key = _data(config)
    plain = replace(config, calibrate=False)
    thin = model.fit(dataset, fitted, replace(plain, negative_rate=0.1))
    inputs = fitted.inputs(dataset.test, dataset.history)
    scores = {
        "all negatives": model.fit(dataset, fitted, plain).score(inputs),
        "a tenth, corrected": thin.score(inputs),
        "a tenth, not corrected": replace(thin, negative_rate=1.0).score(inputs),
    }
    return _against("negatives", {name: evaluate.evaluate(found, key, config) for name, found in scores.items()})


def click_window(config: Config) -> Table:
    """How long to wait for a click: labels of a shorter window are there sooner and wrong more often. All rows are judged by the labels of
    the config's own window, so the short ones pay for the clicks they never saw."""
    if config.data != "world":
        raise InputError(f"{config.data} states labels, not clicks, so no other window can be tried. Leave --data out.")
    key, reports, window = data.judgments(config), {}, config.click_window_hours
    for hours in sorted({hours for hours in (window, 6, 1) if hours <= window}, reverse=True):
        short = replace(config, click_window_hours=hours)
        dataset = _relabelled(data.load(config), data.load(short))
        fitted = features.fit(dataset, config)
        scorer = model.fit(dataset, fitted, config)
        scores = scorer.score(fitted.inputs(dataset.test, dataset.history))
        reports[f"{hours} h"] = evaluate.evaluate(scores, key, config)
    return _against("window", reports)


def calibration(config: Config) -> Table:
    """What two numbers on the validation rows change: raw trees, calibrated trees, and the baseline beside them."""
    dataset, fitted, key = _data(config)
    inputs = fitted.inputs(dataset.test, dataset.history)
    calibrated = model.fit(dataset, fitted, replace(config, calibrate=True))
    raw = replace(calibrated, calibration=None)
    scores: Mapping[str, Floats] = {
        "trees": raw.score(inputs),
        "trees, Platt": calibrated.score(inputs),
        "baseline": baseline.fit(dataset, fitted, config).score(inputs),
    }
    return _against("scorer", {name: evaluate.evaluate(found, key, config) for name, found in scores.items()})


EXPERIMENTS: Mapping[str, Experiment] = {
    "thinned_negatives": thinned_negatives,
    "click_window": click_window,
    "calibration": calibration,
}


def _data(config: Config) -> tuple[Dataset, Features, Judgments]:
    dataset = data.load(config)
    return dataset, features.fit(dataset, config), data.judgments(config)


def _relabelled(dataset: Dataset, other: Dataset) -> Dataset:
    """The rows of `dataset` with the labels of `other`: both have the same impressions in the same order, `other` goes on for longer."""
    label = np.concatenate([other.train.label, other.valid.label])
    n = len(dataset.train)
    return replace(
        dataset,
        train=replace(dataset.train, label=label[:n]),
        valid=replace(dataset.valid, label=label[n : n + len(dataset.valid)]),
    )


def _against(name: str, reports: Mapping[str, Report]) -> Table:
    """One row a report: log loss, its difference to the first row with an interval over users, and the calibration."""
    first = next(iter(reports.values()))
    rows = []
    for what, report in reports.items():
        difference = paired(report, first)
        rows.append(
            {
                name: what,
                "log_loss": report.metrics["log_loss"].value,
                "against_first": difference.value,
                "low": difference.low,
                "high": difference.high,
                "calibration_ratio": report.metrics["calibration_ratio"].value,
                "auc": report.metrics["auc"].value,
            }
        )
    return rows
