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


def _rare(seed: int) -> tuple[Floats, Floats]:
    """Labels of chances around two in a hundred, and the chances."""
    rng = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-rng.normal(-4, 0.9, 40_000)))
    return (rng.random(len(truth)) < truth).astype(float), truth


def test_a_level_leaves_alone_what_only_noise_speaks_against() -> None:
    """True probabilities: in most draws nothing is moved, and the error is a fraction of what two numbers make of the same labels."""
    errors: dict[str, list[float]] = {"level": [], "platt": []}
    for seed in range(40):
        labels, truth = _rare(seed)
        maps: dict[str, calibration.Calibration] = {
            "level": calibration.Level.fit(labels, truth),
            "platt": calibration.Platt.fit(labels, truth),
        }
        for name, found in maps.items():
            errors[name].append(float(np.log(found.apply(truth).sum() / truth.sum())))
    assert np.median(np.abs(errors["level"])) < 1e-9
    assert np.std(errors["level"]) < 0.7 * np.std(errors["platt"])


def test_a_level_mends_a_factor_on_all() -> None:
    for seed in range(5):
        labels, truth = _rare(seed)
        wrong = 3 * truth / (1 + 2 * truth)  # three times the odds
        found = calibration.Level.fit(labels, wrong)
        assert found.offset == pytest.approx(-np.log(3), abs=0.1)
        assert found.apply(wrong).sum() / truth.sum() == pytest.approx(1, abs=0.08)
        assert np.array_equal(np.argsort(found.apply(wrong)), np.argsort(wrong))
        assert calibration.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_platt_finds_the_curve_of_rare_labels_with_logits_far_apart() -> None:
    """Newton's whole steps jump to and fro here, and end at a slope of 0."""
    rng = np.random.default_rng(0)
    truth = np.full(50_000, 0.002)
    truth[:2_000] = np.clip(rng.beta(0.5, 0.4, 2_000), 1e-4, 1 - 1e-4)
    label = (rng.random(len(truth)) < truth).astype(float)
    logits = np.log(truth) - np.log1p(-truth)
    scores = 1 / (1 + np.exp(-(1.4 * logits + 0.5)))
    found = calibration.Platt.fit(label, scores)
    assert found.slope == pytest.approx(1 / 1.4, rel=0.1)
    assert found.apply(scores).sum() == pytest.approx(label.sum())  # as maximum likelihood has it
