"""Do the probabilities mean what they say? Errors of calibration, the reliability table, four maps that repair it, and the sum that undoes
thinned negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Floats, Table
from common.errors import InputError
from common.eval.classification import CLIP, by_score


def ece(labels: Floats, predictions: Floats, weights: Floats | None = None, bins: int = 15) -> float:
    """Expected calibration error: mean of |predicted - observed rate| over bins of equal mass, weighted by mass.

    Bins of equal width would put nearly every click probability into the first one. Two warnings: the value depends on the number of bins
    and is above 0 for a perfect model (noise has no negative distance); a constant click rate has an ECE near 0 and is useless.
    """
    mass, predicted, observed = _bins(labels, predictions, weights, bins)
    return float((np.abs(predicted - observed) * mass).sum() / mass.sum())


def calibration_ratio(labels: Floats, predictions: Floats, weights: Floats | None = None) -> float:
    """Sum of predictions over sum of labels; 1.1 charges advertisers for a tenth more clicks than come. NaN without a positive."""
    weights = np.ones(len(labels)) if weights is None else weights
    clicks = float(weights @ labels)
    return float(weights @ predictions) / clicks if clicks else float("nan")


def reliability(labels: Floats, predictions: Floats, bins: int = 10) -> Table:
    """The reliability diagram as a table: one row a bin of equal mass, from the lowest predictions to the highest."""
    mass, predicted, observed = _bins(labels, predictions, None, bins)
    rows = zip(mass, predicted, observed, strict=True)
    return [{"rows": int(m), "predicted": float(p), "observed": float(o)} for m, p, o in rows]


def _bins(labels: Floats, predictions: Floats, weights: Floats | None, bins: int) -> tuple[Floats, Floats, Floats]:
    """-> (mass, mean prediction, mean label) of each bin that is not empty. Rows of equal prediction share a bin."""
    scores, positives, negatives = by_score(labels, predictions, weights)
    mass = positives + negatives
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    place = np.minimum((middle * bins).astype(int), bins - 1)
    total, predicted, observed = (
        np.bincount(place, weights=part, minlength=bins).astype(float) for part in (mass, mass * scores, positives)
    )
    kept = total > 0
    return total[kept], predicted[kept] / total[kept], observed[kept] / total[kept]


def undo_downsampling(predictions: Floats, kept: float) -> Floats:
    """q = p / (p + (1 - p) / w) for a model that saw every positive and the share `kept` = w of the negatives (He et al. 2014, section 6.3).

    Thinning multiplies the odds by 1 / w and changes nothing else, so the order stays. w = 1 gives every prediction back bit for bit.
    """
    return predictions * kept / (1 - predictions * (1 - kept))


@dataclass(frozen=True, kw_only=True)
class Platt:
    """q = sigmoid(slope * logit(p) + offset). Two numbers, so a few thousand labels fit it; it cannot bend the middle of the curve."""

    slope: float
    offset: float

    @classmethod
    def fit(cls, labels: Floats, predictions: Floats) -> Platt:
        """Maximum likelihood by Newton's method; labels 0/1 [n], predictions probabilities [n] (Platt 1999, without his smoothing)."""
        _need_both(labels)
        logits = _logit(predictions)
        centre = logits.mean()  # centred, so that equal predictions leave the slope alone
        design = np.stack([logits - centre, np.ones(len(labels))], axis=1)
        theta, _ = _newton(design, labels, np.zeros(len(labels)), np.array([0.0, _logit(labels.mean())]))
        return cls(slope=float(theta[0]), offset=float(theta[1] - theta[0] * centre))

    def apply(self, predictions: Floats) -> Floats:
        return _sigmoid(self.slope * _logit(predictions) + self.offset)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "platt", "slope": self.slope, "offset": self.offset}


@dataclass(frozen=True, kw_only=True)
class Level:
    """q = sigmoid(logit(p) + offset): one number, the level (calibration in the large). It tilts nothing, so what the scores say of one slot
    or device against another stays as it is."""

    offset: float

    @classmethod
    def fit(cls, labels: Floats, predictions: Floats) -> Level:
        """Maximum likelihood, of which the share 1 - z^2 / t^2 is kept, t the estimate over its standard error, z = 1.96, and nothing where
        |t| < z (the non-negative garrote: Breiman 1995). So the noise of few clicks stays out, and what is plainly wrong is mended whole."""
        _need_both(labels)
        theta, curvature = _newton(np.ones((len(labels), 1)), labels, _logit(predictions), np.zeros(1))
        sureness = float(theta[0] ** 2 * curvature[0, 0])
        return cls(offset=float(theta[0]) * max(0.0, 1 - 1.96**2 / max(sureness, 1e-12)))

    def apply(self, predictions: Floats) -> Floats:
        return _sigmoid(_logit(predictions) + self.offset)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "level", "offset": self.offset}


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """q = sigmoid(logit(p) / temperature). One number: how sure to be (Guo et al. 2017). Around one half it spreads or squeezes; where clicks
    are rare every logit lies far below 0, so it moves the level too, and the spread with it."""

    temperature: float

    @classmethod
    def fit(cls, labels: Floats, predictions: Floats) -> Temperature:
        """Maximum likelihood: the slope of the likelihood falls with 1 / temperature, so its zero is halved in on (to between 1 / 64 and
        any height; Newton's step overshoots here). Predictions that are the wrong way round would need one below 0 and are refused."""
        _need_both(labels)
        logits = _logit(predictions)
        low, high = 0.0, 64.0
        for _ in range(60):
            middle = (low + high) / 2
            rising = logits @ (labels - _sigmoid(middle * logits)) > 0
            low, high = (middle, high) if rising else (low, middle)
        if low == 0.0:
            raise InputError(
                "No temperature makes these predictions likelier: they say nothing, or are the wrong way round. Look at the labels."
            )
        return cls(temperature=1 / low)

    def apply(self, predictions: Floats) -> Floats:
        return _sigmoid(_logit(predictions) / self.temperature)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "temperature", "temperature": self.temperature}


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """A rising step curve through `x` -> `y`, straight between the points, flat outside. Bends anywhere; wants tens of thousands of labels."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def fit(cls, labels: Floats, predictions: Floats) -> Isotonic:
        from sklearn.isotonic import IsotonicRegression

        _need_both(labels)
        curve = IsotonicRegression(y_min=CLIP, y_max=1 - CLIP, out_of_bounds="clip").fit(predictions, labels)
        return cls(x=tuple(map(float, curve.X_thresholds_)), y=tuple(map(float, curve.y_thresholds_)))

    def apply(self, predictions: Floats) -> Floats:
        return np.interp(predictions, self.x, self.y)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "isotonic", "x": list(self.x), "y": list(self.y)}


Calibration = Platt | Level | Temperature | Isotonic


def from_json(found: Mapping[str, Any]) -> Calibration:
    """The map that `as_json` described."""
    if found["kind"] == "platt":
        return Platt(slope=float(found["slope"]), offset=float(found["offset"]))
    if found["kind"] == "level":
        return Level(offset=float(found["offset"]))
    if found["kind"] == "temperature":
        return Temperature(temperature=float(found["temperature"]))
    assert found["kind"] == "isotonic", found["kind"]
    return Isotonic(x=tuple(found["x"]), y=tuple(found["y"]))


def _newton(design: Floats, labels: Floats, offset: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """design [n, k], offset [n] logits -> the k numbers of maximum likelihood, and the curvature [k, k] there."""
    for _ in range(50):
        expected = _sigmoid(offset + design @ theta)
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design + 1e-9 * np.eye(len(theta))
        step = np.linalg.solve(curvature, design.T @ (labels - expected))
        taken = np.clip(step, -2, 2)  # separable labels have no maximum: walk there, do not jump
        loss = _loss(design, labels, offset, theta)
        while _loss(design, labels, offset, theta + taken) > loss * (1 + 1e-9) and np.abs(taken).max() > 1e-9:
            taken = (
                taken / 2
            )  # where labels are rare and logits far apart a whole step overshoots, and the next one comes back, for ever
        theta = theta + taken
        if np.abs(step).max() < 1e-9:
            break
    return theta, curvature


def _loss(design: Floats, labels: Floats, offset: Floats, theta: Floats) -> float:
    logits = offset + design @ theta
    return float((np.logaddexp(0, logits) - labels * logits).sum())


def _need_both(labels: Floats) -> None:
    if not 0 < labels.mean() < 1:
        raise InputError(
            f"All {len(labels)} labels are {labels[0]:g}: a calibration needs both 0 and 1. Validate on more rows."
        )


def _logit(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    logits: Floats = np.log(clipped) - np.log1p(-clipped)
    return logits


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
