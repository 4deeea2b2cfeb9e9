"""Gradient-boosted trees, then a calibration: an auction multiplies the probability by money, so it has to be one.

In:     training and validation rows and their features.
Out:    a Scorer of calibrated click probabilities.
Choice: LightGBM: crosses found by splits, missing values and counts as they are; two numbers (Platt) correct the logit.
Else:   DeepFM or DCN-V2, where ids carry what no statistic does and a GPU is there anyway; isotonic, with ten times the clicks.
Breaks: early stopping on too few clicks, negatives thinned out without correction: calibration_ratio in evaluate and monitor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.features import Features, Inputs
from ad_click.schema import Dataset
from common.contract import Floats, Ints
from common.eval.calibration import Isotonic, Platt, Temperature, from_json, undo_downsampling
from common.training.seeding import lightgbm_threads, serving_threads


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    """Trees until validation log loss has not improved for 30 of them, then Platt's two numbers on the same validation rows."""
    import lightgbm

    inputs, label = features.inputs(dataset.train, dataset.history), dataset.train.label
    held_out = features.inputs(dataset.valid, dataset.history)
    kept = _thin(label, config)
    few = [column for column, size in enumerate(inputs.sizes) if size <= config.most_values]
    unseen = tuple(config.unseen.split())
    seen = [column for column, name in enumerate(inputs.number_names) if not name.startswith(unseen)]
    parameters = _parameters(config)
    crossed = [len(seen) + place for place in range(len(few))]
    train = lightgbm.Dataset(
        _matrix(inputs, seen, few)[kept], label[kept], categorical_feature=crossed, params=parameters
    )
    valid = lightgbm.Dataset(_matrix(held_out, seen, few), dataset.valid.label, reference=train, params=parameters)
    stop = lightgbm.early_stopping(30, verbose=False)
    booster = lightgbm.train(parameters, train, config.num_trees, valid_sets=[valid], callbacks=[stop])
    trees = booster.model_to_string(num_iteration=booster.best_iteration)
    raw = Model(trees, tuple(seen), tuple(few), config.negative_rate, None)
    if not config.calibrate:
        return raw
    return replace(raw, calibration=Platt.fit(dataset.valid.label, raw.score(held_out)))


def load(folder: Path) -> Model:
    """The registry has checked the files' sha256 by now: LightGBM's text reader trusts what it is given."""
    saved = json.loads((folder / "model.json").read_text())
    calibration = from_json(saved["calibration"]) if saved["calibration"] else None
    columns = tuple(saved["seen"]), tuple(saved["few"])
    return Model((folder / "trees.txt").read_text(), *columns, saved["negative_rate"], calibration)


@dataclass(frozen=True, eq=False)
class Model:
    """trees: LightGBM's text; seen, few: the columns of numbers and of codes it uses."""

    trees: str
    seen: tuple[int, ...]
    few: tuple[int, ...]
    negative_rate: float
    calibration: Platt | Temperature | Isotonic | None

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        threads = lightgbm_threads() if len(inputs) > 5_000 else serving_threads()
        matrix = _matrix(inputs, list(self.seen), list(self.few))
        raw = np.asarray(self._booster.predict(matrix, num_threads=threads), dtype=np.float64)
        raw = undo_downsampling(raw, self.negative_rate)
        return raw if self.calibration is None else self.calibration.apply(raw)

    def save(self, folder: Path) -> None:
        calibration = None if self.calibration is None else self.calibration.as_json()
        saved = {"seen": self.seen, "few": self.few, "negative_rate": self.negative_rate, "calibration": calibration}
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
        "min_sum_hessian_in_leaf": config.min_hessian,
        "min_data_per_group": config.min_group,
        "lambda_l2": config.l2_leaves,
        "max_cat_threshold": 64,
        "cat_smooth": 20.0,
        "feature_fraction": 0.7,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
    }


def _matrix(inputs: Inputs, seen: list[int], few: list[int]) -> Floats:
    return np.hstack([inputs.numbers[:, seen], inputs.codes[:, few].astype(np.float64)])


def _thin(label: Floats, config: Config) -> Ints:
    """Row indices: every positive, and each negative with probability negative_rate."""
    if config.negative_rate >= 1:
        return np.arange(len(label))
    rng = np.random.default_rng([config.seed, 2])
    return np.flatnonzero((label == 1) | (rng.random(len(label)) < config.negative_rate))
