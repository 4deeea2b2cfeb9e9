"""Gradient-boosted trees, then a calibration: an auction multiplies the probability by money, so it has to be one.

In:     training and validation rows and their features.
Out:    a Scorer of calibrated click probabilities.
Choice: LightGBM: crosses found by splits, missing values and counts as they are; it starts from each slot's rate, and one number
        moves the level as far as the validation rows are sure that it is wrong.
Else:   DeepFM or DCN-V2, where ids carry what no statistic does and a GPU is there anyway; Platt or isotonic, where the shape is wrong and
        clicks are plenty.
Breaks: early stopping on too few clicks, negatives thinned out without correction: calibration_ratio in evaluate and monitor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.features import Features, Inputs
from ad_click.schema import Dataset
from common.contract import Floats, Ints
from common.errors import InputError
from common.eval.calibration import Calibration, Level, from_json, undo_downsampling
from common.serving.trees import MOST_LEAVES, QuickTrees
from common.training.seeding import lightgbm_threads

ONE_REQUEST = 2_000  # rows; above, LightGBM's threads are quicker


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    """Trees until validation log loss has not improved for 30 of them, the level on the same validation rows, then trees once more on all
    rows, more by as much as there are more rows: the last days say most about the next. `Model.before` has not seen the validation rows."""
    import lightgbm

    if config.num_leaves > MOST_LEAVES:
        raise InputError(f"num_leaves is {config.num_leaves}; trees that answer requests have at most {MOST_LEAVES}.")
    if not 0 < config.negative_rate <= 1:
        raise InputError(
            f"negative_rate is {config.negative_rate}; expected the share of negatives to keep, above 0 and at most 1."
        )
    inputs = [features.inputs(rows, dataset.history) for rows in (dataset.train, dataset.valid)]
    seen, few = columns_seen(inputs[0], config)
    matrices = [matrix(part, seen, few) for part in inputs]
    labels = [dataset.train.label, dataset.valid.label]
    kept = [_thin(label, config) for label in labels]
    start = _start(inputs[0], labels[0], kept[0])
    starts = [_logits(part, start) for part in inputs]
    options: dict[str, Any] = {
        "params": {**parameters(config), "max_cat_threshold": 64, "cat_smooth": 20.0},
        "categorical_feature": [len(seen) + place for place in range(len(few))],
    }
    train = lightgbm.Dataset(matrices[0][kept[0]], labels[0][kept[0]], init_score=starts[0][kept[0]], **options)
    # until `score` corrects them the trees speak of thinned rows, so that is what stops them
    as_thinned = np.where(labels[1] == 1, 1.0, config.negative_rate)
    valid = lightgbm.Dataset(
        matrices[1], labels[1], weight=as_thinned, init_score=starts[1], reference=train, **options
    )
    stop = lightgbm.early_stopping(30, verbose=False)
    booster = lightgbm.train(options["params"], train, config.num_trees, valid_sets=[valid], callbacks=[stop])
    trees = booster.model_to_string(num_iteration=booster.best_iteration)
    model = Model(trees, start, seen, few, config.negative_rate, None)
    if config.calibrate:
        model = replace(model, calibration=Level.fit(labels[1], model.score(inputs[1])))
    if not config.refit:
        return model
    rows, label, begin = (
        np.concatenate([part[index] for part, index in zip(parts, kept, strict=True)])
        for parts in (matrices, labels, starts)
    )
    everything = lightgbm.Dataset(rows, label, init_score=begin, **options)
    num_trees = round(max(booster.best_iteration, 1) * len(label) / len(kept[0]))
    booster = lightgbm.train(options["params"], everything, num_trees)
    return replace(model, trees=booster.model_to_string(), before=model)


def load(folder: Path) -> Model:
    """The registry has checked the files' sha256 by now: LightGBM's text reader trusts what it is given."""
    saved = json.loads((folder / "model.json").read_text())
    start, seen, few = (tuple(saved[name]) for name in ("start", "seen", "few"))
    calibration = from_json(saved["calibration"]) if saved["calibration"] else None
    return Model((folder / "trees.txt").read_text(), start, seen, few, saved["negative_rate"], calibration)


@dataclass(frozen=True, eq=False)
class Model:
    """trees: LightGBM's text; start: the log-odds the trees begin from, slot by slot; seen, few: the columns of numbers and of codes; before:
    the model that knew the validation rows only to stop and calibrate by, which nobody saves."""

    trees: str
    start: tuple[float, ...]
    seen: tuple[int, ...]
    few: tuple[int, ...]
    negative_rate: float
    calibration: Calibration | None
    before: Model | None = None

    @property
    def held_out(self) -> Model:
        """What to ask about the validation rows."""
        return self.before or self

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        columns = matrix(inputs, self.seen, self.few)
        found = self._quick.score(columns) if len(inputs) <= ONE_REQUEST else self._predict(columns)
        raw = undo_downsampling(1 / (1 + np.exp(-found - _logits(inputs, self.start))), self.negative_rate)
        return raw if self.calibration is None else self.calibration.apply(raw)

    def save(self, folder: Path) -> None:
        calibration = None if self.calibration is None else self.calibration.as_json()
        saved = {
            "start": self.start,
            "seen": self.seen,
            "few": self.few,
            "negative_rate": self.negative_rate,
            "calibration": calibration,
        }
        (folder / "trees.txt").write_text(self.trees)
        (folder / "model.json").write_text(json.dumps(saved))

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.trees)

    @cached_property
    def _quick(self) -> QuickTrees:
        """For the candidates of one request; the same numbers, bit for bit."""
        return QuickTrees(self._booster)

    def _predict(self, columns: Floats) -> Floats:
        found: Floats = self._booster.predict(columns, num_threads=lightgbm_threads(), raw_score=True)
        return found


def parameters(config: Config) -> dict[str, Any]:
    """Of LightGBM, as every tree of this case is grown: the same bytes for the same rows."""
    return {
        "objective": "binary",
        "boost_from_average": False,  # trees begin from an init score
        "num_leaves": config.num_leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_leaf,
        "min_sum_hessian_in_leaf": config.min_hessian,
        "min_data_per_group": config.min_group,
        "lambda_l2": config.l2_leaves,
        "feature_fraction": 0.7,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
    }


def columns_seen(inputs: Inputs, config: Config) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which numbers trees see, and which codes: those of few values."""
    unseen = tuple(config.unseen.split())
    numbers = tuple(at for at, name in enumerate(inputs.number_names) if not name.startswith(unseen))
    return numbers, tuple(at for at, size in enumerate(inputs.sizes) if size <= config.most_values)


def matrix(inputs: Inputs, seen: Sequence[int], few: Sequence[int]) -> Floats:
    """[n, seen + few] the columns of numbers, then those of codes."""
    return np.hstack([inputs.numbers[:, list(seen)], inputs.codes[:, list(few)].astype(np.float64)])


def _start(inputs: Inputs, label: Floats, kept: Ints) -> tuple[float, ...]:
    """The log-odds of a click in each slot: who is not looked at is not clicked, whatever the ad. Left to the trees, it is learned last and
    shrunk. Without slots, one number for all."""
    slots, clicked = _slots(inputs)[kept], label[kept]
    rate = (np.bincount(slots, clicked) + 1e-3) / (np.bincount(slots) + 2e-3)
    return tuple(np.log(rate / (1 - rate)).tolist())


def _logits(inputs: Inputs, start: tuple[float, ...]) -> Floats:
    """[n]; a slot training never saw counts as the last."""
    logits: Floats = np.array(start)[np.minimum(_slots(inputs), len(start) - 1)]
    return logits


def _slots(inputs: Inputs) -> Ints:
    if "slot" not in inputs.number_names:
        return np.zeros(len(inputs), dtype=np.int64)
    slots: Ints = np.nan_to_num(inputs.numbers[:, inputs.number_names.index("slot")], nan=0.0).astype(np.int64)
    return np.maximum(slots, 0)


def _thin(label: Floats, config: Config) -> Ints:
    """Row indices: every positive, and each negative with probability negative_rate."""
    if config.negative_rate >= 1:
        return np.arange(len(label))
    rng = np.random.default_rng([config.seed, 2])
    return np.flatnonzero((label == 1) | (rng.random(len(label)) < config.negative_rate))
