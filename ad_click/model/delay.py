"""A delay model: how likely a click is and how late it comes, learned together from labels that are not all in (Chapelle 2014, "Modeling
delayed feedback in display advertising").

Assumed: the delay of a click is exponential, its hazard h(x) log-linear in a few columns. Then an impression that is not clicked after e
hours is still going to be with probability p exp(-h e) / (1 - p + p exp(-h e)): a row is negative by as much as its wait says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats

Learn = Callable[[Floats], Floats]
"""Labels between 0 and 1 of the training rows -> P(click) of the same rows, by any scorer that is trained on them."""


@dataclass(frozen=True, eq=False)
class Delays:
    """weights [k]: log hazard per hour = design @ weights."""

    weights: Floats

    def hazard(self, design: Floats) -> Floats:
        """[n] clicks an hour among those still to come; its inverse is the mean delay in hours."""
        return np.exp(design @ self.weights)


def fit(learn: Learn, clicked: Bools, waited: Floats, design: Floats, rounds: int = 4) -> tuple[Delays, Floats]:
    """-> the delays, and the labels a scorer is to be trained on: 1 where the click is in, else the chance that it is still to come.

        By expectation and maximisation, from the labels as they are. waited [n]: hours from the impression to its click, or to now. design
    [n, k]: what the hazard may depend on; nothing is added to it, so a column of ones or a full set of classes belongs to it.
    """
    labels = clicked.astype(np.float64)
    delays = Delays(_hazards(clicked, labels * waited, design))
    for _ in range(rounds):
        chance, still = learn(labels), np.exp(-delays.hazard(design) * waited)
        labels = np.where(clicked, 1.0, chance * still / (1 - chance + chance * still))
        delays = Delays(_hazards(clicked, labels * waited, design))
    return delays, labels


def _hazards(clicked: Bools, exposure: Floats, design: Floats) -> Floats:
    """[k] weights of the likeliest hazards: clicks are Poisson with mean hazard x exposure (hours waited, weighted by the chance that there
    was a click to wait for). Newton's method, with a little pull to zero for a column no click names."""
    pull = 1e-3
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        expected = exposure * np.exp(np.clip(design @ weights, -30, 30))
        curvature = (design * expected[:, None]).T @ design + pull * np.eye(len(weights))
        step = np.linalg.solve(curvature, design.T @ (clicked - expected) - pull * weights)
        weights = weights + np.clip(step, -1, 1)  # far from the maximum a full step overshoots
        if np.abs(step).max() < 1e-8:
            break
    return weights
