"""Logistic regression on what is known of the person and of the letter.

In:     inputs of the training rows, and their labels.
Out:    a Scorer: the probability of opening.
Choice: eight Newton steps with a little ridge; the problem is convex and small.
Else:   trees, once the pair of person and letter can be described.
Breaks: weights lost on the way to disk: the check that reloads every part compares scores bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Floats
from tests.toy.scorer.config import Config
from tests.toy.scorer.features import Features
from tests.toy.scorer.schema import Dataset


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    x = _with_one(features.inputs(dataset.train, dataset.history))
    weights = np.zeros(x.shape[1])
    for _ in range(8):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(x.shape[1])
        weights += np.linalg.solve(hessian, x.T @ (dataset.train.label - p) - weights)
    return Model(tuple(weights.tolist()))


def load(folder: Path) -> Model:
    return Model(tuple(json.loads((folder / "model.json").read_text())["weights"]))


@dataclass(frozen=True)
class Model:
    weights: tuple[float, ...]

    def score(self, inputs: Floats) -> Floats:
        x = _with_one(inputs)
        logit = sum(
            x[:, i] * weight for i, weight in enumerate(self.weights)
        )  # not x @ w: one row and many must agree bit for bit
        return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float64)

    def save(self, folder: Path) -> None:
        (folder / "model.json").write_text(json.dumps({"weights": self.weights}))


def _with_one(inputs: Floats) -> Floats:
    return np.column_stack([np.ones(len(inputs)), inputs])
