"""The people: the same in any order, block and preset; distributed as the docstrings say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from common.population import DAY, Population, choice, normal, uniform

IDS = np.arange(20_000)


def test_a_number_depends_on_its_id_and_column_alone() -> None:
    whole = uniform(7, "tastes", IDS, 5)
    order = np.random.default_rng(0).permutation(IDS)
    assert np.array_equal(uniform(7, "tastes", order, 5), whole[order])
    blocks = [uniform(7, "tastes", IDS[start : start + 777], 5) for start in range(0, len(IDS), 777)]
    assert np.array_equal(np.concatenate(blocks), whole)
    assert np.array_equal(uniform(7, "tastes", IDS, 3), whole[:, :3])


def test_numbers_are_the_ones_they_always_were() -> None:
    """Pinned: a change here changes every world of the project."""
    assert uniform(0, "pin", np.array([0, 42, 2**40]), 2).round(12).tolist() == PINNED


PINNED = [[0.943015983914, 0.641796654196], [0.287359401297, 0.425117695179], [0.044173442944, 0.310239910984]]


@pytest.mark.parametrize("stream", ["a", "user.tastes"])
def test_uniform_and_normal_pass_kolmogorov_smirnov(stream: str) -> None:
    flat = uniform(3, stream, IDS, 2)
    assert flat.min() > 0 and flat.max() < 1
    assert stats.kstest(flat.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal(3, stream, IDS, 2).ravel(), "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (uniform(1, "s", IDS)[:, 0], uniform(2, "s", IDS)[:, 0]),  # seeds
        (uniform(1, "s", IDS)[:, 0], uniform(1, "t", IDS)[:, 0]),  # streams
        (uniform(1, "s", IDS, 2)[:, 0], uniform(1, "s", IDS, 2)[:, 1]),  # columns
        (uniform(1, "s", IDS)[:, 0], uniform(1, "s", IDS + 1)[:, 0]),  # neighbours
        (
            uniform(1, "s", IDS, 2)[:, 1],
            uniform(1, "s", IDS + 1, 2)[:, 0],
        ),  # the next id's first is not this id's second
    ],
)
def test_streams_are_independent(first: np.ndarray, second: np.ndarray) -> None:
    assert not np.isclose(first, second).any()
    assert stats.spearmanr(first, second).pvalue > 1e-3
    grid = np.histogram2d(first, second, bins=8)[0]
    assert stats.chisquare(grid.ravel()).pvalue > 1e-3


def test_the_independence_test_can_fail() -> None:
    first = uniform(1, "s", IDS)[:, 0]
    assert stats.chisquare(np.histogram2d(first, (first + 0.1) % 1, bins=8)[0].ravel()).pvalue < 1e-3


def test_people_are_the_same_people_in_every_block() -> None:
    people = Population(seed=5)
    some = np.array([42, 7, 19_999])
    for of in (
        people.tastes,
        people.activity,
        people.age,
        people.country,
        people.language,
        people.creator_topic,
        people.breadth,
    ):
        assert np.array_equal(of(some), of(IDS)[some])
    assert not np.array_equal(people.tastes(some), Population(seed=6).tastes(some))


def test_tastes_love_a_few_topics_and_breadth_says_how_few() -> None:
    people = Population(seed=1)
    tastes = people.tastes(IDS)
    assert np.allclose(tastes.sum(axis=1), 1) and tastes.min() > 0
    top = np.sort(tastes, axis=1)[:, ::-1]
    assert 0.55 < top[:, :3].sum(axis=1).mean() < 0.95
    assert stats.spearmanr(people.breadth(IDS), top[:, 0]).statistic < -0.4


def test_profile_fields_have_the_shapes_they_say() -> None:
    people = Population(seed=1)
    assert people.activity(IDS).mean() == pytest.approx(1, abs=0.05)
    assert stats.kstest(np.log(people.activity(IDS)) + 0.5, "norm").pvalue > 1e-3
    ages = people.age(IDS)
    assert ages.min() >= 13 and ages.max() <= 90 and 29 <= np.median(ages) <= 33
    shares = 1 / np.arange(1, 11)
    countries = np.bincount(people.country(IDS), minlength=10)
    assert stats.chisquare(countries, shares / shares.sum() * len(IDS)).pvalue > 1e-3
    topics = np.bincount(people.creator_topic(IDS), minlength=16)
    assert stats.chisquare(topics, people.topic_shares * len(IDS)).pvalue > 1e-3
    assert set(np.unique(people.language(IDS))) == set(range(6))
    loved = people.tastes(IDS).argmax(axis=1)
    assert stats.chi2_contingency(np.histogram2d(loved, people.country(IDS), bins=(16, 10))[0]).pvalue > 1e-3


def test_choice_gives_every_category_its_share() -> None:
    assert choice(np.array([0.001, 0.2499, 0.2501, 0.999]), np.array([1.0, 3.0])).tolist() == [0, 0, 1, 1]


def test_trend_is_smooth_slow_and_scaled_by_strength() -> None:
    people = Population(seed=2)
    days = np.arange(200) * DAY
    drift = people.trend(days)
    assert drift.shape == (200, 16) and np.abs(drift).max() <= 0.9
    assert np.abs(np.diff(drift, axis=0)).max() < 0.4 < np.ptp(drift, axis=0).min()
    assert np.array_equal(people.trend(days[[42, 7]]), drift[[42, 7]])
    assert np.array_equal(people.trend(days, 0.0), np.zeros_like(drift))
    assert np.allclose(people.trend(days, 2.0), 2 * drift)
    assert np.abs(np.corrcoef(drift.T) - np.eye(16)).max() < 0.999  # topics do not move as one


def test_daily_has_mean_one_and_peaks_in_the_evening() -> None:
    curve = Population(seed=0).daily(np.arange(DAY))
    assert curve.mean() == pytest.approx(1) and curve.min() > 0.3
    assert 19 <= curve.argmax() / 3600 <= 21 and 2 <= curve.argmin() / 3600 <= 6
