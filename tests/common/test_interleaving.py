"""Interleaving and A/B tests against their papers written out in plain Python, against every coin there can be, and on traffic with a planted answer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy import stats

from common.contract import Bools, Floats, Ints, Table
from common.errors import InputError
from common.eval import interleaving, intervals, power
from common.eval.interleaving import balanced_credit, credit, team_draft
from common.eval.report import Interval


def lists(rng: np.random.Generator, n: int, k: int, documents: int) -> Ints:
    """[n, k] without repeats, some cut short by pads."""
    found = np.argsort(rng.random((n, documents)), axis=1)[:, :k]
    return np.where(np.arange(k) < rng.integers(0, k + 1, n)[:, None] + k // 2, found, -1)


def coins(rounds: int) -> Floats:
    return np.array(list(product([0.25, 0.75], repeat=rounds)))


def drafted(a: list[int], b: list[int], draws: list[float], k: int) -> tuple[list[int], list[int]]:
    """Algorithm 2 of Radlinski, Kurup and Joachims, and our filling up once one of the two has nothing left."""
    page: list[int] = []
    team_a, team_b = set[int](), set[int]()
    while len(page) < k:
        left_a, left_b = ([d for d in ranked if d not in page] for ranked in (a, b))
        if not left_a or not left_b:
            page += (left_a or left_b)[: k - len(page)]
            break
        a_picks = draws[len(page) // 2] < 0.5 if len(team_a) == len(team_b) else len(team_a) < len(team_b)
        page.append((left_a if a_picks else left_b)[0])
        (team_a if a_picks else team_b).add(page[-1])
    return page, [(d in team_a) - (d in team_b) for d in page]


def merged(a: list[int], b: list[int], a_first: bool, k: int) -> list[int]:
    """Algorithm 1 of the same, up to k documents."""
    page, at_a, at_b = list[int](), 0, 0
    while len(page) < k and at_a < len(a) and at_b < len(b):
        if at_a < at_b or (at_a == at_b and a_first):
            page += [a[at_a]] if a[at_a] not in page else []
            at_a += 1
        else:
            page += [b[at_b]] if b[at_b] not in page else []
            at_b += 1
    return page


def balanced_winner(a: list[int], b: list[int], page: list[int], clicked: list[int]) -> int:
    """Joachims 2002, as told by Radlinski et al., 4.1."""
    if not clicked:
        return 0
    lowest = max(clicked, key=page.index)
    depth = min(ranked.index(lowest) + 1 for ranked in (a, b) if lowest in ranked)
    return int(np.sign(len(set(clicked) & set(a[:depth])) - len(set(clicked) & set(b[:depth]))))


def test_a_team_draft_is_that_of_its_paper_list_by_list() -> None:
    rng = np.random.default_rng(0)
    for k in (1, 2, 5, 8):
        a, b, draws = lists(rng, 300, k, 12), lists(rng, 300, k, 12), rng.random((300, (k + 1) // 2))
        ids, team = team_draft(a, b, draws)
        for row in range(300):
            page, teams = drafted([d for d in a[row] if d >= 0], [d for d in b[row] if d >= 0], list(draws[row]), k)
            pads = [-1] * (k - len(page))
            assert ids[row].tolist() == page + pads and team[row].tolist() == teams + [0] * len(pads)


def test_no_document_is_shown_twice_teams_are_even_and_the_rankers_may_change_sides() -> None:
    rng = np.random.default_rng(1)
    a, b, draws = lists(rng, 2_000, 6, 9), lists(rng, 2_000, 6, 9), rng.random((2_000, 3))
    ids, team = team_draft(a, b, draws)
    assert (np.abs(team.sum(axis=1)) <= 1).all()
    for page, one, other in zip(ids, a, b, strict=True):
        shown, known = page[page >= 0], {*one, *other} - {-1}
        assert len(set(shown)) == len(shown) == min(6, len(known)) and set(shown) <= known
    mirrored_ids, mirrored = team_draft(b, a, 1 - draws)
    assert (mirrored_ids == ids).all() and (mirrored == -team).all()


def test_balanced_interleaving_is_that_of_its_paper_list_by_list() -> None:
    rng = np.random.default_rng(2)
    a, b = (np.argsort(rng.random((400, 9)), axis=1)[:, :5] for _ in range(2))
    draws, clicks = rng.random(400), rng.random((400, 5)) < 0.3
    ids = interleaving.balanced(a, b, draws)
    won = balanced_credit(a, b, ids, clicks)
    for row in range(400):
        one, other, page = a[row].tolist(), b[row].tolist(), ids[row].tolist()
        assert page == merged(one, other, bool(draws[row] < 0.5), 5)
        assert won[row] == balanced_winner(one, other, page, ids[row][clicks[row]].tolist())


LEFT, RIGHT = [1, 2, 3, 4], [2, 3, 4, 1]  # the same documents; b has moved one from the top to the end


def test_balanced_interleaving_prefers_a_side_though_every_document_is_as_good() -> None:
    """Users click by place alone, so no ranker is better. Balanced gives the game to b, surer with every session; team draft does not."""
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(2_000), 3)
    a, b = (np.tile(ranked, (len(users), 1)) for ranked in (LEFT, RIGHT))
    clicks = rng.random(a.shape) < 0.5 / np.arange(1, 5)
    page = interleaving.balanced(a, b, rng.random(len(a)))
    biased = interleaving.preference(balanced_credit(a, b, page, clicks), users)
    fair = interleaving.preference(credit(team_draft(a, b, rng.random((len(a), 2)))[1], clicks), users)
    assert biased.high is not None and fair.low is not None and fair.high is not None
    assert biased.high < -0.1 and fair.low < 0 < fair.high


def expected_credit(a: list[int], b: list[int], clicks: Callable[[Ints], Bools]) -> float:
    """Team draft over every coin there can be."""
    draws = coins((len(a) + 1) // 2)
    ids, team = team_draft(np.tile(a, (len(draws), 1)), np.tile(b, (len(draws), 1)), draws)
    return float(credit(team, clicks(ids)).mean())


def test_clicks_that_look_at_places_alone_prefer_nobody_in_a_team_draft() -> None:
    rng = np.random.default_rng(4)
    for places in product([False, True], repeat=4):
        clicks = np.array(places)
        for _ in range(20):
            a, b = (rng.permutation(6)[:4].tolist() for _ in range(2))
            assert expected_credit(a, b, lambda ids, clicks=clicks: np.tile(clicks, (len(ids), 1))) == 0  # type: ignore[misc]
    shown = merged(
        LEFT, RIGHT, True, 4
    )  # the control: a single click on any place but the first goes to b under balanced
    assert [balanced_winner(LEFT, RIGHT, shown, [document]) for document in shown] == [1, -1, -1, -1]


def test_a_team_draft_sees_the_better_order_except_where_it_is_blind() -> None:
    assert expected_credit([9, 1, 2], [1, 2, 3], lambda ids: ids == 9) == 1
    assert expected_credit([3, 1, 2], [1, 2, 3], lambda ids: ids == 3) > 0.5
    assert expected_credit([1, 2, 3], [2, 3, 1], lambda ids: ids == 3) == 0  # b is better, and nobody will ever know


def test_places_no_one_contests_give_noise_and_no_preference() -> None:
    rng = np.random.default_rng(5)
    pair, found = power.rankers(1.0, 0), power.traffic(8_000, rng)
    a, b = pair.a[found.queries], pair.b[found.queries]
    ids, team = team_draft(a, b, rng.random((len(a), 3)))
    clicks = rng.random(ids.shape) < power.pleases(pair, found, ids)
    fought = interleaving.contested(a, b, team)
    assert not interleaving.contested(a, a, team).any()
    assert (fought != team).any() and ((fought == team) | (a == b)).all()
    plain, without = (interleaving.preference(credit(which, clicks), found.users) for which in (team, fought))
    assert width(without) < width(plain) and abs(without.value - plain.value) < width(plain)


def width(interval: Interval) -> float:
    assert interval.high is not None
    return interval.high - interval.value


def sessions(rng: np.random.Generator, effect: float = 0.0, num_users: int = 400) -> tuple[Floats, Ints, Bools, Floats]:
    """Heavy-tailed users with a level of their own -> (units, users, in_a, the user's level before)."""
    found = power.traffic(num_users, rng)
    in_a = (rng.random(num_users) < 0.5)[found.users]
    return found.readiness + effect * in_a + rng.normal(size=len(in_a)), found.users, in_a, found.before


def test_ab_is_the_delta_method_written_out_and_the_bootstrap_over_users() -> None:
    units, users, in_a, _ = sessions(np.random.default_rng(6))
    variance = 0.0
    for arm in (in_a, ~in_a):  # Deng, Knoblich and Lu, equation 4: var(Y/N) from var(Y), var(N), cov(Y, N) of users
        _, index = np.unique(users[arm], return_inverse=True)
        y, n = np.bincount(index, units[arm]), np.bincount(index)
        ratio, cov = y.mean() / n.mean(), np.cov(y, n)
        variance += (cov[0, 0] - 2 * ratio * cov[0, 1] + ratio**2 * cov[1, 1]) / n.mean() ** 2 / len(n)
    found = interleaving.ab(units, users, in_a)
    assert found.value == pytest.approx(units[in_a].mean() - units[~in_a].mean())
    assert width(found) == pytest.approx(stats.t.ppf(0.975, found.n - 1) * variance**0.5, rel=0.01)

    def difference(units: Floats, in_a: Floats, weights: Floats | None = None) -> float:
        of_a, of_b = (arm * (1.0 if weights is None else weights) for arm in (in_a, 1 - in_a))
        return float(of_a @ units / of_a.sum() - of_b @ units / of_b.sum())

    resampled = intervals.bootstrap(difference, (units, in_a.astype(float)), users, seed=0, reps=1_000)
    assert resampled.value == pytest.approx(found.value) and width(resampled) == pytest.approx(width(found), rel=0.1)


def test_ab_holds_the_planted_difference_nineteen_times_in_twenty_and_the_session_wise_one_does_not() -> None:
    held = np.zeros(2)
    for seed in range(500):
        units, users, in_a, _ = sessions(np.random.default_rng(seed), effect=0.3, num_users=800)
        clustered, naive = (interleaving.ab(units, who, in_a) for who in (users, np.arange(len(users))))
        held += [abs(clustered.value - 0.3) <= width(clustered), abs(naive.value - 0.3) <= width(naive)]
    assert 0.92 <= held[0] / 500 <= 0.97 and held[1] / 500 < 0.8


def test_cuped_shortens_the_interval_and_what_was_measured_during_the_test_takes_the_effect_away() -> None:
    units, users, in_a, before = sessions(np.random.default_rng(7), effect=0.5, num_users=3_000)
    plain = interleaving.ab(units, users, in_a)
    reduced = interleaving.ab(interleaving.cuped(units, before, users), users, in_a)
    assert width(reduced) < 0.85 * width(plain) and abs(reduced.value - 0.5) < width(reduced)
    during = (np.bincount(users, units) / np.bincount(users))[users]
    assert abs(interleaving.ab(interleaving.cuped(units, during, users), users, in_a).value) < 0.1


@pytest.mark.parametrize("in_a", [[False] * 4, [True] * 4, [True, True, False, False]])
def test_an_arm_of_fewer_than_two_users_is_refused(in_a: list[bool]) -> None:
    with pytest.raises(InputError, match="fewer than two users"):
        interleaving.ab(np.ones(4), np.array([0, 0, 1, 2]), np.array(in_a))


def test_sample_ratio_is_pearsons_chi_square_and_alarms_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    shares = np.array([0.2, 0.3, 0.5])
    draws = rng.multinomial(10_000, shares, size=2_000)
    found = np.array([interleaving.sample_ratio(counts, shares) for counts in draws])
    assert found[:50] == pytest.approx([stats.chisquare(counts, 10_000 * shares).pvalue for counts in draws[:50]])
    assert 0.035 < (found < 0.05).mean() < 0.065
    half = np.array([0.5, 0.5])
    assert interleaving.sample_ratio(np.array([50_000, 49_000]), half) < 0.01
    assert interleaving.sample_ratio(np.array([50_000, 50_020]), half) > 0.5


def test_a_sample_ratio_of_sessions_alarms_without_a_fault() -> None:
    alarms = np.zeros(2)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        visits = np.bincount(power.traffic(1_000, rng).users)
        in_a = rng.random(1_000) < 0.5
        for which, weights in enumerate((np.ones(1_000, int), visits)):
            counts = np.array([weights[in_a].sum(), weights[~in_a].sum()])
            alarms[which] += interleaving.sample_ratio(counts, np.array([0.5, 0.5])) < 0.05
    assert alarms[0] / 300 < 0.09 and alarms[1] / 300 > 0.3


@pytest.mark.parametrize(("counts", "shares", "said"), [([5, 5], [0.5, 0.6], "sum to 1"), ([5, 5], [0.0, 1.0], "positive"), ([0, 0], [0.5, 0.5], "at least one"), ([-1, 5], [0.5, 0.5], "below 0")])  # fmt: skip
def test_counts_and_shares_that_cannot_be_are_refused(counts: list[int], shares: list[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        interleaving.sample_ratio(np.array(counts), np.array(shares))


# ------------------------------------------------------------------------------------------------------------- planted traffic


def test_the_planted_null_is_exact_and_the_effect_grows() -> None:
    found = [power.lift(power.rankers(effect, 3)) for effect in (0.0, 0.25, 0.5, 1.0)]
    assert found[0] == pytest.approx(0, abs=1e-9) and found == sorted(found) and found[-1] > 5
    pair = power.rankers(0.0, 3)
    assert (pair.a != pair.b).any(axis=1).mean() > 0.9


def rates(found: Table) -> dict[str, float]:
    return {row["test"]: row["rate"] for row in found}


@pytest.mark.slow
def test_two_thousand_a_a_tests_are_refuted_one_time_in_twenty_and_the_foils_more_often() -> None:
    found = rates(power.false_positives(2_000))
    for name in power.HONEST:
        assert 0.04 <= found[name] <= 0.06, (name, found)
    assert found["A/B, a session a user"] > 0.2
    assert found["team draft, a session a user"] > 0.1 and found["team draft, a click a user"] > 0.08


@pytest.mark.slow
def test_where_no_user_leans_to_either_ranker_interleaving_by_session_is_right_and_the_a_b_test_is_not() -> None:
    """Its coin is tossed anew each session: only a preference that lasts makes sessions of one user go the same way."""
    found = rates(power.false_positives(400, num_users=400, lean=0.0))
    assert found["team draft, a session a user"] < 0.08 and found["A/B, a session a user"] > 0.15


@pytest.mark.slow
def test_where_a_few_users_are_most_of_the_traffic_five_percent_is_not_kept() -> None:
    assert rates(power.false_positives(1_000, num_users=200, most=10**6))["A/B"] > 0.07


@pytest.mark.slow
def test_interleaving_takes_a_small_part_of_the_sessions_for_the_same_power() -> None:
    found = {row["test"]: row for row in power.power_table((1.0,), reps=100)}
    assert all(0.68 <= row["power"] <= 0.92 for row in found.values())
    assert found["team draft"]["times_fewer_than_ab"] > 4 and found["A/B, CUPED"]["times_fewer_than_ab"] > 1.4


@pytest.mark.slow
def test_the_sessions_of_the_a_b_test_are_those_of_the_formula() -> None:
    """The oracle: n = (z / difference)^2 * n0 * variance at n0, the variance from one large test and the difference exact."""
    rng, pair = np.random.default_rng(9), power.rankers(1.0, 0)
    found = power.traffic(60_000, rng)
    seen = power.split(pair, found, rng)["A/B"]
    of_b = power.pleases(pair, found, pair.b[found.queries]).sum(axis=1).mean()
    standard_error = width(seen) / power.ALONE
    expected = len(found.users) * (power.BOTH * standard_error / (power.lift(pair) / 100 * of_b)) ** 2
    assert power.sessions_needed("A/B", 1.0, reps=150)["sessions"] == pytest.approx(expected, rel=0.2)


def test_no_number_of_sessions_finds_what_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot be found"):
        power.sessions_needed("team draft", 0.0)
