"""Samples of posts: the chances are what they say, the budget is kept, Neyman's spread is the one a search finds, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contract import Floats, Ints
from common.errors import InputError
from harmful_content.evaluate import sampling
from harmful_content.evaluate.sampling import Frame

SEEDS = st.integers(0, 10_000)


def frame(seed: int, num: int = 60, num_strata: int = 4) -> Frame:
    rng = np.random.default_rng(seed)
    stratum = np.concatenate([np.arange(num_strata), rng.integers(0, num_strata, num - num_strata)])
    return Frame(stratum=stratum, weight=1 + rng.pareto(1.1, num), probability=rng.beta(0.5, 5, num))


@given(SEEDS, st.integers(8, 60), st.booleans())
def test_a_plan_spends_the_budget_and_a_draw_follows_it(seed: int, budget: int, by_neyman: bool) -> None:
    posts = frame(seed)
    plan = sampling.neyman(posts, budget, floor=2) if by_neyman else sampling.proportional(posts, budget, floor=2)
    assert plan.sum() == budget and (plan <= posts.size).all() and (plan >= np.minimum(2, posts.size)).all()
    sample = sampling.draw(posts, plan, np.random.default_rng(seed))
    assert len(set(sample.rows.tolist())) == budget and (sample.chance > 0).all() and (sample.chance <= 1).all()
    assert np.array_equal(np.bincount(posts.stratum[sample.rows], minlength=len(plan)), plan)


def test_chances_are_kept_over_many_draws() -> None:
    """The oracle: how often each post is really drawn, 4,000 times over, within four standard errors."""
    posts, reps = frame(1, num=30, num_strata=2), 4_000
    plan, drawn, chance = np.array([5, 6]), np.zeros(30), np.zeros(30)
    for seed in range(reps):
        sample = sampling.draw(posts, plan, np.random.default_rng(seed))
        drawn[sample.rows] += 1
        chance[sample.rows] = sample.chance
    assert (np.abs(drawn / reps - chance) <= 4 * np.sqrt(chance * (1 - chance) / reps) + 1e-9).all()
    assert chance.sum() == pytest.approx(11) and (chance == 1).any() and (chance < 1).any()


def test_in_a_stratum_the_chance_grows_with_the_weight() -> None:
    posts = frame(2, num=40, num_strata=1)
    sample = sampling.draw(posts, np.array([12]), np.random.default_rng(0))
    loose = sample.chance < 1
    per_weight = sample.chance[loose] / posts.weight[sample.rows][loose]
    assert (
        np.allclose(per_weight, per_weight[0]) and (posts.weight[sample.rows][~loose] * per_weight[0] >= 1 - 1e-9).all()
    )


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_neyman_is_what_a_search_over_all_plans_finds(error: float) -> None:
    posts = Frame(stratum=np.arange(150) % 3, weight=np.ones(150), probability=np.array([0.004, 0.1, 0.5])[np.arange(150) % 3])  # fmt: skip
    answer = error + (1 - 2 * error) * posts.expected
    plans = [np.array([one, two, 30 - one - two]) for one, two in product(range(1, 29), range(1, 29)) if one + two < 30]
    best = min(plans, key=lambda plan: _variance(posts, plan, answer))
    assert np.abs(sampling.neyman(posts, 30, error, floor=1) - best).max() <= 1
    assert _variance(posts, best, answer) < 0.95 * _variance(posts, sampling.proportional(posts, 30), answer)


def _variance(posts: Frame, plan: Ints, answer: Floats) -> float:
    return float((posts.share**2 * answer * (1 - answer) / plan).sum())


def test_wrong_labels_make_strata_more_alike() -> None:
    """Where there is no harm, labels differ because they are wrong: the lower strata get more of the budget."""
    posts = Frame(stratum=np.arange(400) % 2, weight=np.ones(400), probability=np.array([0.001, 0.4])[np.arange(400) % 2])  # fmt: skip
    assert sampling.neyman(posts, 60, error=0.1)[0] > sampling.neyman(posts, 60)[0] + 5


def test_strata_tell_apart_scores_views_and_reports_and_leave_no_number_out() -> None:
    probability, views = np.array([0.001, 0.5, 0.001, 0.001, 0.002]), np.array([5, 5, 5_000, 5, 6])
    found = sampling.strata(probability, views, np.array([False, False, False, True, False]))
    assert sorted(set(found.tolist())) == list(range(4)) and found[0] == found[4]
    assert len({int(found[at]) for at in (0, 1, 2, 3)}) == 4


def test_what_nobody_saw_stands_in_a_stratum_of_its_own() -> None:
    posts = Frame(stratum=np.array([0, 0, 1]), weight=np.array([2.0, 3.0, 0.0]), probability=np.full(3, 0.1))
    assert sampling.unstratified(replace(posts, stratum=np.array([0, 1, 2]))).stratum.tolist() == [0, 0, 1]
    with pytest.raises(InputError, match="mixes posts that weigh nothing"):
        replace(posts, stratum=np.array([0, 0, 0]))


@pytest.mark.parametrize("budget", [5, 61])
def test_a_budget_that_cannot_be_kept_is_refused(budget: int) -> None:
    with pytest.raises(InputError, match=f"A budget of {budget} labels does not fit"):
        sampling.proportional(frame(0), budget, floor=3)


@pytest.mark.parametrize("wrong", [{"weight": np.array([1.0, np.nan])}, {"weight": np.zeros(2)}, {"probability": np.zeros(2)}, {"probability": np.array([0.5, 1.5])}])  # fmt: skip
def test_a_frame_that_says_nothing_is_refused(wrong: dict[str, Any]) -> None:
    sound = Frame(stratum=np.zeros(2, np.int64), weight=np.ones(2), probability=np.full(2, 0.5))
    with pytest.raises(InputError):
        replace(sound, **wrong)
