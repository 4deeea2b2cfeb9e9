"""Gradient-boosted trees, then a calibration: an auction multiplies the probability by money, so it has to be one.

In:     training and validation rows and their features.
Out:    a Scorer of calibrated click probabilities.
Choice: LightGBM: crosses found by splits, missing values and counts as they are, 20 us a row; two numbers (Platt) correct the logit.
Else:   DeepFM or DCN-V2, where ids carry what no statistic does and a GPU is there anyway; isotonic, with ten times the clicks.
Breaks: early stopping on too few clicks, negatives thinned out without correction: calibration_ratio in evaluate and monitor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.features import Features, Inputs
from ad_click.schema import Dataset
from common.contract import Floats, Ints
from common.eval.calibration import Isotonic, Platt, from_json
from common.training.seeding import lightgbm_threads, serving_threads

FEW = 300  # a category with more values than this is left to its statistics


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    """Trees until validation log loss has not improved for 30 of them, then Platt's two numbers on the same validation rows."""
    import lightgbm

    inputs, label = features.inputs(dataset.train, dataset.history), dataset.train.label
    held_out = features.inputs(dataset.valid, dataset.history)
    kept = _thin(label, config)
    few = [column for column, size in enumerate(inputs.sizes) if size <= FEW]
    first = inputs.numbers.shape[1]
    parameters = _parameters(config)
    crossed = [first + place for place in range(len(few))]
    train = lightgbm.Dataset(_matrix(inputs, few)[kept], label[kept], categorical_feature=crossed, params=parameters)
    valid = lightgbm.Dataset(_matrix(held_out, few), dataset.valid.label, reference=train, params=parameters)
    stop = lightgbm.early_stopping(30, verbose=False)
    booster = lightgbm.train(parameters, train, config.num_trees, valid_sets=[valid], callbacks=[stop])
    model = Model(booster.model_to_string(num_iteration=booster.best_iteration), tuple(few), config.negative_rate, None)
    raw = model.score(held_out)
    return Model(
        model.trees, model.few, model.negative_rate, Platt.fit(dataset.valid.label, raw) if config.calibrate else None
    )


def load(folder: Path) -> Model:
    """The registry has checked the files' sha256 by now: LightGBM's text reader trusts what it is given."""
    saved = json.loads((folder / "model.json").read_text())
    calibration = from_json(saved["calibration"]) if saved["calibration"] else None
    return Model((folder / "trees.txt").read_text(), tuple(saved["few"]), saved["negative_rate"], calibration)


@dataclass(frozen=True, eq=False)
class Model:
    """trees: LightGBM's text; few: the code columns it uses."""

    trees: str
    few: tuple[int, ...]
    negative_rate: float
    calibration: Platt | Isotonic | None

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        threads = lightgbm_threads() if len(inputs) > 5_000 else serving_threads()
        raw = np.asarray(self._booster.predict(_matrix(inputs, list(self.few)), num_threads=threads), dtype=np.float64)
        raw = raw * self.negative_rate / (1 - raw * (1 - self.negative_rate))  # He et al. 2014, section 6.3
        return raw if self.calibration is None else self.calibration.apply(raw)

    def save(self, folder: Path) -> None:
        calibration = None if self.calibration is None else self.calibration.as_json()
        saved = {"few": self.few, "negative_rate": self.negative_rate, "calibration": calibration}
        (folder / "trees.txt").write_text(self.trees)
        (folder / "model.json").write_text(json.dumps(saved))

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.trees)


def _parameters(config: Config) -> dict[str, Any]:
    return {
        "objective": "binary",
        "num_leaves": config.num_leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_leaf,
        "min_data_per_group": config.min_leaf,
        "cat_smooth": 20.0,
        "feature_fraction": 0.7,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
    }


def _matrix(inputs: Inputs, few: list[int]) -> Floats:
    return np.hstack([inputs.numbers, inputs.codes[:, few].astype(np.float64)])


def _thin(label: Floats, config: Config) -> Ints:
    """Row indices: every positive, and each negative with probability negative_rate."""
    if config.negative_rate >= 1:
        return np.arange(len(label))
    rng = np.random.default_rng([config.seed, 2])
    return np.flatnonzero((label == 1) | (rng.random(len(label)) < config.negative_rate))
