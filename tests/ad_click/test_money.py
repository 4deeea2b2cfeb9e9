"""The auction lab: money adds up, the truth is not beaten where it cannot be, and the fast loops say what the real policy says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ad_click import world
from ad_click.config import SMOKE
from ad_click.experiments import money
from ad_click.experiments.money import Lab, auctions, days, lab, market, week
from ad_click.policy import INVARIANTS, Policy
from ad_click.policy.auction import Rules
from ad_click.schema import Rows
from common.errors import InputError

BARE = Rules(floor_micros=0, hide_cost_micros=0, most_seen=10**9, pacing=0.0)


@pytest.fixture(scope="module")
def small() -> Lab:
    return money.auction_lab(SMOKE, num_requests=150, num_candidates=40)


@pytest.fixture(scope="module")
def cpc(small: Lab) -> Lab:
    return small.among(~small.cpm)


# ---- the lab


def by_hand() -> Lab:
    """One page of three ads, the third paid by impressions: worth 8,000, 5,000 and 6,000 micros in slot 0."""
    config = replace(SMOKE, num_slots=2, floor_micros=0, hide_cost_micros=0)
    truth = world.plant(config)
    cpm = np.flatnonzero(truth.catalog.categories["pricing"] == "cpm")[0]
    others = np.flatnonzero(truth.catalog.advertiser_id != truth.catalog.advertiser_id[cpm])
    first = others[truth.catalog.categories["pricing"][others] == "cpc"][0]
    other = truth.catalog.advertiser_id[others] != truth.catalog.advertiser_id[first]
    second = others[other & (truth.catalog.categories["pricing"][others] == "cpc")][0]
    ads = np.array([[first, second, cpm]])
    one = np.array([3])
    rows = Rows(user_id=one, ad_id=one, event_time=one, moment=one, label=np.zeros(1))
    bids = truth.catalog.bid_micros.copy()
    bids[ads[0]] = [400_000, 500_000, 6_000_000]
    made = Lab(config, replace(truth, catalog=replace(truth.catalog, bid_micros=bids)), rows, ads)
    vars(made)["clicks"] = np.array([[0.02, 0.01, 0.03]])  # what the cached property would hold
    return made


def test_second_prices_and_expected_money_by_hand() -> None:
    made = by_hand()
    shown = made.decide(made.clicks)
    assert shown.place.tolist() == [0, 2]
    assert shown.price.tolist() == [300_000, 0]  # 6,000 / .02
    assert shown.charge.tolist() == [0, 5_000]
    assert made.paid(shown) == pytest.approx([6_000, 5_000])
    assert made.gained(shown) == pytest.approx([2_000, 1_000])
    assert shown.clicked == pytest.approx([0.02, 0.03 * world.EXAMINED[1]])
    first = market.first_price(made, shown, made.catalog.bid_micros[made.ads].astype(float))
    assert made.gained(first) == pytest.approx([0, 0])


def test_a_wrong_probability_changes_the_price_and_then_the_winner_by_hand() -> None:
    made = by_hand()
    little, much = (made.decide(made.clicks * np.array([factor, 1.0, 1.0])) for factor in (1.1, 0.7))
    assert little.price[0] == np.ceil(6_000 / 0.022)  # said to click more, it owes less a click
    assert much.place.tolist() == [2, 0]  # 5,600 against 6,000
    assert made.paid(much)[0] == 5_600


def test_revenue_is_the_sum_of_what_each_impression_pays(small: Lab) -> None:
    shown = small.decide(small.clicks)
    found = small.outcomes(shown)
    total = sum(
        clicked * price + charge
        for clicked, price, charge in zip(
            shown.clicked.tolist(), shown.price.tolist(), shown.charge.tolist(), strict=True
        )
    )
    assert found["revenue"].sum() == pytest.approx(total)
    assert money.revenue_per_mille(found) == pytest.approx(total / len(shown.place) / 1e3)
    hidden = small.hides[shown.request, shown.place].sum() * SMOKE.hide_cost_micros
    assert found["welfare"].sum() + hidden == pytest.approx(total + found["advertiser_utility"].sum())


def test_truthful_bids_never_lose_and_nobody_owes_more_than_the_bid(small: Lab) -> None:
    shown = small.decide(auctions.errors(small)["10 % noise, ad by ad"][0])
    assert (small.gained(shown) >= -1e-6).all()
    dear = replace(shown, price=shown.price * 4, charge=shown.charge * 4)
    assert (small.gained(dear) < 0).any()  # control: such prices would be seen


@pytest.mark.parametrize("name", ["x 1.1 on half of the ads", "10 % noise, ad by ad", "one rate for all"])
def test_no_error_beats_the_exact_probabilities_in_welfare_on_any_page(cpc: Lab, name: str) -> None:
    """CPC alone and without rules: the order by worth is the best there is, page by page."""
    exact, wrong = (cpc.money(found, BARE)["welfare"] for found in (cpc.clicks, auctions.errors(cpc)[name][0]))
    hides = [
        cpc.money(found, BARE)["hides"] * SMOKE.hide_cost_micros
        for found in (cpc.clicks, auctions.errors(cpc)[name][0])
    ]
    assert (exact + hides[0] >= wrong + hides[1] - 1e-6).all()
    assert (exact + hides[0] > wrong + hides[1] + 1).any()  # control: the error does cost


def test_an_error_common_to_all_costs_nothing_among_cpc_ads_and_something_beside_cpm(small: Lab, cpc: Lab) -> None:
    exact, raised = cpc.decide(cpc.clicks, BARE), cpc.decide(1.1 * cpc.clicks, BARE)
    assert (exact.place == raised.place).all()
    assert abs(exact.price - raised.price).max() <= 1  # rounded up to a micro
    # Control: CPM bids as dear as the CPC ads' typical impressions, so that the two kinds meet.
    bids = small.catalog.bid_micros[small.ads].astype(float)
    level = np.median(np.sort(small.clicks * bids, axis=1)[:, -3])
    meeting = np.where(small.cpm[small.ads], 1000 * level, bids)
    shown = [small.decide(factor * small.clicks, BARE, bids=meeting) for factor in (1.0, 1.1)]
    assert (shown[0].place != shown[1].place).any()


def test_a_lab_of_real_data_is_refused() -> None:
    with pytest.raises(InputError, match="states no truth"):
        money.auction_lab(replace(SMOKE, data="frappe:somewhere"))


def test_candidates_may_be_shown_to_the_person_and_differ(small: Lab) -> None:
    users, truth = small.rows.user_id, small.truth
    age, country = truth.population.age(users)[:, None], truth.population.country(users)[:, None]
    assert truth.eligible(small.ads, age, country, small.rows.event_time[:, None]).all()
    assert (np.diff(small.ads, axis=1) > 0).all()


@pytest.mark.slow
def test_no_invariant_breaks_in_twenty_thousand_random_auctions() -> None:
    policy = Policy(money.auction_lab(SMOKE, 2, 5).rules, (1.0, 0.6, 0.4))
    each = 20_000 // len(INVARIANTS)
    for sentence, broken in INVARIANTS.items():
        found = [seed for seed in range(each) if broken(policy, np.random.default_rng([1, seed]))]
        assert not found, f"{sentence}: seeds {found[:3]}"


# ---- prices


@pytest.mark.parametrize("is_first", [False, True])
def test_the_fast_auction_of_best_responses_pays_what_the_policy_pays(small: Lab, is_first: bool) -> None:
    shading = market.Shading(small, is_first)
    fast = shading.alone(np.ones(shading.size))[0][:, :, 0]
    shown = small.decide(small.clicks, replace(small.rules, pacing=0.0))
    if is_first:
        shown = market.first_price(small, shown, small.catalog.bid_micros[small.ads].astype(float))
    owner = small.catalog.advertiser_id[small.ads[shown.request, shown.place]]
    real = np.zeros(fast.shape)
    np.add.at(real, (owner, shown.request), small.gained(shown))
    assert fast == pytest.approx(real, abs=2)  # prices are rounded up to a micro


def test_one_advertiser_alone_shading_gains_what_the_policy_says(small: Lab) -> None:
    shading, at = market.Shading(small, is_first=False), 6
    fast = shading.alone(np.ones(shading.size))[0]
    owner = int(fast[:, :, 0].sum(axis=1).argmax())
    mine = small.catalog.advertiser_id[small.ads] == owner
    bids = np.where(mine, market.FACTORS[at], 1.0) * small.catalog.bid_micros[small.ads].astype(float)
    shown = small.decide(small.clicks, bids=bids)
    of_owner = small.catalog.advertiser_id[small.ads[shown.request, shown.place]] == owner
    assert fast[owner, :, at] == pytest.approx(small.by_request(shown, small.gained(shown) * of_owner), abs=5)
    assert abs(fast[owner, :, at] - fast[owner, :, 0]).max() > 100  # control: shading changes something


def test_one_slot_is_truthful_under_the_second_price_and_not_under_the_first(small: Lab) -> None:
    one = replace(small, config=replace(SMOKE, num_slots=1))
    second, first = (
        market.Shading(one, is_first).alone(np.ones(market.Shading(one, is_first).size))[0]
        for is_first in (False, True)
    )
    assert (second[:, :, 1:] <= second[:, :, :1] + 1e-6).all()
    assert (first[:, :, 1:] > first[:, :, :1] + 1).any()


# ---- objectives


def test_a_conversion_is_paid_by_the_platform_not_by_the_advertiser(small: Lab) -> None:
    plain, valued = (auctions.with_conversions(small, value, 0) for value in (0, 2_000_000))
    assert plain.place.tolist() == small.decide(small.clicks, replace(small.rules, hide_cost_micros=0)).place.tolist()
    assert small.outcomes(valued)["conversions"].sum() > small.outcomes(plain)["conversions"].sum()
    assert small.outcomes(valued)["revenue"].sum() < small.outcomes(plain)["revenue"].sum()
    assert (small.gained(valued) >= -2).all()


# ---- days


@pytest.fixture(scope="module")
def lot() -> days.Stretch:
    return days.Stretch(money.auction_lab(SMOKE, 10**9, num_candidates=40, days=0.3))


@pytest.fixture(scope="module")
def played(lot: days.Stretch) -> dict[str, days.Played]:
    stop = replace(lot.lab.rules, pacing=0.0)
    arms = {
        "hard": days.Arm(rules=stop),
        "paced": days.Arm(rules=lot.lab.rules),
        "endless": days.Arm(rules=stop, endless=True),
        "once": days.Arm(rules=replace(stop, most_seen=1)),
    }
    return {name: days.play(lot, arm) for name, arm in arms.items()}


def overdraft(lot: days.Stretch, played: days.Played) -> float:
    budget = np.zeros(played.spent.shape[1])
    budget[lot.lab.catalog.campaign_id] = lot.lab.catalog.budget_micros
    return float(np.maximum(played.spent - budget, 0).max(axis=0).sum() / played.charged.sum())


@pytest.mark.slow
def test_pacing_spends_no_more_than_a_hard_stop(lot: days.Stretch, played: dict[str, days.Played]) -> None:
    """Up to the clicks that come late, which neither knows of."""
    hard, paced, endless = (played[name] for name in ("hard", "paced", "endless"))
    assert paced.charged.sum() <= 1.02 * hard.charged.sum()
    assert overdraft(lot, paced) <= overdraft(lot, hard) + 0.01 < 0.1
    assert overdraft(lot, endless) > 2 * overdraft(lot, hard)  # control


@pytest.mark.parametrize("reserve", [True, False])
def test_expected_clicks_are_set_aside_for_an_hour_or_two(lot: days.Stretch, reserve: bool) -> None:
    day = days._Day(lot, days.Arm(rules=lot.lab.rules, reserve=reserve))
    day.move(0)
    place, nothing = np.array([4]), np.zeros(1, np.int64)
    campaign = lot.lab.catalog.campaign_id[lot.lab.ads]
    day.show(0, place, nothing, nothing + 7, np.array([5_000.0]))
    assert day.auction(0)[2].spent_micros[4] == (5_007 if reserve else 7)
    for hours, aside in ((1, 5_000), (2, 0)):
        later = int(np.flatnonzero(lot.lab.rows.event_time >= day.start + hours * days.HOUR)[0])
        day.move(later)
        mine = campaign[later] == campaign[0, 4]
        assert (day.auction(later)[2].spent_micros == np.where(mine, 7 + aside * reserve, 0)).all()


@pytest.mark.parametrize("reserve", [True, False])
def test_a_click_takes_back_what_was_set_aside_for_it(lot: days.Stretch, reserve: bool) -> None:
    day = days._Day(lot, days.Arm(rules=lot.lab.rules, reserve=reserve))
    day.move(0)
    mine = int(lot.lab.catalog.campaign_id[lot.lab.ads[0, 4]])
    day.show(0, np.array([4]), np.array([0]), np.array([0]), np.array([5_000.0]))
    day.due = [(day.start, mine, 90_000.0, 5_000.0)]
    day.move(0)
    assert day.auction(0)[2].spent_micros[4] == 90_000
    day.taken_back[:] = 0  # control: what a click costs twice
    assert day.auction(0)[2].spent_micros[4] == (95_000 if reserve else 90_000)


@pytest.mark.slow
def test_the_money_that_was_owed_is_the_money_that_was_charged(
    lot: days.Stretch, played: dict[str, days.Played]
) -> None:
    """All clicks that come before the counters end are charged, in the hour in which they come."""
    found = played["endless"]
    assert found.charged.sum() == pytest.approx(lot.lab.paid(found.shown).sum(), rel=0.15)  # drawn against expected
    assert found.spent[0] == pytest.approx(found.charged[0])
    assert found.spent[26] == pytest.approx(found.charged[3:27].sum(axis=0))


@pytest.mark.slow
def test_nobody_is_shown_an_ad_too_often(lot: days.Stretch, played: dict[str, days.Played]) -> None:
    most = {}
    for name in ("once", "hard"):
        shown = played[name].shown
        pairs = lot.lab.rows.user_id[shown.request] * 10_000 + lot.lab.ads[shown.request, shown.place]
        most[name] = np.unique(pairs, return_counts=True)[1].max()
    assert most["once"] == 1 < most["hard"]


# ---- a week of new ads


def test_beliefs_go_to_the_truth_as_clicks_come() -> None:
    new, rng = np.array([True, True, False]), np.random.default_rng(0)
    belief = week.Belief(new, np.array([0.5, 2.0, 3.0]), np.full(3, 5.0), np.full(3, 5.0))
    ads = np.arange(3)[None, :]
    assert belief.mean(rng, ads).tolist() == [[1.0, 1.0, 3.0]]
    assert (belief.hopeful(rng, ads)[0, :2] > 1.2).all() and belief.hopeful(rng, ads)[0, 2] == 3.0
    many = np.repeat(np.arange(2), 4_000)
    exposure = np.full(8_000, 0.5)
    belief.learn(many, rng.poisson(exposure * belief.factor[many]).astype(float), exposure)
    assert belief.mean(rng, ads) == pytest.approx(np.array([[0.5, 2.0, 3.0]]), rel=0.1)
    draws = np.std([belief.drawn(rng, ads) for _ in range(200)], axis=0)[0]
    assert 0 < draws[:2].max() < 0.1 and draws[2] == 0


def test_words_say_something_of_an_ad_nobody_has_seen(small: Lab) -> None:
    factor, titles = small.truth.quality, small.catalog.categories["title"].tolist()
    known = np.arange(len(factor)) % 4 > 0
    found = np.log(week._by_words(titles, factor, known))[~known]
    assert np.corrcoef(found, factor[~known])[0, 1] > 0.15
    shuffled = np.random.default_rng(0).permutation(titles).tolist()
    assert np.corrcoef(np.log(week._by_words(shuffled, factor, known))[~known], factor[~known])[0, 1] < 0.15


def test_new_ads_left_out_are_not_shown_and_known_ones_earn_more(small: Lab) -> None:
    wide = money.auction_lab(SMOKE, 300, num_candidates=10**9)
    found = {
        name: week._platform(wide, (0, 2), week.STRATEGIES[name]) for name in ("new ads left out", "new ads known")
    }
    out, known = found["new ads left out"], found["new ads known"]
    assert out["clicks on new ads, after it"] < 0.01 * known["clicks on new ads, after it"]
    assert out["revenue, after it"] < known["revenue, after it"]


# ---- every experiment


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(money.EXPERIMENTS))
def test_every_experiment_gives_a_table_whose_rows_agree(name: str) -> None:
    table = money.EXPERIMENTS[name](SMOKE)
    assert len({tuple(row) for row in table}) == 1
    assert all(row["low"] <= row["high"] for row in table)


def test_a_difference_in_percent_by_hand() -> None:
    users = np.array([0, 0, 1, 1, 2, 2])
    found = lab.percent(np.full(6, 3.0), np.full(6, 2.0), users)
    assert (found.value, found.low, found.high) == (50.0, 50.0, 50.0)
