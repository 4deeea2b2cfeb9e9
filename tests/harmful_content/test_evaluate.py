"""The units of pr_auc: their mean is the metric, their spread what a bootstrap gives, ties and unknown labels included."""

from __future__ import annotations

import numpy as np
import pytest

from common.contract import Floats
from common.eval import classification, intervals
from common.eval.report import is_better, paired
from harmful_content.config import SMOKE
from harmful_content.evaluate import evaluate, pr_auc_units
from harmful_content.schema import Judgments


def drawn(seed: int, n: int = 400, share: float = 0.1, digits: int = 6) -> tuple[Floats, Floats]:
    """Labels, and scores that know something of them."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(float)
    label[0] = 1.0
    return label, np.round(rng.random(n) + 0.4 * label, digits)


@pytest.mark.parametrize("digits", [6, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_the_units_is_the_metric(seed: int, digits: int) -> None:
    label, score = drawn(seed, digits=digits)
    assert pr_auc_units(label, score).mean() == pytest.approx(classification.pr_auc(label, score), abs=1e-12)


@pytest.mark.parametrize("digits", [6, 1])
def test_a_unit_is_the_derivative_in_the_weight_of_its_row(digits: int) -> None:
    label, score = drawn(3, n=60, digits=digits)
    units = pr_auc_units(label, score)
    for row in range(0, 60, 7):
        weights, step = np.ones(60), 1e-5
        weights[row] += step
        slope = (classification.pr_auc(label, score, weights) - classification.pr_auc(label, score)) / step
        assert (units[row] - units.mean()) / 60 == pytest.approx(slope, abs=1e-4)


def test_the_interval_is_as_wide_as_the_bootstrap_of_authors() -> None:
    label, score = drawn(1, n=3_000)
    clusters = np.random.default_rng(1).integers(0, 900, 3_000)
    ours = intervals.mean(pr_auc_units(label, score), clusters)
    theirs = intervals.bootstrap(classification.pr_auc, (label, score), clusters, seed=0, reps=400)
    assert ours.low is not None and ours.high is not None and theirs.low is not None and theirs.high is not None
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.15)


def judgments(label: Floats) -> Judgments:
    n = len(label)
    return Judgments(
        label=label, user_id=np.arange(n) // 2, views=np.ones(n), policies=("one", "two"), origin="world",
        slices={"half": np.where(np.arange(n) < n // 2, "first", "second")},
    )  # fmt: skip


def test_the_primary_is_the_mean_over_policies_and_the_better_scores_win() -> None:
    columns = [drawn(seed, n=2_000) for seed in (5, 6)]
    label, score = np.column_stack([one for one, _ in columns]), np.column_stack([two for _, two in columns])
    key = judgments(label)
    good = evaluate(score / 2, key, SMOKE)
    expected = np.mean([classification.pr_auc(*column) for column in columns])
    assert good.metrics["pr_auc"].value == pytest.approx(expected)
    noise = evaluate(np.random.default_rng(0).random(label.shape), key, SMOKE)
    assert is_better(paired(good, noise), "pr_auc") and not is_better(paired(noise, good), "pr_auc")
    assert {"policy=one", "policy=two", "half=first", "half=second"} <= set(good.slices)


def test_a_label_nobody_gave_moves_nothing() -> None:
    label, score = drawn(2, n=500)
    unknown = np.random.default_rng(12).random(500) < 0.3
    both = np.column_stack([np.where(unknown, np.nan, label), label])
    report = evaluate(np.column_stack([score, score]) / 2, judgments(both), SMOKE)
    assert report.slices["policy=one"]["pr_auc"].value == pytest.approx(
        classification.pr_auc(label[~unknown], score[~unknown])
    )


def test_a_slice_without_positives_says_nothing() -> None:
    label = np.zeros((100, 2))
    label[:10] = 1.0
    report = evaluate(np.random.default_rng(0).random((100, 2)), judgments(label), SMOKE)
    assert "half=first" in report.slices and "half=second" not in report.slices
