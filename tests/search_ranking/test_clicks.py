"""Examination curves against planted ones, in worlds that keep their assumption and in worlds that break it; labels and objectives against sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from search_ranking.model.clicks import Curve, by_ctr, debias, em, intervention, planted, relative, weights
from search_ranking.model.clicks.planted import Log, Plan, World

Estimator = Callable[[World, Log], Curve]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
RICH, COIN = Plan(num_queries=80), Plan(num_queries=80, swaps=0.5)


def _features(world: World, log: Log) -> Floats:
    return world.features[log.query_id, log.doc_id]


def _pal(world: World, log: Log) -> Curve:
    from search_ranking.model.clicks import pal

    return pal.factorised(_features(world, log), log.slot, log.clicked, log.query_id)


def _additive(world: World, log: Log) -> Curve:
    from search_ranking.model.clicks import pal

    return pal.additive(_features(world, log), log.slot, log.clicked, log.query_id)


QUICK: dict[str, tuple[Plan, int, Estimator]] = {
    "pairs": (RICH, 60_000, lambda _, log: em.by_pairs(log.query_id, log.doc_id, log.slot, log.clicked, reps=10)),
    "harvest": (RICH, 80_000, lambda _, log: intervention.harvest(log.query_id, log.doc_id, log.slot, log.clicked)),
    "swaps": (COIN, 300_000, lambda _, log: intervention.swaps(log.slot, log.clicked, log.swapped, log.query_id, reps=40)),
}  # fmt: skip
SLOW: dict[str, tuple[Plan, int, Estimator]] = {
    "factorised": (Plan(), 20_000, _pal),
}  # fmt: skip


def run(plan: Plan, size: int, estimate: Estimator, seed: int = 0) -> tuple[Curve, Floats]:
    """-> (curve, planted curve)."""
    world = planted.world(plan, seed)
    log = planted.log(world, size, seed)
    return estimate(world, log), marginal(log) if plan.clicks == "cascade" else world.examination


def marginal(log: Log) -> Floats:
    """Share of the rows of each slot that were looked at, relative to slot 0."""
    seen: Floats = np.bincount(log.slot, log.seen) / np.bincount(log.slot)
    return relative(seen)


def furthest(curve: Curve, truth: Floats) -> float:
    return float(np.abs(curve.examination / truth - 1).max())


def ctr(_: World, log: Log) -> Curve:
    return by_ctr(log.slot, log.clicked, log.query_id, reps=0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", QUICK)
def test_the_curve_is_within_a_tenth_of_the_planted_one_at_every_slot(name: str, seed: int) -> None:
    curve, truth = run(*QUICK[name], seed)
    assert furthest(curve, truth) < 0.1
    assert curve.low is not None and curve.high is not None
    assert (curve.low <= curve.examination).all() and (curve.examination <= curve.high).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SLOW)
def test_features_do_instead_of_repeated_pairs(name: str, seed: int) -> None:
    assert furthest(*run(*SLOW[name], seed)) < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_click_rate_by_slot_is_far_off_because_good_documents_stand_high(seed: int) -> None:
    curve, truth = run(RICH, 20_000, ctr, seed)
    assert furthest(curve, truth) > 0.4 and (curve.examination[1:] < truth[1:]).all()
    level, _ = run(Plan(num_queries=2_000, strength=0.0), 60_000, ctr, seed)
    assert furthest(level, truth) < 0.15, (
        "where the incumbent knows nothing, the foil is right: the bias is the incumbent's"
    )


@pytest.mark.parametrize("name", QUICK)
def test_where_every_slot_is_seen_the_curve_is_flat_and_the_click_rate_is_not(name: str) -> None:
    plan, size, estimate = QUICK[name]
    curve, _ = run(replace(plan, eta=0.0), size // 4, estimate)
    assert furthest(curve, np.ones(10)) < 0.1
    assert run(replace(plan, eta=0.0), size // 4, ctr)[0].examination[-1] < 0.7


@pytest.mark.parametrize("name", ["pairs", "harvest"])
def test_shuffled_slots_give_a_flat_curve(name: str) -> None:
    plan, size, estimate = QUICK[name]

    def shuffled(world: World, log: Log) -> Curve:
        order = np.argsort(log.session + np.random.default_rng(0).random(len(log.slot)))
        return estimate(world, replace(log, slot=log.slot[order]))

    assert furthest(run(plan, size // 4, shuffled)[0], np.ones(10)) < 0.1


def test_a_coin_that_is_not_the_one_that_was_thrown_gives_the_click_rate_back() -> None:
    def wrong(_: World, log: Log) -> Curve:
        coin = log.swapped.reshape(-1, 10)[np.random.default_rng(0).permutation(len(log.slot) // 10)].ravel()
        return intervention.swaps(log.slot, log.clicked, coin, log.query_id, reps=0)

    assert furthest(*run(COIN, 100_000, wrong)) > 0.35


@pytest.mark.parametrize("name", ["harvest", "swaps"])
def test_intervals_hold_the_planted_curve(name: str) -> None:
    """On small logs of 20 worlds: 95 % of the slots, give or take what 20 dependent draws allow."""
    plan, size, estimate = QUICK[name]
    held: list[Bools] = []
    for seed in range(20):
        curve, truth = run(replace(plan, num_slots=5, num_docs=8), size // 20, estimate, seed)
        assert curve.low is not None and curve.high is not None
        held.append(((curve.low <= truth) & (truth <= curve.high))[1:])
    assert 0.88 <= np.mean(held) <= 0.995


def test_pairs_shown_a_few_times_each_make_the_lower_slots_look_seen_more() -> None:
    plan = Plan(num_queries=1_000, num_slots=5, num_docs=8)
    few, truth = run(plan, 10_000, QUICK["pairs"][2])
    harvested, _ = run(plan, 10_000, QUICK["harvest"][2])
    assert few.examination[1:].sum() > 1.1 * truth[1:].sum(), "ten sessions a query"
    assert abs(harvested.examination[1:].sum() / truth[1:].sum() - 1) < 0.05


@pytest.mark.parametrize(("clicks", "least", "most"), [("cascade", 0.1, 0.9), ("trust", 0.15, 0.9)])
@pytest.mark.parametrize("name", ["pairs", "harvest"])
def test_another_click_model_makes_it_wrong_by_more_than_a_tenth(name: str, clicks: str, least: float, most: float) -> None:  # fmt: skip
    plan, size, estimate = QUICK[name]
    assert least < furthest(*run(replace(plan, clicks=clicks), size, estimate)) < most


@pytest.mark.slow
def test_features_that_tell_less_than_the_incumbent_knew_are_counted_as_being_seen() -> None:
    plan = Plan(hidden=0.5)
    curve, truth = run(plan, 20_000, SLOW["factorised"][2])
    assert furthest(curve, truth) > 0.15 and curve.examination[-1] < truth[-1]
    assert furthest(*run(plan, 80_000, QUICK["harvest"][2])) < 0.1, "nothing is asked of features there"


@pytest.mark.slow
def test_the_additive_position_feature_is_worse_than_the_product() -> None:
    curve, truth = run(Plan(), 20_000, _additive)
    assert furthest(curve, truth) > 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slot": np.array([0, -1, 1, 2])}, "counted from 0"),
        ({"slot": np.array([0, 2, 2, 0])}, r"No click in slots \[1\]"),
        ({"doc_id": np.array([0, 1, 2, 3])}, "was shown in two slots"),
    ],
)
def test_logs_that_say_nothing_are_refused(change: dict[str, Ints], words: str) -> None:
    columns = {"query_id": np.zeros(4, int), "doc_id": np.array([0, 1, 1, 0]), "slot": np.array([0, 1, 0, 1])}

    def curve(log: dict[str, Ints]) -> Curve:
        return em.by_pairs(log["query_id"], log["doc_id"], log["slot"], np.ones(4, bool), reps=0)

    assert curve(columns).low is None
    with pytest.raises(InputError, match=words):
        curve(columns | change)


def test_slots_that_no_document_joins_are_refused() -> None:
    slot, doc = np.array([0, 1, 2, 3, 1, 0, 3, 2]), np.array([0, 1, 2, 3, 0, 1, 2, 3])
    with pytest.raises(InputError, match=r"joins slots \[2, 3\]"):
        intervention.harvest(np.zeros(8, int), doc, slot, np.ones(8, bool))


# --------------------------------------------------------------------------------------------------------------- labels and weights


@pytest.mark.parametrize("clicks", ["pbm", "trust"])
def test_one_over_looks_gives_attraction_by_slot_and_by_grade_where_clicks_are_honest(clicks: str) -> None:
    """Under trust bias no weight does: a click in the first slot says less than a click further down."""
    world = planted.world(replace(RICH, clicks=clicks), 0)
    log = planted.log(world, 100_000, 0)
    labels = weights.ips(log.slot, log.clicked, world.examination, most=1e9)
    cell = log.slot * 4 + world.grades[log.query_id, log.doc_id]
    often = np.bincount(cell) > 10_000
    off = (
        np.bincount(cell, labels.values - world.attraction[log.query_id, log.doc_id])[often] / np.bincount(cell)[often]
    )
    assert (np.abs(off).max() < 0.08) if clicks == "pbm" else (np.abs(off).max() > 0.15)


def test_clipping_tells_the_share_of_clicks_it_cut_and_makes_their_labels_too_small() -> None:
    slot, clicked, curve = np.array([0, 1, 2, 2]), np.array([True, True, True, False]), np.array([1.0, 0.5, 0.01])
    free, cut = weights.ips(slot, clicked, curve, most=1e3), weights.ips(slot, clicked, curve, most=10.0)
    assert free.values.tolist() == [1, 2, 100, 0] and free.clipped == 0
    assert cut.values.tolist() == [1, 2, 10, 0] and cut.clipped == 1 / 3 and cut.weights.tolist() == [1, 2, 10, 1]


def test_self_normalising_by_query_keeps_a_contrast_that_by_session_is_gone() -> None:
    clicked, slot = np.array([True, False, False, True]), np.array([0, 1, 0, 1])
    labels = weights.ips(slot, clicked, np.array([1.0, 0.25]))
    by_query = weights.self_normalised(labels, clicked, np.zeros(4, int))
    assert by_query.weights[clicked].mean() == pytest.approx(1) and by_query.values[3] == 4 * by_query.values[0]
    by_session = weights.self_normalised(labels, clicked, np.array([0, 0, 1, 1]))
    assert by_session.values.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(("curve", "words"), [([1.0, 0.0], "above 0"), ([1.0], "Slot 1 has no")])
def test_curves_that_cannot_be_undone_are_refused(curve: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        weights.ips(np.array([0, 1]), np.array([True, False]), np.array(curve))


def test_the_pairwise_gradient_is_that_of_the_sum_written_out() -> None:
    """Against finite differences, discounts held; lists of unequal length, labels above 1 and below 0."""
    rng = np.random.default_rng(0)
    sizes, score = np.array([3, 5, 2]), rng.normal(size=10)
    labels = np.array([0, 2.5, 0, 0, -0.7, 1, 0, 0, 0, 0])
    starts = np.cumsum(sizes) - sizes

    def loss(moved: Floats) -> float:
        total = 0.0
        for start, size in zip(starts, sizes, strict=True):
            rows = range(start, start + size)
            place = {row: sum(score[other] > score[row] for other in rows) for row in rows}
            for i in rows:
                for j in rows:
                    apart = abs(1 / np.log2(place[i] + 2) - 1 / np.log2(place[j] + 2))
                    total += labels[i] * apart * np.log1p(np.exp(moved[j] - moved[i]))
        return total

    gradient, curvature = weights.pairwise(labels, sizes)(score, None)
    steps = 1e-5 * np.eye(10)
    numeric = [(loss(score + step) - loss(score - step)) / 2e-5 for step in steps]
    assert np.allclose(gradient, numeric, atol=1e-6) and (curvature >= 0).all()


def test_ips_labels_have_the_expected_gradient_of_true_labels_and_clicks_have_not() -> None:
    world = planted.world(RICH, 0)
    log = planted.log(world, 30_000, 0)
    sizes, score = np.full(30_000, 10), _features(world, log)[:, 0]
    true = world.attraction[log.query_id, log.doc_id]

    def by_slot(labels: Floats) -> Floats:
        return np.bincount(log.slot, weights.pairwise(labels, sizes)(score, None)[0]) / 30_000

    ips = weights.ips(log.slot, log.clicked, world.examination, most=1e9).values
    assert np.abs(by_slot(ips) - by_slot(true)).max() < 0.03
    assert np.abs(by_slot(log.clicked.astype(float)) - by_slot(true)).max() > 0.05


# ----------------------------------------------------------------------------------------------------------------------- learning


@pytest.mark.slow
def test_debiasing_hurts_on_a_short_log_and_helps_on_a_long_one() -> None:
    plan = Plan(strength=0.2, num_queries=300)
    rows = debias.debias_table(
        plan, etas=(1.0,), sizes=(300, 10_000), rungs=("raw", "ips", "grades"), seeds=(0, 1, 2, 3)
    )
    gain = {(row["sessions"], row["rung"]): row for row in rows}
    assert gain[10_000, "ips"]["low"] > 0.01 and gain[10_000, "ips"]["wins"] == 4
    assert gain[300, "ips"]["gain"] < gain[10_000, "ips"]["gain"] - 0.02
    assert all(gain[size, "grades"]["low"] > max(gain[size, "ips"]["high"], 0) for size in (300, 10_000))


@pytest.mark.slow
def test_where_every_slot_is_seen_weights_change_nothing() -> None:
    rows = debias.debias_table(Plan(num_queries=100), etas=(0.0,), sizes=(500,), rungs=("raw", "ips"), seeds=(0,))
    assert rows[1]["gain"] == 0


@pytest.mark.slow
def test_weights_of_lists_a_click_are_held_against_the_same_lists_without() -> None:
    """Where every slot is looked at each weight is one, and so is each average: nothing changes. Where they fall off, all three differ."""
    rungs = ("raw", "raw_a_list_a_click", "a_list_a_click", "a_list_a_click_normalised")
    rows = debias.debias_table(Plan(num_queries=100), etas=(0.0, 1.0), sizes=(500,), rungs=rungs, seeds=(0,))
    flat, steep = rows[:4], rows[4:]
    assert [row["than"] for row in flat] == [None, None, "raw_a_list_a_click", "raw_a_list_a_click"]
    assert [row["gain"] for row in flat[2:]] == [0, 0] and flat[0]["ndcg@10"] != flat[1]["ndcg@10"]
    assert len({row["ndcg@10"] for row in steep}) == 4


def test_an_unknown_rung_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean 'ips'"):
        debias.debias_table(Plan(), rungs=("ipss",))
