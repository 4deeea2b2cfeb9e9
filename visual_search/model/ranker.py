"""One score out of likeness, colours, words and clicks: a logistic regression of a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Floats
from visual_search.features import NAMES

READ = ("similarity", *NAMES[: NAMES.index("rate") + 1])
"""What it reads, in order; `shown` is for those who ask why."""

PENALTY = 0.1
STEPS = 12


@dataclass(frozen=True)
class Linear:
    """P(an image is taken for what was meant) = sigmoid(weights . values + intercept): `score` orders, and is not a rate of clicks."""

    weights: Mapping[str, float]
    intercept: float = 0.0

    def score(self, similarity: Floats, dense: Floats) -> Floats:
        """[n], [n, len(NAMES)] -> [n]."""
        weights = np.array([self.weights[name] for name in READ])
        odds = columns(similarity, dense) @ weights + self.intercept
        score: Floats = 1 / (1 + np.exp(-odds))
        return score


PLAIN = Linear({name: 5.0 * (name == "similarity") for name in READ}, -2.5)
"""By likeness alone: where nobody clicked and nobody judged."""


def columns(similarity: Floats, dense: Floats) -> Floats:
    return np.column_stack([similarity, dense[:, : len(READ) - 1]])


def fit(similarity: Floats, dense: Floats, slot: Floats, label: Floats) -> Linear:
    """[n], [n, len(NAMES)], [n], [n] 0..1. The place is held still: it is why a click was made as well, and tells nothing of the image. A grade between
    0 and 1 counts as so much of a yes and the rest of a no."""
    if not 0 < label.sum() < len(label):
        return PLAIN
    values = np.column_stack([columns(similarity, dense), np.log1p(slot), np.ones(len(label))])
    weights = logistic(values, label)
    if weights[0] <= 0:
        return PLAIN
    return Linear(dict(zip(READ, weights[: len(READ)].tolist(), strict=True)), float(weights[-1]))


def logistic(values: Floats, label: Floats) -> Floats:
    """values [n, d], the last column ones -> weights [d] that minimise log loss and PENALTY / 2 of the others' squares (Newton's method; Hastie, Tibshirani,
    Friedman 2009, The Elements of Statistical Learning, 4.4.1)."""
    penalty = np.diag(np.append(np.full(values.shape[1] - 1, PENALTY), 0.0))
    weights = np.zeros(values.shape[1])
    rate = np.clip(label.mean(), 1e-6, 1 - 1e-6)
    weights[-1] = np.log(rate / (1 - rate))
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-values @ weights))
        slope = values.T @ (expected - label) + penalty @ weights
        curve = (values * (expected * (1 - expected))[:, None]).T @ values + penalty
        weights = weights - np.linalg.solve(curve, slope)
    return weights
