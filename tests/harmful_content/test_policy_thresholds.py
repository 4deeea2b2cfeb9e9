"""Thresholds from costs, against brute force; the precision floor, by how often it is broken; calibration from few labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contract import Floats
from common.errors import InputError
from common.eval.calibration import Platt
from harmful_content import policy
from harmful_content.config import DEFAULT, Config
from harmful_content.experiments import drawn
from harmful_content.policy.calibrating import ENOUGH, Calibration
from harmful_content.policy.costs import NEVER, Costs
from harmful_content.policy.thresholds import lower_bound, raise_to, solve
from harmful_content.policy.views import to_come
from harmful_content.schema import ACTIONS, POLICIES, SIDE, Images, Rows


def some_costs(rng: np.random.Generator) -> Costs:
    return Costs(
        severity=tuple(rng.lognormal(0, 1, 3)),
        minutes=tuple(rng.lognormal(0, 1, 3)),
        views=float(rng.lognormal(4, 1)),
        removal=float(rng.lognormal(5, 1)),
        demotion=float(rng.lognormal(2, 1)),
        minute=float(rng.lognormal(0, 1)),
        kept=float(rng.uniform(0.05, 0.95)),
        waited=float(rng.uniform(0, 1)),
        error=float(rng.uniform(0, 0.2)),
    )


def test_the_bands_are_where_a_fine_grid_finds_the_cheapest_action_to_change() -> None:
    grid = np.linspace(0, 1, 4_001)[:, None]
    empty = np.zeros(len(ACTIONS) - 2)
    for seed in range(200):
        costs, demoting = some_costs(np.random.default_rng(seed)), seed % 3 > 0
        best = costs.expected(np.repeat(grid, 3, axis=1), demoting).argmin(axis=-1)
        for which, found in enumerate(costs.bands(demoting)):
            assert (np.diff(found) >= 0).all()
            for action in range(1, len(ACTIONS)):
                milder = np.flatnonzero(best[:, which] < action)
                last = grid[milder[-1], 0]
                want = NEVER if milder[-1] == len(grid) - 1 else last
                assert found[action - 1] == pytest.approx(want, abs=5e-4), (seed, which, action)
            empty += np.diff(found) == 0
    assert (empty > 0).all() and (empty < 600).all(), (
        "demotion and the queue are sometimes worth it and sometimes never"
    )


def test_the_crossing_costs_least_among_all_thresholds_on_labelled_posts() -> None:
    """Remove against allow, summed over what truly happened: no threshold on a grid is cheaper than the crossing by more than luck."""
    rng, n, costs = np.random.default_rng(0), 400_000, Costs.of(DEFAULT, len(POLICIES))
    hate = POLICIES.index("hate")
    probability = rng.beta(0.5, 0.5, n)
    violates = rng.random(n) < probability
    harm = costs.severity[hate] * costs.views
    crossing = costs.removal / (costs.removal + harm)
    grid = np.linspace(0.05, 0.95, 91)
    spent = [np.where(probability >= least, ~violates * costs.removal, violates * harm).mean() for least in grid]
    assert grid[int(np.argmin(spent))] == pytest.approx(crossing, abs=0.03)
    wrong = np.where(probability >= 0.5, ~violates * costs.removal, violates * harm).mean()
    assert wrong > min(spent) * 1.01, "one half, the foil, costs more"


def test_solved_on_labels_the_whole_ladder_costs_least() -> None:
    """Four actions, every threshold moved up and down: on labelled posts none is cheaper beyond luck."""
    rng, n = np.random.default_rng(1), 300_000
    costs = Costs.of(DEFAULT, len(POLICIES))
    which = POLICIES.index("misinformation")  # it has all four bands
    probability = rng.beta(0.5, 0.8, n)
    label = (rng.random(n) < probability).astype(float)
    ifs = np.stack([costs.expected(np.full((1, 7), truth))[0, which] for truth in (0.0, 1.0)])
    bent = costs.expected(np.repeat(probability[:, None], 7, axis=1))[:, which]

    def spent(bands: Floats) -> float:
        action = (probability[:, None] >= bands).sum(axis=1)
        paid = ifs[label.astype(int), action]
        waits = (
            action == 2
        )  # the queue's line has a bend: what is done while waiting follows the probability, not the truth
        paid[waits] = bent[waits, 2]
        return float(paid.mean())

    bands = costs.bands()[which]
    for one in range(3):
        for step in (-0.08, 0.08):
            other = np.sort(bands + step * (np.arange(3) == one))
            assert spent(bands) < spent(other), (one, step)


def test_a_demotion_that_saves_nothing_is_never_made() -> None:
    costs = replace(Costs.of(DEFAULT, len(POLICIES)), kept=1.0)
    assert (costs.waits_demoted() == 1.0).all()
    demote, queue, _ = costs.bands().T
    assert (demote == queue).all(), "the band of demotion is empty"


def test_severe_policies_are_acted_on_earlier_and_data_of_ones_own_has_one_severity() -> None:
    costs = Costs.of(DEFAULT, len(POLICIES))
    order = np.argsort(costs.severity)
    assert (np.diff(costs.bands()[order, 2]) <= 0).all()
    own = Costs.of(replace(DEFAULT, severity=3.0, minutes=2.0), 4)
    assert own.severity == (3.0,) * 4 and own.minutes == (2.0,) * 4


def labelled(rng: np.random.Generator, n: int, precision: float) -> tuple[Floats, Floats]:
    """Probabilities that promise more than they keep above .5: there only `precision` of the posts are violations."""
    probability = rng.random(n)
    truth = np.where(probability > 0.5, precision, 0.02)
    return probability, (rng.random(n) < truth).astype(float)


def test_the_floor_is_broken_in_hardly_any_fit_and_naively_in_many() -> None:
    """300 labelled sets whose precision is .88 everywhere: with a floor of .9 nothing may be removed."""
    broken, naive = 0, 0
    for seed in range(300):
        probability, label = labelled(np.random.default_rng(seed), 600, 0.88)
        broken += raise_to(0.9, 0.6, probability, label)[0] < NEVER
        candidates = np.sort(probability[probability >= 0.6])[:-10]
        naive += any(label[probability >= least].mean() >= 0.9 for least in candidates)
    assert broken <= 0.05 * 300 * 1.3
    assert naive > 150, "the foil: any threshold at which the labels happen to look good"


def test_a_floor_that_is_kept_is_found_to_be_kept_and_the_threshold_stays_where_the_costs_put_it() -> None:
    probability, label = labelled(np.random.default_rng(0), 3_000, 0.97)
    found, reason = raise_to(0.9, 0.6, probability, label)
    assert found == 0.6 and reason.startswith("where the costs put it:")
    raised, why = raise_to(0.9, 0.3, probability, label)  # from .3 up half of them are nothing
    assert 0.5 <= raised < NEVER and "raised from 0.300" in why
    above = label[probability >= raised]
    assert f"{int(above.sum())} of {len(above)}" in why, "the reason counts what the threshold lets through"


def test_without_labels_nothing_is_removed_and_it_is_said_what_is_missing() -> None:
    found, reason = raise_to(0.9, 0.6, np.empty(0), np.empty(0))
    assert found == NEVER and "0 labelled posts" in reason and "44 labelled posts without an error" in reason
    ones = np.ones(44)
    assert raise_to(0.9, 0.6, ones, ones)[0] == 0.6
    assert raise_to(0.9, 0.6, ones[:43], ones[:43])[0] == NEVER
    assert raise_to(0.0, 0.6, np.empty(0), np.empty(0)) == (0.6, "the costs alone")


def test_ties_at_the_threshold_are_all_counted() -> None:
    """Half of the posts at .9 are fine: a threshold of .9 takes them all, whatever their order."""
    probability = np.full(400, 0.9)
    label = np.arange(400) < 200
    for flipped in (label, label[::-1]):
        assert raise_to(0.9, 0.6, probability, flipped.astype(float))[0] == NEVER


def test_the_lower_bound_is_clopper_and_pearsons() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, tried, error in ((9, 10, 0.05), (44, 44, 0.01), (0, 5, 0.05), (280, 300, 0.01)):
        want = stats.binomtest(hits, tried).proportion_ci(1 - 2 * error, "exact").low
        assert lower_bound(hits, tried, error) == pytest.approx(want)


def test_each_policy_has_its_own_reason() -> None:
    rng = np.random.default_rng(0)
    probability = np.repeat(rng.random((4_000, 1)), len(POLICIES), axis=1)
    label = (rng.random(probability.shape) < probability**0.05).astype(float)
    label[:, 0] = np.nan
    found = solve(Costs.of(DEFAULT, len(POLICIES)), probability, label, 0.9)
    assert found[0].remove == NEVER and "nothing is removed" in found[0].reason
    assert all(one.remove < 1 for one in found[1:])
    assert all(one.demote <= one.queue <= one.remove for one in found)


def test_a_bent_score_is_straightened_from_few_labels_and_ranks_stay() -> None:
    posts = drawn.draw(DEFAULT, np.random.default_rng(0), 40_000)
    found = Calibration.fit(posts.score, np.where(np.arange(40_000)[:, None] < 15_000, posts.truth, np.nan))
    later = slice(15_000, None)
    probability = found.apply(posts.score[later])
    for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 1.0)):
        inside = (probability > low) & (probability <= high)
        truth, said, before = posts.truth[later][inside].mean(), probability[inside].mean(), posts.score[later][inside].mean()  # fmt: skip
        assert said == pytest.approx(truth, abs=0.05)
        if high < 1:
            assert abs(said - truth) < abs(before - truth), "the foil: the scores as they come"
    rising = np.argsort(posts.score[later], axis=0)
    assert (np.diff(np.take_along_axis(probability, rising, axis=0), axis=0) >= 0).all()


def test_too_few_labels_leave_the_scores_alone_and_reversed_ones_do_not_turn_the_order_around() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((500, 2))
    few = np.full(scores.shape, np.nan)
    few[:3] = rng.random((3, 2)) < scores[:3]
    assert Calibration.fit(scores, few).curve.slope == 1.0
    assert Calibration.fit(scores, few).apply(scores) == pytest.approx(scores, abs=1e-6)
    assert Calibration.fit(scores, few * np.nan).apply(scores) == pytest.approx(scores, abs=1e-6)
    turned = Calibration.fit(scores, (scores < 0.5).astype(float))
    assert turned.curve.slope == 1.0 and (np.diff(turned.apply(np.sort(scores, axis=0)), axis=0) > 0).all()


def test_few_labels_move_the_level_by_less_noise_than_a_curve_would() -> None:
    """Scores that are right, a hundred worlds of 300 labelled posts: what the labels seem to say about them is noise."""
    ours, curves = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores = rng.beta(0.2, 1.5, (300, 2))
        label = (rng.random(scores.shape) < scores).astype(float)
        assert label.sum() < ENOUGH
        ours.append(float(np.abs(Calibration.fit(scores, label).apply(scores) - scores).mean()))
        curves.append(float(np.abs(Platt.fit(label.ravel(), scores.ravel()).apply(scores) - scores).mean()))
    assert np.mean(ours) < 0.5 * np.mean(curves)


def test_fit_reads_the_labels_by_hand_alone() -> None:
    n = 200
    rng = np.random.default_rng(0)
    scores, label = rng.random((n, len(POLICIES))), (rng.random((n, len(POLICIES))) < 0.5).astype(float)

    def fit(natural: Floats, hand: Floats, config: Config = DEFAULT) -> policy.Policy:
        ids = np.arange(n)
        none = Images(np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8))
        rows = Rows(post_id=ids, user_id=ids, event_time=ids, moment=ids, text=np.full(n, "x"), image=ids * 0 - 1, images=none, natural_label=natural, hand_label=hand)  # fmt: skip
        return policy.fit(scores, rows, config)

    assert fit(label, label) == fit(1 - label, label) != fit(label, 1 - label)
    assert fit(label, label) != fit(label, label, replace(DEFAULT, removal_cost=50.0))


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_views_to_come_are_right_on_average_where_the_assumption_holds(strength: float) -> None:
    rng, n, half_life = np.random.default_rng(0), 200_000, 12.0
    total = rng.gamma(strength, 50 / strength, n)  # the prior
    age = rng.uniform(0, 48, n)
    share = 1 - 0.5 ** (age / half_life)
    seen, rest = rng.poisson(total * share), rng.poisson(total * (1 - share))
    said = to_come(seen.astype(float), age, np.full(n, 50.0), half_life, strength)
    for low, high in ((0, 2), (2, 10), (10, 48)):
        inside = (age >= low) & (age < high)
        assert said[inside].mean() == pytest.approx(rest[inside].mean(), rel=0.03)
    popular = (seen > 100) & (age > 5)
    assert said[popular].mean() == pytest.approx(rest[popular].mean(), rel=0.03)
    naive = (50.0 * (1 - share))[popular].mean()
    assert abs(naive / rest[popular].mean() - 1) > 0.2, "the foil: age alone"


def test_a_label_that_is_no_label_is_refused() -> None:
    with pytest.raises((InputError, AssertionError, ValueError)):
        policy.solved(np.full((3, 7), 0.5), np.full((3, 6), 1.0), DEFAULT)
