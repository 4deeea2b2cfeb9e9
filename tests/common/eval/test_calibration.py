"""Planted miscalibration is measured and repaired; a perfect model is left alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.contract import Floats
from common.errors import InputError
from common.eval import calibration


def _world(seed: int = 0, n: int = 40_000) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 10, n)
    return (rng.random(n) < truth).astype(float), truth


def test_three_views_of_one_calibration() -> None:
    """Predictions half too high: the ratio says by how much overall, ECE how far on average, the reliability table where."""
    labels, truth = _world()
    inflated = 1.5 * truth
    assert calibration.calibration_ratio(labels, truth) == pytest.approx(1, abs=0.02)
    assert calibration.calibration_ratio(labels, inflated) == pytest.approx(1.5, abs=0.03)
    assert calibration.ece(labels, truth) < 0.01
    assert calibration.ece(labels, inflated) == pytest.approx(0.5 * truth.mean(), abs=0.01)
    table = calibration.reliability(labels, inflated)
    assert len(table) == 10 and sum(row["rows"] for row in table) == len(labels)
    assert all(row["predicted"] / row["observed"] == pytest.approx(1.5, abs=0.15) for row in table)


def test_the_ratio_cannot_see_errors_that_cancel_and_ece_cannot_see_a_useless_model() -> None:
    labels, truth = _world()
    squeezed = truth.mean() + 0.3 * (truth - truth.mean())
    assert calibration.calibration_ratio(labels, squeezed) == pytest.approx(1, abs=0.02)
    assert calibration.ece(labels, squeezed) > 0.05
    assert calibration.ece(labels, np.full(len(labels), labels.mean())) < 1e-9


def test_rows_of_equal_prediction_share_a_bin() -> None:
    labels, predictions = np.array([1.0, 0, 1, 0, 1, 0]), np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert calibration.reliability(labels, predictions, bins=3) == [{"rows": 6, "predicted": 0.5, "observed": 0.5}]


@pytest.mark.parametrize("seed", range(5))
def test_platt_finds_the_planted_line_and_agrees_with_the_library(seed: int) -> None:
    from sklearn.linear_model import LogisticRegression

    labels, truth = _world(seed)
    logits = np.log(truth / (1 - truth))
    distorted = 1 / (1 + np.exp(-(2 * logits + 1)))  # so logit(truth) = 0.5 * logit(distorted) - 0.5
    found = calibration.Platt.fit(labels, distorted)
    assert (found.slope, found.offset) == pytest.approx((0.5, -0.5), abs=0.06)
    theirs = LogisticRegression(C=1e10, tol=1e-10, max_iter=1_000).fit(
        np.clip(2 * logits + 1, -16.1, 16.1)[:, None], labels
    )
    assert (found.slope, found.offset) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=1e-4)
    assert calibration.ece(labels, found.apply(distorted)) < 0.3 * calibration.ece(labels, distorted)


def test_isotonic_bends_where_platt_cannot() -> None:
    labels, truth = _world()
    bent = np.where(truth < 0.15, truth / 3, truth)
    isotonic, platt = calibration.Isotonic.fit(labels, bent), calibration.Platt.fit(labels, bent)
    assert calibration.ece(labels, isotonic.apply(bent)) < 0.5 * calibration.ece(labels, platt.apply(bent))
    assert (np.diff(isotonic.apply(np.linspace(0, 1, 100))) >= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_isotonic_is_the_library_s_curve(seed: int) -> None:
    from sklearn.isotonic import IsotonicRegression

    labels, truth = _world(seed, n=5_000)
    asked = np.concatenate([truth, [0.0, 1.0], np.linspace(0, 1, 500)])
    theirs = IsotonicRegression(y_min=1e-7, y_max=1 - 1e-7, out_of_bounds="clip").fit(truth, labels).predict(asked)
    assert calibration.Isotonic.fit(labels, truth).apply(asked) == pytest.approx(theirs, abs=1e-9)
    assert calibration.Platt.fit(labels, truth).apply(asked) != pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_temperature_finds_the_planted_one_and_agrees_with_a_plain_search(seed: int) -> None:
    from scipy.optimize import minimize_scalar

    labels, truth = _world(seed)
    logits = np.log(truth / (1 - truth))
    distorted = 1 / (1 + np.exp(-2.5 * logits))
    found = calibration.Temperature.fit(labels, distorted)
    assert found.temperature == pytest.approx(2.5, rel=0.03)
    clipped = np.clip(2.5 * logits, -16.1, 16.1)
    theirs = minimize_scalar(
        lambda log_t: np.logaddexp(0, np.where(labels == 1, -1, 1) * clipped / np.exp(log_t)).sum(), bounds=(-3, 3)
    )
    assert found.temperature == pytest.approx(np.exp(theirs.x), rel=1e-4)
    assert calibration.ece(labels, found.apply(distorted)) < 0.3 * calibration.ece(labels, distorted)


def test_a_temperature_cannot_repair_doubled_odds() -> None:
    """Predictions whose odds are doubled: Platt's offset takes it back, one temperature cannot."""
    labels, truth = _world()
    doubled = 2 * truth / (1 + truth)
    platt, temperature = calibration.Platt.fit(labels, doubled), calibration.Temperature.fit(labels, doubled)
    assert calibration.ece(labels, platt.apply(doubled)) < 0.01 < calibration.ece(labels, temperature.apply(doubled))
    with pytest.raises(InputError, match="the wrong way round"):
        calibration.Temperature.fit(1 - labels, truth)


def test_the_sum_that_undoes_thinned_negatives() -> None:
    """ADS-51: .10 of a model that saw one negative in a hundred means .0011099; taken as it is, 90.10 times too much."""
    found = calibration.undo_downsampling(np.array([0.10]), 0.01)[0]
    assert found == pytest.approx(0.0011099, abs=5e-8) and 0.10 / found == pytest.approx(90.10, abs=0.005)
    grid = np.linspace(0, 1, 101)
    assert calibration.undo_downsampling(grid[1:], 0.3) == pytest.approx(grid[1:] / (grid[1:] + (1 - grid[1:]) / 0.3))
    assert (calibration.undo_downsampling(grid, 1.0) == grid).all() and (
        np.diff(calibration.undo_downsampling(grid, 0.01)) > 0
    ).all()
    labels, truth = _world()  # a planted thinning is undone: odds times 1 / w, as Bayes says
    rng = np.random.default_rng(1)
    kept = (labels == 1) | (rng.random(len(labels)) < 0.05)
    inflated = truth / (truth + (1 - truth) * 0.05)
    assert calibration.calibration_ratio(labels[kept], inflated[kept]) == pytest.approx(1, abs=0.02)
    assert calibration.calibration_ratio(labels, inflated) > 4
    assert calibration.calibration_ratio(labels, calibration.undo_downsampling(inflated, 0.05)) == pytest.approx(
        1, abs=0.02
    )


@pytest.mark.parametrize("kind", [calibration.Platt, calibration.Isotonic, calibration.Temperature])
def test_a_map_survives_json_bit_for_bit(
    kind: type[calibration.Platt] | type[calibration.Isotonic] | type[calibration.Temperature],
) -> None:
    labels, truth = _world(n=2_000)
    fitted = kind.fit(labels, truth)
    again = calibration.from_json(json.loads(json.dumps(fitted.as_json())))
    assert again == fitted and (again.apply(truth) == fitted.apply(truth)).all()


def test_extreme_and_equal_predictions_do_not_break_platt() -> None:
    labels = np.array([0.0, 1, 0, 1, 1, 0, 0, 0])
    flat = calibration.Platt.fit(labels, np.full(8, 0.9))
    assert flat.apply(np.array([0.9]))[0] == pytest.approx(3 / 8, abs=1e-6)
    hard = calibration.Platt.fit(labels, np.array([0.0, 1, 0, 1, 0, 1, 0, 1]))
    assert np.isfinite(hard.apply(np.array([0.0, 0.5, 1.0]))).all()
    with pytest.raises(InputError, match="All 3 labels are 0"):
        calibration.Platt.fit(np.zeros(3), np.full(3, 0.5))


def test_a_shrunk_platt_leaves_alone_what_only_noise_speaks_against_and_mends_what_is_plainly_wrong() -> None:
    """Of true probabilities a full fit makes something worse in nearly every draw; of a factor of three it keeps all."""
    moved, full = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = 1 / (1 + np.exp(-rng.normal(-3.5, 0.8, 20_000)))
        labels = (rng.random(len(truth)) < truth).astype(float)
        moved.append(abs(np.log(calibration.Platt.shrunk(labels, truth).apply(truth).sum() / truth.sum())))
        full.append(abs(np.log(calibration.Platt.fit(labels, truth).apply(truth).sum() / truth.sum())))
        wrong = np.minimum(3 * truth, 0.99)
        mended = calibration.Platt.shrunk(labels, wrong).apply(wrong).sum() / truth.sum()
        assert abs(mended - calibration.Platt.fit(labels, wrong).apply(wrong).sum() / truth.sum()) < 0.02
    assert np.mean(np.square(moved)) < np.mean(np.square(full)) / 2
    assert np.median(moved) < 1e-9, "in more than half of the draws nothing is moved"


def test_a_shrunk_platt_lies_between_the_identity_and_the_fit() -> None:
    rng = np.random.default_rng(3)
    truth = 1 / (1 + np.exp(-rng.normal(-3.5, 0.8, 20_000)))
    labels = (rng.random(len(truth)) < truth).astype(float)
    told = 1.1 * truth
    full, shrunk = calibration.Platt.fit(labels, told), calibration.Platt.shrunk(labels, told)
    share = (shrunk.slope - 1) / (full.slope - 1)
    assert 0 < share < 1
    assert shrunk.offset / full.offset == pytest.approx(share)
