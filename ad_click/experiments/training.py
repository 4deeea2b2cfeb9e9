"""What the training rows are, which negatives and which window; and what a calibration changes, and costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ad_click import data, evaluate, features, model, world
from ad_click.config import Config
from ad_click.experiments.tables import against, known, large_slices, loaded, relabelled
from ad_click.schema import Dataset, Judgments
from common.contract import Experiment, Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.calibration import Isotonic, Level, Platt, Temperature, calibration_ratio, ece
from common.eval.chart import Chart
from common.eval.classification import auc, expected_log_loss_units

KEPT = (0.1, 0.05, 0.01)  # shares of the negatives
MAPS: Mapping[str, type[Level] | type[Platt] | type[Isotonic] | type[Temperature]] = {
    "level": Level,
    "Platt": Platt,
    "isotonic": Isotonic,
    "temperature": Temperature,
}
SIZES = (1_000, 5_000, 20_000)  # validation rows a map is fitted on, and then all there are
DRAWS = 10  # samples of each size
BINS = 15


def thinned_negatives(config: Config) -> Table:
    """What leaving out negatives costs and saves, with the correction of the odds (ADS-51) and, as the foil, without it."""
    dataset, fitted, key = loaded(config)
    plain, inputs = replace(config, calibrate=False, refit=False), fitted.inputs(dataset.test, dataset.history)
    truth = _truth(dataset, key, config)
    scores, seconds = {}, {}
    for kept in (1.0, *KEPT):
        start = time.perf_counter()
        scorer = model.fit(dataset, fitted, replace(plain, negative_rate=kept))
        name = "all" if kept == 1 else f"{kept:g}"
        seconds[name] = time.perf_counter() - start
        scores[name] = scorer.score(inputs)
        if kept < 1:
            scores[f"{name}, not corrected"] = replace(scorer, negative_rate=1.0).score(inputs)
    rows = against("negatives", {name: evaluate.evaluate(found, key, config) for name, found in scores.items()})
    for row, found in zip(rows, scores.values(), strict=True):
        pair = (key.label, scores["all"], found)
        row["over_planted"] = calibration_ratio(truth, found)
        difference = intervals.bootstrap(_auc_difference, pair, key.user_id, config.seed, reps=evaluate.REPS)
        row |= {"auc_against_first": difference.value}
        row |= {"auc_against_first_low": difference.low, "auc_against_first_high": difference.high}
        row["fit_s"] = seconds[row["negatives"].split(",")[0]]
    return rows


def _truth(dataset: Dataset, key: Judgments, config: Config) -> Floats:
    """[num_test] the planted chance of a click; real data has its labels alone."""
    return world.ceiling(config).score(dataset.test) if config.data == "world" else key.label


def _auc_difference(labels: Floats, first: Floats, other: Floats, weights: Floats | None = None) -> float:
    return auc(labels, other, weights) - auc(labels, first, weights)


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
    """Which map to put behind the trees, and how many clicks it wants: samples of the validation rows, the mean over the samples and the worst
    of them. Log loss is expected under the planted truth where there is one; the foil is the curve that bends anywhere, on few clicks."""
    return [dict(row) for row in _calibrated(config)]


def clicks_to_calibrate(config: Config) -> Table:
    """How many validation clicks a map wants before it is worth having: the samples of `calibration` as a curve."""
    return [dict(row) for row in _calibrated(config) if row["valid_rows"]]


@lru_cache(maxsize=1)
def _calibrated(config: Config) -> Table:
    """Once for the table and for the curve."""
    dataset, fitted, key = loaded(config)
    trees = model.fit(dataset, fitted, replace(config, calibrate=False, refit=False))
    raw = trees.score(fitted.inputs(dataset.test, dataset.history))
    held_out, label = trees.score(fitted.inputs(dataset.valid, dataset.history)), dataset.valid.label
    truth = _truth(dataset, key, config)
    rows = [_judged("none", 0, label[:0], [raw], raw, truth, key)]
    rng = np.random.default_rng([config.seed, 6])
    for size in (*(size for size in SIZES if size < len(label)), len(label)):
        samples = [np.arange(size)] if size == len(label) else _samples(label, size, rng)
        clicked = np.concatenate([label[sample] for sample in samples])
        for name, kind in MAPS.items():
            found = [kind.fit(label[sample], held_out[sample]).apply(raw) for sample in samples]
            rows.append(_judged(name, size, clicked, found, raw, truth, key))
    if config.data == "world":
        rows.append(_judged("ceiling", 0, label[:0], [truth], raw, truth, key))
    return rows


def _samples(label: Floats, size: int, rng: np.random.Generator) -> list[Ints]:
    """DRAWS samples that hold a click: without one there is nothing to fit."""
    drawn = (rng.choice(len(label), size, replace=False) for _ in range(100 * DRAWS))
    return [
        sample for sample, _ in zip((sample for sample in drawn if label[sample].any()), range(DRAWS), strict=False)
    ]


def _judged(
    name: str, size: int, clicked: Floats, found: Sequence[Floats], raw: Floats, truth: Floats, key: Judgments
) -> dict[str, object]:
    """One row: what a map makes of the test rows, over the samples it was fitted on."""
    units = np.mean([expected_log_loss_units(truth, one) for one in found], axis=0)
    difference = intervals.mean(units - expected_log_loss_units(truth, raw), key.user_id)
    levels = [calibration_ratio(truth, one) for one in found]
    slice_name, level = _worst_slice(truth, np.mean(found, axis=0), key)
    return {
        "map": name,
        "valid_rows": size,
        "clicks": float(clicked.sum()) / len(found),
        "log_loss": float(units.mean()),
        "against_none": difference.value,
        "low": difference.low,
        "high": difference.high,
        "ece": float(np.mean([ece(key.label, one, bins=BINS) for one in found])),
        "calibration_ratio": float(np.mean([calibration_ratio(key.label, one) for one in found])),
        "over_planted": float(np.mean(levels)),
        "worst_sample": max(levels, key=lambda level: abs(np.log(level))),
        "worst_slice": level,
        "slice": slice_name,
    }


def _worst_slice(truth: Floats, predictions: Floats, key: Judgments) -> tuple[str, float]:
    """Name and sum of predictions over sum of truth of the slice that is furthest from 1 among the large ones."""
    large = large_slices(key.slices, len(truth))
    found = {name: calibration_ratio(truth[at], predictions[at]) for name, at in large.items()}
    return max(found.items(), key=lambda one: abs(np.log(one[1])))


def reliability(config: Config) -> Table:
    """Is what was said what came? Fifteen bins of equal mass, from the lowest predictions to the highest; the foil is stopped and calibrated on
    the rows it was trained on."""
    dataset, fitted, key = loaded(config)
    inputs = fitted.inputs(dataset.test, dataset.history)
    truth = _truth(dataset, key, config)
    own_rows: Dataset = replace(dataset, valid=dataset.train)
    rows, calibrated = [], replace(config, calibrate=True)
    for name, scorer in (
        ("model", model.fit(dataset, fitted, calibrated)),
        ("stopped on its own rows", model.fit(own_rows, fitted, replace(calibrated, refit=False))),
    ):
        scores = scorer.score(inputs)
        order = np.argsort(scores, kind="stable")
        for place, at in enumerate(np.array_split(order, BINS)):
            clicked = intervals.mean(key.label[at], key.user_id[at])
            mean, off = float(scores[at].mean()), intervals.mean(100 * (truth[at] - scores[at]), key.user_id[at])
            rows.append(
                {
                    "scorer": name,
                    "bin": place + 1,
                    "predicted": mean,
                    "clicked": clicked.value,
                    "clicked_low": clicked.low,
                    "clicked_high": clicked.high,
                    "planted": float(truth[at].mean()),
                    "off_percent": off.value / mean,
                    "low": known(off.low) / mean,
                    "high": known(off.high) / mean,
                }
            )
    return rows


EXPERIMENTS: Mapping[str, Experiment] = {
    "thinned_negatives": thinned_negatives,
    "click_window": click_window,
    "calibration": calibration,
    "clicks_to_calibrate": clicks_to_calibrate,
    "reliability": reliability,
}
CHARTS: Mapping[str, Chart] = {
    "clicks_to_calibrate": Chart(
        title="What a calibration costs where clicks are rare",
        x="clicks",
        y="against_none",
        series="map",
        x_label="clicks among the validation rows",
        y_label="log loss against raw trees",
        log_x=True,
    ),
    "reliability": Chart(
        title="How much more was to come than was predicted",
        x="predicted",
        y="off_percent",
        series="scorer",
        x_label="mean prediction of a fifteenth of the test rows",
        y_label="planted minus predicted, % of predicted",
        flip=False,
        log_x=True,
    ),
}
