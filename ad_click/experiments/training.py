"""What the training rows are: which negatives, which window, and what calibration changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ad_click import baseline, data, evaluate, features, model
from ad_click.config import Config
from ad_click.experiments.tables import against, loaded, relabelled
from common.contract import Experiment, Floats, Table
from common.errors import InputError


def thinned_negatives(config: Config) -> Table:
    """What a tenth of the negatives costs, with the correction of the odds and without it; the last row is the one that should lose."""
    dataset, fitted, key = loaded(config)
    plain = replace(config, calibrate=False)
    thin = model.fit(dataset, fitted, replace(plain, negative_rate=0.1))
    inputs = fitted.inputs(dataset.test, dataset.history)
    scores = {
        "all negatives": model.fit(dataset, fitted, plain).score(inputs),
        "a tenth, corrected": thin.score(inputs),
        "a tenth, not corrected": replace(thin, negative_rate=1.0).score(inputs),
    }
    return against("negatives", {name: evaluate.evaluate(found, key, config) for name, found in scores.items()})


def click_window(config: Config) -> Table:
    """How long to wait for a click: labels of a shorter window are there sooner and wrong more often. All rows are judged by the labels of
    the config's own window, so the short ones pay for the clicks they never saw."""
    if config.data != "world":
        raise InputError(f"{config.data} states labels, not clicks, so no other window can be tried. Leave --data out.")
    key, reports, window = data.judgments(config), {}, config.click_window_hours
    for hours in sorted({hours for hours in (window, 6, 1) if hours <= window}, reverse=True):
        short = replace(config, click_window_hours=hours)
        dataset = relabelled(data.load(config), data.load(short))
        fitted = features.fit(dataset, config)
        scorer = model.fit(dataset, fitted, config)
        scores = scorer.score(fitted.inputs(dataset.test, dataset.history))
        reports[f"{hours} h"] = evaluate.evaluate(scores, key, config)
    return against("window", reports)


def calibration(config: Config) -> Table:
    """What two numbers on the validation rows change: raw trees, calibrated trees, and the baseline beside them."""
    dataset, fitted, key = loaded(config)
    inputs = fitted.inputs(dataset.test, dataset.history)
    calibrated = model.fit(dataset, fitted, replace(config, calibrate=True))
    raw = replace(calibrated, calibration=None)
    scores: Mapping[str, Floats] = {
        "trees": raw.score(inputs),
        "trees, Platt": calibrated.score(inputs),
        "baseline": baseline.fit(dataset, fitted, config).score(inputs),
    }
    return against("scorer", {name: evaluate.evaluate(found, key, config) for name, found in scores.items()})


EXPERIMENTS: Mapping[str, Experiment] = {
    "thinned_negatives": thinned_negatives,
    "click_window": click_window,
    "calibration": calibration,
}
