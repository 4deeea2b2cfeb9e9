"""Metrics of scores against 0/1 labels, and macro F1 of classes. Arrays are [n]; `weights` [n] count a row more than once or not at all.

One readable implementation each; scikit-learn is the oracle in tests/common/eval/test_classification.py. NaN means undefined: a class has
no weight (the bootstrap expects that). Bad input (a label that is neither 0 nor 1, a score that is not finite) is an InputError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats
from common.errors import InputError

CLIP = 1e-7
"""Probabilities are clipped to [CLIP, 1 - CLIP]: one certain mistake costs 16 nats, not infinity. float32 cannot tell 1 - 1e-8 from 1."""


def log_loss_units(labels: Floats, predictions: Floats) -> Floats:
    """-log of the probability given to what happened, in nats [n]; its mean is `log_loss`, so these are Report.units."""
    _refuse(labels, predictions)
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    return -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))


def expected_log_loss_units(chances: Floats, predictions: Floats) -> Floats:
    """[n] the mean of `log_loss_units` over labels drawn with these chances of being 1: what planted probabilities say about predictions, the
    noise of the labels taken out."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    return -(chances * np.log(clipped) + (1 - chances) * np.log1p(-clipped))


def log_loss(labels: Floats, predictions: Floats, weights: Floats | None = None) -> float:
    """Mean cross-entropy in nats."""
    return float(np.average(log_loss_units(labels, predictions), weights=weights))


def normalized_entropy(labels: Floats, predictions: Floats, weights: Floats | None = None) -> float:
    """log_loss over that of always predicting the mean label (He et al., Practical lessons from predicting clicks on ads, 2014)."""
    background = np.full(len(labels), np.average(labels, weights=weights))
    if not 0 < background[0] < 1:
        return float("nan")
    return log_loss(labels, predictions, weights) / log_loss(labels, background, weights)


def auc(labels: Floats, predictions: Floats, weights: Floats | None = None) -> float:
    """Chance that a random positive scores above a random negative, ties one half (Mann-Whitney U with midranks)."""
    _, positives, negatives = by_score(labels, predictions, weights)
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")


def pr_auc(labels: Floats, predictions: Floats, weights: Floats | None = None) -> float:
    """Average precision: the sum over distinct scores, from the top, of precision there times recall gained there; no interpolation."""
    _, positives, negatives = by_score(labels, predictions, weights)
    found, refused = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    if not found[-1]:
        return float("nan")
    precision = np.divide(found, found + refused, out=np.zeros_like(found), where=found + refused > 0)
    return float((precision * positives[::-1]).sum() / found[-1])


def macro_f1(labels: NDArray[np.generic], predictions: NDArray[np.generic], weights: Floats | None = None) -> float:
    """Unweighted mean over classes of 2 tp / (2 tp + fp + fn). Classes are those in labels or predictions; never found counts 0."""
    assert len(labels) == len(predictions), (labels.shape, predictions.shape)
    weights = np.ones(len(labels)) if weights is None else weights
    classes, index = np.unique(np.concatenate([labels, predictions]), return_inverse=True)
    truth, guess = index[: len(labels)], index[len(labels) :]
    right = np.bincount(truth[truth == guess], weights=weights[truth == guess], minlength=len(classes))
    asked = np.bincount(truth, weights=weights, minlength=len(classes))
    given = np.bincount(guess, weights=weights, minlength=len(classes))
    seen = asked + given > 0
    return float((2 * right[seen] / (asked + given)[seen]).mean())


def by_score(labels: Floats, predictions: Floats, weights: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """-> (distinct scores ascending, weight of the positives at each, weight of the negatives at each): all that a tie rule needs."""
    _refuse(labels, predictions)
    order = np.argsort(predictions, kind="stable")  # stable: linear on the sorted rows the bootstrap hands over
    scores, labels = predictions[order], labels[order]
    weights = np.ones(len(labels)) if weights is None else weights[order]
    starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
    positives = np.add.reduceat(weights * labels, starts)
    return scores[starts], positives, np.add.reduceat(weights * (1 - labels), starts)


def _refuse(labels: Floats, predictions: Floats) -> None:
    assert labels.shape == predictions.shape and labels.ndim == 1, (labels.shape, predictions.shape)
    if not len(labels):
        raise InputError(
            "There is no row to judge: the metric of nothing is not 0. Look at the split or the slice that came out empty."
        )
    if not np.isfinite(predictions).all():
        row = int(np.flatnonzero(~np.isfinite(predictions))[0])
        raise InputError(
            f"The prediction of row {row} is {predictions[row]}, a finite number was expected. Look for a model that diverged."
        )
    odd = (labels != 0) & (labels != 1)
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise InputError(
            f"The label of row {row} is {labels[row]}, 0 or 1 was expected. Test rows carry no labels: take them from judgments."
        )
