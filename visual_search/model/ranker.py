"""One score out of likeness, colours, words and clicks: five numbers, weighed. Each weight is learnt where it can be seen.

How photos and images are alike: from judged pairs, against images drawn by lot. An incumbent's pages hold only what its colours liked, so on them colours
seem to say nothing, and so does whatever is like it. What words and earlier clicks say: from clicks on those pages, with the place and the likeness held still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Floats
from visual_search.features import NAMES

LIKE = ("alike", "histogram")  # alike: of the photo's vector and the image's; named: of the words' and the image's
SAID = ("named", "words", "rate")
READ = (*LIKE, *SAID)
PENALTY = 0.1
STEPS = 12


@dataclass(frozen=True)
class Linear:
    """sigmoid(weights . values + intercept): orders, and is no rate of anything."""

    weights: Mapping[str, float]
    intercept: float = 0.0

    def score(self, values: Floats) -> Floats:
        """[n, len(READ)] -> [n]."""
        odds = values @ np.array([self.weights[name] for name in READ]) + self.intercept
        score: Floats = 1 / (1 + np.exp(-odds))
        return score


PLAIN = Linear({name: 5.0 * (name in ("alike", "named")) for name in READ}, -2.5)
"""By likeness alone: where nobody clicked and nobody judged."""


def columns(alike: Floats, named: Floats, dense: Floats) -> Floats:
    """[n], [n], [n, len(NAMES)] of the features -> [n, len(READ)]."""
    found = {"alike": alike, "named": named} | dict(zip(NAMES, dense.T, strict=True))
    return np.column_stack([found[name] for name in READ])


def fit(pairs: Floats, is_like: Floats, shown: Floats, slot: Floats, label: Floats) -> Linear:
    """pairs [n, len(READ)], is_like [n] 0 or 1; shown [m, len(READ)], slot [m], label [m] 0 or 1. What was not seen to speak for an image does not speak
    against it: no weight is below 0."""
    weights, intercept = dict(PLAIN.weights), PLAIN.intercept
    if 0 < is_like.sum() < len(is_like):
        like = logistic(np.column_stack([pairs[:, : len(LIKE)], np.ones(len(pairs))]), is_like)
        weights |= dict(zip(LIKE, np.maximum(like, 0).tolist(), strict=False))
        intercept = float(like[-1])
    if 0 < label.sum() < len(label):
        held = np.column_stack([np.log1p(slot), shown[:, : len(LIKE)], np.ones(len(shown))])
        said = logistic(np.column_stack([shown[:, len(LIKE) :], held]), label)
        weights |= dict(zip(SAID, np.maximum(said, 0).tolist(), strict=False))
    return Linear(weights, intercept)


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
