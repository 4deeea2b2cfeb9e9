"""scikit-learn is the oracle; worked examples show what each metric sees and what it does not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from common.contract import Floats
from common.errors import InputError
from common.eval import calibration, classification


def _random(seed: int) -> tuple[Floats, Floats, Floats]:
    """Labels, predictions with many ties, weights with zeros."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 400))
    predictions = rng.random(n) if seed % 2 else rng.integers(0, 6, n) / 5
    labels = (rng.random(n) < 0.2 + 0.6 * predictions).astype(float)
    labels[:2] = 0, 1
    weights = rng.integers(0, 4, n).astype(float)
    weights[:2] = 1
    return labels, predictions, weights


@pytest.mark.parametrize("seed", range(15))
def test_agrees_with_the_library(seed: int) -> None:
    labels, predictions, weights = _random(seed)
    clipped = np.clip(predictions, classification.CLIP, 1 - classification.CLIP)
    for ours, theirs in (
        (classification.auc, oracle.roc_auc_score),
        (classification.pr_auc, oracle.average_precision_score),
    ):
        assert ours(labels, predictions) == pytest.approx(theirs(labels, predictions))
        assert ours(labels, predictions, weights) == pytest.approx(theirs(labels, predictions, sample_weight=weights))
    for given in (None, weights):
        expected = oracle.log_loss(labels, clipped, sample_weight=given)
        assert classification.log_loss(labels, predictions, given) == pytest.approx(expected)
        rate = np.full(len(labels), np.average(labels, weights=given))
        background = oracle.log_loss(labels, rate, sample_weight=given)
        assert classification.normalized_entropy(labels, predictions, given) == pytest.approx(expected / background)


@pytest.mark.parametrize("seed", range(20))
def test_macro_f1_agrees_with_the_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["hate", "spam", "none", "never predicted", "never true"])
    labels, guesses = names[rng.integers(0, 4, 100)], names[rng.choice([0, 1, 2, 4], 100)]
    weights = rng.integers(1, 4, 100).astype(float)
    for given in (None, weights):
        expected = oracle.f1_score(labels, guesses, average="macro", sample_weight=given, zero_division=0)
        assert classification.macro_f1(labels, guesses, given) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_a_weight_is_a_count(seed: int) -> None:
    labels, predictions, weights = _random(seed)
    times = weights.astype(int)
    for metric in (
        classification.log_loss,
        classification.normalized_entropy,
        classification.auc,
        classification.pr_auc,
        calibration.ece,
        calibration.calibration_ratio,
    ):
        repeated = metric(np.repeat(labels, times), np.repeat(predictions, times))
        assert metric(labels, predictions, weights) == pytest.approx(repeated), metric.__name__


def test_normalized_entropy_of_four_impressions() -> None:
    """One click in four. By hand: (-log .6 - log .9 - log .8 - log .7) / 4 = .29900; of the rate 1/4: .56234; ratio .5317."""
    labels, predictions = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.6, 0.1, 0.2, 0.3])
    assert classification.log_loss(labels, predictions) == pytest.approx(0.29900, abs=5e-6)
    assert classification.normalized_entropy(labels, predictions) == pytest.approx(0.5317, abs=5e-5)
    rate, wrong = np.full(4, 0.25), np.array([0.1, 0.6, 0.2, 0.3])
    assert classification.normalized_entropy(labels, rate) == pytest.approx(1.0)
    assert classification.normalized_entropy(labels, wrong) > 1


def test_auc_and_accuracy_miss_what_log_loss_sees() -> None:
    """Ten times too high is the same order: AUC cannot tell. At a 2 % rate "nobody clicks" is 98 % accurate, and so is everybody."""
    rng = np.random.default_rng(0)
    truth = rng.beta(2, 98, 20_000)
    labels = (rng.random(20_000) < truth).astype(float)
    inflated = np.minimum(10 * truth, 0.99)
    assert classification.auc(labels, truth) == pytest.approx(classification.auc(labels, inflated), abs=1e-3)
    assert classification.log_loss(labels, inflated) > 1.5 * classification.log_loss(labels, truth)
    nobody = np.full(20_000, 1e-3)
    assert ((truth > 0.5) == labels).mean() == ((nobody > 0.5) == labels).mean() > 0.97
    assert classification.log_loss(labels, nobody) > 1.2 * classification.log_loss(labels, truth)


def test_a_certain_mistake_costs_sixteen_nats_and_not_infinity() -> None:
    assert classification.log_loss_units(np.array([1.0]), np.array([0.0]))[0] == pytest.approx(16.118, abs=1e-3)


def test_undefined_is_nan_and_bad_input_is_refused() -> None:
    ones, half = np.ones(3), np.full(3, 0.5)
    assert np.isnan(classification.auc(ones, half)) and np.isnan(classification.normalized_entropy(ones, half))
    assert np.isnan(classification.pr_auc(0 * ones, half)) and np.isnan(calibration.calibration_ratio(0 * ones, half))
    with pytest.raises(InputError, match="row 0 is nan, 0 or 1 was expected"):
        classification.auc(np.array([np.nan, 1]), np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="prediction of row 1 is inf"):
        classification.log_loss(np.array([0.0, 1]), np.array([0.5, np.inf]))
    with pytest.raises(InputError, match="no row to judge"):
        classification.pr_auc(np.empty(0), np.empty(0))
