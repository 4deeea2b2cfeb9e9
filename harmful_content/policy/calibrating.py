"""Scores to probabilities, from the few posts that were labelled by hand: one curve for all policies, then one level for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Floats
from common.eval.calibration import Level, Platt, from_json

ENOUGH = 200
"""Violations labelled by hand, over all policies, from which a slope is fitted. With fewer its noise would do more harm than the bend it mends."""


@dataclass(frozen=True)
class Calibration:
    """`curve`: slope and level, shared, as the same training distorts every head alike; the slope is 1 where labels are too few or where it would turn
    the order around, and of the level what its labels are sure of (calibration.Level). `offsets`: a policy's own level on top (0 where its labels do not show that it needs one: calibration.Level)."""

    curve: Platt
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, scores: Floats, labels: Floats) -> Calibration:
        """scores, labels [n, num_policies], labels NaN where nobody looked."""
        curve = _curve(scores.ravel(), labels.ravel())
        bent = curve.apply(scores)
        return cls(curve, tuple(_level(column, label) for column, label in zip(bent.T, labels.T, strict=True)))

    def apply(self, scores: Floats) -> Floats:
        """scores [n, num_policies] -> probabilities; NaN stays NaN."""
        bent = self.curve.apply(scores)
        odds = bent * np.exp(self.offsets)
        probability: Floats = odds / (odds + (1 - bent))
        return probability

    def as_json(self) -> dict[str, Any]:
        return {"curve": self.curve.as_json(), "offsets": self.offsets}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Calibration:
        curve = from_json(found["curve"])
        assert isinstance(curve, Platt), curve
        return cls(curve, tuple(found["offsets"]))


def _curve(scores: Floats, labels: Floats) -> Platt:
    known = np.isfinite(labels)
    if labels[known].sum() >= ENOUGH and (labels[known] == 0).any():
        found = Platt.fit(labels[known], scores[known])
        if found.slope > 0:
            return found
    return Platt(slope=1.0, offset=_level(scores, labels))


def _level(scores: Floats, labels: Floats) -> float:
    known = np.isfinite(labels)
    both = known.any() and 0 < labels[known].mean() < 1
    return Level.fit(labels[known], scores[known]).offset if both else 0.0
