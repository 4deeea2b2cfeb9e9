"""What a fitted model has to show before it may set prices: calibration against the planted truth, slice by slice, and what it brings."""

from __future__ import annotations

from collections.abc import Mapping

from ad_click import baseline, evaluate, model, world
from ad_click.config import Config
from ad_click.experiments.tables import known, large_slices, loaded
from common.contract import Experiment, Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.calibration import calibration_ratio, ece
from common.eval.classification import normalized_entropy


def gates(config: Config) -> Table:
    """Is what was promised what was to come, overall and in every slice of 10,000 test rows? Sum of predictions over sum of planted
    probabilities (wanted: .97 to 1.03); expected calibration error above the ceiling's own (wanted: at most .0005); normalized entropy
    against the baseline's (wanted: below). The foil is the model with every score a tenth too high: the same order, and no gate but the
    last lets it through."""
    if config.data != "world":
        raise InputError(f"{config.data} has no planted truth to hold predictions against. Leave --data out.")
    dataset, fitted, key = loaded(config)
    inputs = fitted.inputs(dataset.test, dataset.history)
    scores = model.fit(dataset, fitted, config).score(inputs)
    simple = baseline.fit(dataset, fitted, config).score(inputs)
    truth, users = world.ceiling(config).score(dataset.test), key.user_id
    table: Table = []
    for name, found in {"model": scores, "a tenth too high": 1.1 * scores}.items():
        for slice_name, at in large_slices(key.slices, len(truth)).items():
            table.append({"scorer": name, "gate": f"over planted, {slice_name}", "rows": len(at), **_level(truth[at], found[at], users[at])})  # fmt: skip
        around = intervals.bootstrap(_ece_above, (key.label, truth, found), users, config.seed, reps=evaluate.REPS)
        table.append({"scorer": name, "gate": "ECE above the ceiling's", "rows": len(truth), "value": around.value, "low": around.low, "high": around.high})  # fmt: skip
        gain = intervals.bootstrap(_entropy_above, (key.label, simple, found), users, config.seed, reps=evaluate.REPS)
        table.append({"scorer": name, "gate": "normalized entropy above the baseline's", "rows": len(truth), "value": gain.value, "low": gain.low, "high": gain.high})  # fmt: skip
    return table


def _level(truth: Floats, found: Floats, users: Ints) -> dict[str, float]:
    """Sum of predictions over sum of planted probabilities, as a ratio estimator over users."""
    level = calibration_ratio(truth, found)
    around = intervals.mean((found - level * truth) / truth.mean(), users)
    return {"value": level, "low": level + known(around.low), "high": level + known(around.high)}


def _ece_above(labels: Floats, truth: Floats, found: Floats, weights: Floats | None = None) -> float:
    return ece(labels, found, weights) - ece(labels, truth, weights)


def _entropy_above(labels: Floats, simple: Floats, found: Floats, weights: Floats | None = None) -> float:
    return normalized_entropy(labels, found, weights) - normalized_entropy(labels, simple, weights)


EXPERIMENTS: Mapping[str, Experiment] = {"gates": gates}
