"""Scores to probabilities, from the few posts that were labelled by hand: one curve for all policies, then one level for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Floats
from common.eval.calibration import Level, Platt, from_json

FEWEST = 20
"""Violations labelled by hand, over all policies, from which a curve is fitted at all."""


@dataclass(frozen=True)
class Calibration:
    """`curve`: slope and level, shared, as the same training distorts every head alike; None where labels are too few or where it would turn the
    order around. `offsets`: a policy's own level on top (0 where its labels do not show that it needs one: calibration.Level)."""

    curve: Platt | None
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, scores: Floats, labels: Floats) -> Calibration:
        """scores, labels [n, num_policies], labels NaN where nobody looked."""
        known = np.isfinite(labels)
        curve = None
        if known.any() and labels[known].sum() >= FEWEST and (labels[known] == 0).any():
            found = Platt.fit(labels[known], scores[known])
            curve = found if found.slope > 0 else None
        bent = scores if curve is None else curve.apply(scores)
        return cls(curve, tuple(_offset(column, label) for column, label in zip(bent.T, labels.T, strict=True)))

    def apply(self, scores: Floats) -> Floats:
        """scores [n, num_policies] -> probabilities; NaN stays NaN."""
        bent = scores if self.curve is None else self.curve.apply(scores)
        odds = bent * np.exp(self.offsets)
        probability: Floats = odds / (odds + (1 - bent))
        return probability

    def as_json(self) -> dict[str, Any]:
        return {"curve": self.curve and self.curve.as_json(), "offsets": self.offsets}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Calibration:
        curve = found["curve"] and from_json(found["curve"])
        assert curve is None or isinstance(curve, Platt)
        return cls(curve, tuple(found["offsets"]))


def _offset(scores: Floats, label: Floats) -> float:
    known = np.isfinite(label)
    both = known.any() and 0 < label[known].mean() < 1
    return Level.fit(label[known], scores[known]).offset if both else 0.0
