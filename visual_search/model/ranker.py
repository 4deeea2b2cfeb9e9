"""One score out of likeness, colours, words and clicks: a logistic regression of a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Floats
from visual_search.features import NAMES

READ = ("similarity", *NAMES[: NAMES.index("rate") + 1])
"""What it reads, in order; `shown` is for those who ask why."""


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
    from sklearn.linear_model import LogisticRegression

    if not 0 < label.sum() < len(label):
        return PLAIN
    values = np.column_stack([columns(similarity, dense), np.log1p(slot)])
    both = np.concatenate([values, values])
    wanted = np.repeat([1, 0], len(label))
    weight = np.concatenate([label, 1 - label])
    told = weight > 0
    fitted = LogisticRegression(C=10.0, max_iter=200).fit(both[told], wanted[told], weight[told])
    weights = dict(zip(READ, fitted.coef_[0, :-1].tolist(), strict=True))
    return Linear(weights, float(fitted.intercept_[0])) if weights["similarity"] > 0 else PLAIN
