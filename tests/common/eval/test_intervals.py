"""Planted clusters with a known mean: how often does a 95 % interval hold it?"""

from __future__ import annotations

import time

import numpy as np
import pytest

from common.contract import Floats, Ints
from common.errors import InputError
from common.eval import classification, intervals
from common.eval.report import Interval

TRUTH = 0.3


def _clustered(rng: np.random.Generator, num_clusters: int = 60) -> tuple[Floats, Ints]:
    """Users differ in mean and in how many rows they have, and heavy users differ from light ones; E[row] is TRUTH."""
    rows = rng.poisson(15, num_clusters) + 1
    clusters = np.repeat(np.arange(num_clusters), rows)
    return TRUTH + 0.2 * rng.standard_normal(num_clusters)[clusters] + 0.3 * rng.standard_normal(
        len(clusters)
    ), clusters


def _holds(interval: Interval) -> bool:
    assert interval.low is not None and interval.high is not None
    return interval.low <= TRUTH <= interval.high


def test_the_cluster_interval_covers_and_the_row_wise_one_does_not() -> None:
    rng = np.random.default_rng(0)
    worlds = [_clustered(rng) for _ in range(600)]
    clustered = np.mean([_holds(intervals.mean(*world)) for world in worlds])
    row_wise = np.mean([_holds(intervals.mean(units, np.arange(len(units)))) for units, _ in worlds])
    assert 0.93 <= clustered <= 0.97, clustered
    assert row_wise < 0.75, row_wise


def test_the_bootstrap_agrees_with_the_closed_form_and_covers() -> None:
    rng = np.random.default_rng(1)

    def weighted_mean(units: Floats, weights: Floats | None = None) -> float:
        return float(np.average(units, weights=weights))

    found, exact = [], []
    for seed in range(100):
        units, clusters = _clustered(rng)
        found.append(intervals.bootstrap(weighted_mean, (units,), clusters, seed))
        exact.append(intervals.mean(units, clusters))
    ratio = np.mean(
        [
            (f.high - f.low) / (e.high - e.low)
            for f, e in zip(found, exact, strict=True)
            if f.high and f.low and e.high and e.low
        ]
    )
    assert 0.95 <= ratio <= 1.05
    assert np.mean([_holds(interval) for interval in found]) >= 0.88


def test_without_clusters_it_is_the_textbook_interval() -> None:
    from scipy import stats

    units = np.random.default_rng(2).exponential(size=40)
    found = intervals.mean(units, np.arange(40))
    low, high = stats.t.interval(0.95, 39, loc=units.mean(), scale=stats.sem(units))
    assert (found.low, found.high) == pytest.approx((low, high)) and found.n == 40


def test_repeating_every_row_ten_times_teaches_nothing() -> None:
    units, clusters = _clustered(np.random.default_rng(3))
    once, often = intervals.mean(units, clusters), intervals.mean(np.tile(units, 10), np.tile(clusters, 10))
    assert (often.low, often.high, often.n) == pytest.approx((once.low, once.high, once.n))


def test_the_bootstrap_is_the_same_for_the_same_seed_and_any_row_order() -> None:
    rng = np.random.default_rng(4)
    scores = rng.random(2_000)
    labels = (rng.random(2_000) < scores).astype(float)
    clusters = rng.integers(0, 100, 2_000)
    order = rng.permutation(2_000)
    one = intervals.bootstrap(classification.auc, (labels, scores), clusters, seed=5)
    two = intervals.bootstrap(classification.auc, (labels[order], scores[order]), clusters[order], seed=5)
    assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high))
    assert one != intervals.bootstrap(classification.auc, (labels, scores), clusters, seed=6)


def test_the_bootstrap_takes_classes_as_well_as_scores() -> None:
    rng = np.random.default_rng(7)
    labels = np.array(["hate", "spam", "none"])[rng.integers(0, 3, 900)]
    guesses = np.where(rng.random(900) < 0.8, labels, "none")
    found = intervals.bootstrap(classification.macro_f1, (labels, guesses), rng.integers(0, 90, 900), seed=0)
    assert found.low is not None and found.high is not None and 0.75 < found.low < found.value < found.high < 0.95


def test_slices_are_means_within_and_a_lone_user_gets_no_bounds() -> None:
    units, clusters = np.array([1.0, 2.0, 3.0, 5.0]), np.array([7, 8, 9, 9])
    found = intervals.by_slice("log_loss", units, clusters, {"device": np.array(["tv", "tv", "phone", "phone"])})
    assert found["device=tv"]["log_loss"].value == 1.5 and found["device=tv"]["log_loss"].low is not None
    assert found["device=phone"]["log_loss"] == Interval(value=4.0, low=None, high=None, n=1)


def test_what_cannot_be_known_is_refused() -> None:
    with pytest.raises(InputError, match="at least two clusters"):
        intervals.mean(np.ones(5), np.zeros(5, np.int64))
    with pytest.raises(InputError, match="Row 1 of 3 is nan"):
        intervals.mean(np.array([1.0, np.nan, 2.0]), np.arange(3))
    with pytest.raises(InputError, match="at least two clusters"):
        intervals.mean(np.empty(0), np.empty(0, np.int64))
    lonely = np.zeros(50)
    lonely[0] = 1
    with pytest.raises(InputError, match="auc is undefined in"):
        intervals.bootstrap(classification.auc, (lonely, np.linspace(0, 1, 50)), np.arange(50), seed=0)


@pytest.mark.slow
def test_a_large_bootstrap_ends(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(6)
    scores = rng.beta(1, 20, 300_000)
    labels = (rng.random(300_000) < scores).astype(float)
    start = time.perf_counter()
    found = intervals.bootstrap(classification.auc, (labels, scores), rng.integers(0, 20_000, 300_000), seed=0)
    assert found.n == 20_000
    with capsys.disabled():
        print(f"\nbootstrap of auc, 300,000 rows, 200 resamples: {time.perf_counter() - start:.1f} s")  # noqa: T201
