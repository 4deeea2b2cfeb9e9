"""The desk of reviewers: planted answers, what no desk may do, and the figures its experiments have to reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from common.contract import Table
from common.eval.chart import flips
from harmful_content.config import DEFAULT, SMOKE
from harmful_content.experiments import CHARTS, case_queue, desk, drawn, review, rules
from harmful_content.experiments.desk import ORACLE, Desk, Reviewed, bill, nobody, order, pace, work
from harmful_content.policy.enforcement import ALLOW, QUEUE, REMOVE
from harmful_content.policy.queue import ORDERS, Shares

CONFIG = replace(SMOKE, harm_share=0.2)  # fewer posts for as many reviews
NAMES = [*ORDERS, ORACLE]
EXPERIMENTS = {**review.EXPERIMENTS, **rules.EXPERIMENTS, **case_queue.EXPERIMENTS}


@cache
def small() -> Desk:
    return Desk.of(CONFIG, review.posts(CONFIG, 0), review.solved(CONFIG))


def reviewed(by: str, load: float, shares: Shares = review.NO_SHARES) -> Reviewed:
    return work(small(), order(by), pace(small(), load), shares, np.random.default_rng(1))


@pytest.mark.parametrize("by", NAMES)
def test_no_reviewer_does_two_things_at_once_and_none_looks_before_a_post_is_there(by: str) -> None:
    found, one, hours = reviewed(by, 2.0), small(), pace(small(), 2.0)
    looked = np.flatnonzero(found.at < np.inf)
    assert (found.at[looked] >= one.posts.arrived[looked]).all() and one.flagged[looked].all()
    begin, end = found.at[looked], found.at[looked] + hours * one.minutes[looked]
    busy = [int(((begin <= hour) & (hour < end)).sum()) for hour in np.linspace(0, 72, 500)]
    assert max(busy) == desk.REVIEWERS
    spent = float(one.minutes[looked].sum() / one.minutes[one.flagged].sum())
    assert spent == pytest.approx(0.5, abs=0.1), "twice as many as there is time for: half of the minutes"


def test_first_in_first_out_is_in_order_of_arrival_and_the_best_is_never_passed_over() -> None:
    found, one = reviewed("first in, first out", 2.0), small()
    looked = np.flatnonzero(found.at < np.inf)
    assert (np.diff(found.at[looked]) >= 0).all(), "posts stand in order of arrival"
    found = reviewed("prevented harm", 2.0)
    for row in np.flatnonzero(found.at < np.inf)[::37]:
        hour = float(found.at[row])
        there = np.flatnonzero(one.flagged & (one.posts.arrived <= hour) & (found.at >= hour))
        value = one.waiting(there, hour).prevented()
        taken = int((found.at[there] == hour).sum())
        assert value[there == row] >= np.sort(value)[-taken] - 1e-9


def test_with_time_for_everything_all_orders_look_at_everything_at_once() -> None:
    for by in NAMES:
        found = reviewed(by, 0.001)
        assert (found.at[small().flagged] - small().posts.arrived[small().flagged]).max() < 0.2, by


def test_the_bill_of_a_desk_where_nobody_comes_and_of_one_where_all_is_seen_at_once() -> None:
    one = small()
    costs, posts, action = one.rules.costs, one.posts, one.actions.action
    harm, fine = posts.truth @ np.array(costs.severity) * posts.views, ~posts.truth.any(axis=1)
    none = bill(one, nobody(one))
    kept = np.where(one.actions.is_demoted, costs.kept, 1.0) * (action != REMOVE)
    assert none.harm == pytest.approx(harm * kept)
    want = np.where(action == REMOVE, costs.removal, np.where(one.actions.is_demoted, costs.demotion, 0.0))
    assert none.wrong == pytest.approx(np.where(fine, want, 0.0)) and not none.time.any()
    right = replace(one, posts=replace(posts, luck=np.ones(len(posts))))
    seen = replace(nobody(one), at=np.where(one.flagged, posts.arrived, np.inf))
    whole = bill(right, seen)
    assert not whole.harm[one.flagged].any() and not whole.wrong[one.flagged].any()
    erring = bill(replace(one, posts=replace(posts, luck=np.zeros(len(posts)))), seen)
    assert erring.harm[one.flagged] == pytest.approx(harm[one.flagged]), "a reviewer who always errs keeps what is bad"
    assert erring.wrong[one.flagged & fine] == pytest.approx(costs.removal), "and removes what is good"


def test_the_lot_draws_from_all_posts_of_the_day_and_never_what_is_gone() -> None:
    one = small()
    found = reviewed("prevented harm", 1.0, Shares(oldest_every=0, lot_every=2))
    by_lot = found.chosen == "lot"
    assert by_lot.sum() > 100 and (one.actions.action[by_lot] != REMOVE).all()
    assert (found.at[by_lot] - one.posts.arrived[by_lot]).max() <= desk.DAY
    assert (one.actions.action[by_lot] == ALLOW).any() and (one.actions.action[by_lot] == QUEUE).any()
    assert np.isfinite(found.propensity[by_lot]).all() and np.isnan(found.propensity[found.chosen == "priority"]).all()


def test_drawn_probabilities_are_right_before_they_are_bent() -> None:
    posts = drawn.draw(DEFAULT, np.random.default_rng(0), 100_000)
    logits = np.log(posts.score) - np.log1p(-posts.score)
    chance = 1 / (1 + np.exp(-(logits - drawn.BEND[1]) / drawn.BEND[0]))
    for low, high in ((0, 0.01), (0.05, 0.5), (0.5, 0.95), (0.95, 1)):
        inside = (chance > low) & (chance <= high)
        assert posts.truth[inside].mean() == pytest.approx(chance[inside].mean(), abs=0.02)
    assert posts.truth.any(axis=1).mean() == pytest.approx(DEFAULT.harm_share, rel=0.15)
    assert posts.views.mean() == pytest.approx(DEFAULT.typical_views, rel=0.1), "what thresholds are solved for"


def test_an_interval_of_a_ratio_covers_it() -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        bottom = rng.gamma(4, 10, 24)
        found = review.ratio(0.7 * bottom + rng.normal(0, 5, 24), bottom)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.7 <= found.high
    assert covered >= 180


def row(table: Table, **named: object) -> Mapping[str, float]:
    return next(found for found in table if all(found[name] == value for name, value in named.items()))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_gives_rows_of_finite_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "WORLDS", 3)
    monkeypatch.setattr(rules, "WORLDS", 3)
    table = EXPERIMENTS[name](CONFIG)
    assert all(math.isfinite(value) for found in table for value in found.values() if isinstance(value, int | float))
    assert len(table) > 1 and all(set(found) == set(table[0]) for found in table)
    assert all(found["low"] <= found["high"] for found in table)
    if name in CHARTS:
        flips(table, CHARTS[name])


@pytest.mark.slow
def test_prevented_harm_closes_half_of_the_gap_at_every_load_for_sure_and_chance_closes_next_to_none() -> None:
    table = review.queue(CONFIG)
    for load in review.LOADS:
        assert row(table, load=load, order="prevented harm")["low"] >= 0.5, load
        assert abs(row(table, load=load, order=review.CHANCE)["share_of_gap"]) < 0.25
        assert row(table, load=load, order=review.LOT)["high"] < 0
    for load in ("even", "scarce"):  # with time for all there is next to no gap, and the lot costs as much as it
        assert row(table, load=load, order=review.SERVED)["low"] >= 0.5, load
    foils = [row(table, load="scarce", order=by)["high"] for by in ("score", "reports", "first in, first out")]
    assert max(foils) < row(table, load="scarce", order="prevented harm")["low"]


@pytest.mark.slow
def test_people_pay_from_some_number_of_reviewers_on_and_the_mix_never_loses_to_a_machine_alone() -> None:
    table = review.review_or_act(CONFIG)
    found = flips(table, CHARTS["review_or_act"])
    assert [flip.series for flip in found if flip.series == "all review"] == ["all review"]
    assert all(one["difference"] < 0 for one in table if one["way"] == "solved mix")


@pytest.mark.slow
def test_a_bomb_moves_less_than_is_promised_and_without_the_bound_it_removes_what_it_is_aimed_at() -> None:
    bounded, foil = rules.report_bomb(CONFIG)
    assert bounded["high"] < bounded["bound"] and bounded["removed"] == 0 and bounded["reviews"] <= rules.BOMBED
    assert foil["removed"] == rules.BOMBED and foil["low"] > bounded["high"]


@pytest.mark.slow
def test_demotion_while_waiting_pays_for_itself_and_a_deadline_is_dearer_than_a_share() -> None:
    table = rules.rules(CONFIG)
    for load in rules.LOADS:
        assert row(table, load=load, without="demotion while waiting")["high"] < 0
        lot = row(table, load=load, without="places by lot")
        assert lot["low"] > 0 and lot["with_rule"] > 0 == lot["without_rule"]
        oldest = row(table, load=load, without="places for the oldest")
        assert oldest["with_rule"] < oldest["without_rule"]
    assert row(table, load="scarce", without="a share, but a deadline")["high"] < 0
