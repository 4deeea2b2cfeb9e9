"""The auction over random candidates; every invariant is seen to fail for a policy that breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ad_click import policy
from ad_click.config import SMOKE
from ad_click.policy import INVARIANTS, Candidates, Context, Decision, Policy
from ad_click.policy.auction import Rules, worth
from ad_click.policy.invariants import draw
from ad_click.schema import Request, Rows
from common.contract import Floats, Why

RULES = Rules(floor_micros=10_000, hide_cost_micros=50_000, most_seen=5, pacing=2.0)
POLICY = Policy(RULES, (1.0, 0.6, 0.4))
PLAIN = Policy(replace(RULES, hide_cost_micros=0, pacing=0.0), (1.0, 0.6, 0.4))


@pytest.mark.parametrize("sentence", INVARIANTS)
@pytest.mark.parametrize("pacing", [2.0, 0.0])
def test_the_rule_holds_on_random_candidates(sentence: str, pacing: float) -> None:
    held = replace(POLICY, rules=replace(RULES, pacing=pacing))
    for seed in range(100):  # as many as the policies below need at most to be caught
        assert INVARIANTS[sentence](held, np.random.default_rng(seed)) == "", seed


Spoil = Callable[[Decision, Candidates, Context], Decision]


class Spoilt(Policy):
    """Decides as the policy does, then spoils the decision."""

    spoil: Spoil

    def decide(self, request: Request, candidates: Candidates, context: Context) -> Decision:
        return type(self).spoil(super().decide(request, candidates, context), candidates, context)


class Eager(Rules):
    """Bids more the more it has spent."""

    def share(self, context: Context) -> Floats:
        share: Floats = 0.5 + context.spent_micros / np.maximum(context.budget_micros, 1)
        return share


def _everyone(decision: Decision, candidates: Candidates, context: Context) -> Decision:
    index = np.arange(len(candidates.ad_id))
    return replace(
        decision,
        index=index,
        price_micros=np.where(candidates.cpm, 0, candidates.bid_micros),
        charge_micros=np.where(candidates.cpm, candidates.bid_micros // 1000, 0),
    )


def _first_price(decision: Decision, candidates: Candidates, context: Context) -> Decision:
    bid, cpm = candidates.bid_micros[decision.index], candidates.cpm[decision.index]
    return replace(decision, price_micros=np.where(cpm, 0, bid), charge_micros=np.where(cpm, bid // 1000, 0))


def _all_ads_but(rule: str) -> Spoil:
    """Everyone but those whom the other rules leave out."""

    def spoil(decision: Decision, candidates: Candidates, context: Context) -> Decision:
        out = RULES.out(candidates, context, worth(candidates, context, RULES))
        others = np.logical_or.reduce([which for name, which in out.items() if name != rule])
        whole = _everyone(decision, candidates, context)
        return replace(
            whole,
            index=whole.index[~others],
            price_micros=whole.price_micros[~others],
            charge_micros=whole.charge_micros[~others],
        )

    return spoil


OWED = "nobody owes more than the bid or less than the floor, nor twice"
BUDGET = "a campaign can pay for every click on the page"
SPOILT: list[tuple[str, Spoil]] = [
    (OWED, lambda d, c, x: replace(d, price_micros=d.price_micros * 3)),
    (OWED, lambda d, c, x: replace(d, charge_micros=d.charge_micros * 3)),
    (OWED, lambda d, c, x: replace(d, price_micros=d.price_micros // 1_000, charge_micros=d.charge_micros // 1_000)),
    (OWED, lambda d, c, x: replace(d, charge_micros=d.charge_micros + 1)),
    ("a higher slot has no lower value", _everyone),
    (BUDGET, _all_ads_but("budget")),
    ("an advertiser is shown once", _everyone),
    ("a hidden ad is not shown", _all_ads_but("hidden")),
    ("nobody is shown one ad too often", _all_ads_but("frequency")),
    ("the winner's own bid is not in its price", _first_price),
]


@pytest.mark.parametrize(("sentence", "spoil"), SPOILT)
def test_a_policy_that_breaks_the_rule_is_caught(sentence: str, spoil: Spoil) -> None:
    spoilt = type("Broken", (Spoilt,), {"spoil": staticmethod(spoil)})(RULES, (1.0,))
    assert any(INVARIANTS[sentence](spoilt, np.random.default_rng(seed)) for seed in range(50))


def test_pacing_that_runs_the_wrong_way_is_caught() -> None:
    spoilt = Policy(Eager(**vars(RULES)), (1.0,))
    rule = INVARIANTS["a campaign that has spent more is worth no more"]
    assert any(rule(spoilt, np.random.default_rng(seed)) for seed in range(50))


class BudgetPerAd(Policy):
    """Looks whether each ad can pay, and not that another of its campaign has to be paid from the same budget."""

    def decide(self, request: Request, candidates: Candidates, context: Context) -> Decision:
        apart = np.full(len(candidates.campaign_id), -1)
        return super().decide(request, replace(candidates, campaign_id=apart), context)


@pytest.mark.parametrize("pacing", [2.0, 0.0])
def test_a_budget_that_two_ads_of_a_page_draw_on_is_caught(pacing: float) -> None:
    spoilt = BudgetPerAd(replace(RULES, pacing=pacing), (1.0,))
    assert any(INVARIANTS[BUDGET](spoilt, np.random.default_rng(seed)) for seed in range(100))


def test_every_rule_has_a_policy_that_breaks_it() -> None:
    spoilt = {sentence for sentence, _ in SPOILT} | {"a campaign that has spent more is worth no more"}
    assert spoilt == set(INVARIANTS)


def auction(
    *ads: tuple[float, int, str], spent: int = 0, hide: float = 0.0, num_slots: int = 2, held: Policy = PLAIN
) -> Decision:
    """Ads 1, 2, ... of an advertiser each, as (probability, bid, pricing), with budgets of ten units; `spent` and `hide` are of ad 1."""
    n = len(ads)
    first = np.arange(n) == 0
    candidates = Candidates(
        ad_id=1 + np.arange(n),
        campaign_id=1 + np.arange(n),
        advertiser_id=1 + np.arange(n),
        probability=np.array([probability for probability, _, _ in ads]),
        hide_probability=hide * first,
        bid_micros=np.array([bid for _, bid, _ in ads]),
        cpm=np.array([pricing == "cpm" for _, _, pricing in ads]),
    )
    context = Context(
        budget_micros=np.full(n, 10_000_000),
        spent_micros=spent * first,
        hidden=np.zeros(n, dtype=bool),
        num_seen=np.zeros(n, dtype=np.int64),
    )
    return held.decide(Request(user_id=0, num_slots=num_slots), candidates, context)


def owed(shown: Decision) -> list[tuple[int, int, int]]:
    """(ad, micros a click, micros for the impression) slot by slot."""
    columns = (1 + shown.index, shown.price_micros, shown.charge_micros)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def why(shown: Decision, ad_id: int) -> list[Why]:
    return [line for line in shown.why if line.item == ad_id]


def test_second_price_by_hand() -> None:
    shown = auction((0.02, 500_000, "cpc"), (0.01, 800_000, "cpc"), (0.005, 1_000_000, "cpc"))
    assert owed(shown) == [(1, 400_000, 0), (2, 500_000, 0)]  # 8000 / .02 and 5000 / .01
    assert shown.probability.tolist() == [0.02, 0.006]


def test_clicks_and_impressions_compete_by_hand() -> None:
    """A thousand impressions for 8 are 8000 micros each: less than .02 x .5 = 10000 and more than .005 x 1 = 5000."""
    clicks = (0.02, 500_000, "cpc"), (0.005, 1_000_000, "cpc")
    below = auction(clicks[0], (0.03, 8_000_000, "cpm"), clicks[1])
    assert owed(below) == [(1, 400_000, 0), (2, 0, 5_000)]
    above = auction(clicks[0], (0.0, 12_000_000, "cpm"), clicks[1])  # whether it is clicked does not matter to it
    assert owed(above) == [(2, 0, 10_000), (1, 250_000, 0)]


def test_a_hide_costs_the_place_or_the_price() -> None:
    """Ad 1 is worth 10000 - .01 x 50000 = 9500; it has to be worth 8000 after the harm, 8500 before it."""
    ads = (0.02, 500_000, "cpc"), (0.0, 8_000_000, "cpm"), (0.005, 1_000_000, "cpc")
    held = replace(PLAIN, rules=replace(PLAIN.rules, hide_cost_micros=50_000))
    assert owed(auction(*ads, hide=0.01, held=held)) == [(1, 425_000, 0), (2, 0, 5_000)]
    assert owed(auction(*ads, hide=0.1, held=held)) == [
        (2, 0, 5_000),
        (1, 500_000, 0),
    ]  # 5000 left of it: a tie with ad 3
    assert owed(auction(*ads, hide=0.1)) == [(1, 400_000, 0), (2, 0, 5_000)]  # control: hides that cost nothing


def test_alone_one_owes_the_floor_by_hand() -> None:
    """10000 micros a thousand are 10 an impression: 500 micros a click at .02."""
    assert owed(auction((0.02, 500_000, "cpc"))) == [(1, 500, 0)]
    assert owed(auction((0.02, 500_000, "cpm"))) == [(1, 0, 10)]
    assert owed(auction((0.02, 500, "cpc"))) == [(1, 500, 0)], "exactly the floor"
    for below in ((0.02, 499, "cpc"), (0.9, 9_999, "cpm")):
        shown = auction(below)
        assert not owed(shown) and [line.reason for line in shown.why] == ["floor"]


@pytest.mark.parametrize(
    ("spent", "share"), [(0, 1.0), (5_000_000, 1.0), (6_000_000, 0.8), (7_500_000, 0.5), (9_000_000, 0.2)]
)
def test_pacing_by_hand(spent: int, share: float) -> None:
    """pacing 2: bids fall from the moment half of the budget is spent, to nothing at its end."""
    held = replace(PLAIN, rules=replace(PLAIN.rules, pacing=2.0))
    ads = (0.02, 500_000, "cpc"), (0.01, 600_000, "cpc")
    worth_first, worth_second = 10_000 * share, 6_000.0
    first, second = (1, 300_000, 0), (2, 1_000, 0)
    if worth_first < worth_second:  # the other is first, and owes what the paced bid is worth
        first, second = (2, round(worth_first / 0.01), 0), (1, 500, 0)
    assert owed(auction(*ads, spent=spent, held=held)) == [first, second]
    unpaced = auction(*ads, spent=spent)
    assert owed(unpaced)[0] == (1, 300_000, 0), "control: without pacing it stays first"
    assert ("paced to" in why(auction(*ads, spent=spent, held=held), 1)[0].evidence) == (share < 1)


def test_a_budget_that_cannot_pay_the_next_click_is_left_out() -> None:
    ads = (0.02, 500_000, "cpc"), (0.0, 400_000, "cpm")
    assert [ad for ad, _, _ in owed(auction(*ads, spent=9_500_000))] == [1, 2]
    spent = auction(*ads, spent=9_500_001)
    assert [ad for ad, _, _ in owed(spent)] == [2] and why(spent, 1)[0].reason == "budget"
    assert "next click or impression" in why(spent, 1)[0].evidence
    an_impression = auction(ads[1], spent=9_999_600)  # 400 micros are enough for it
    assert len(owed(an_impression)) == 1 and not owed(auction(ads[1], spent=9_999_601))


def test_why_names_winners_and_losers_with_what_was_needed() -> None:
    shown = auction(
        (0.02, 500_000, "cpc"), (0.0, 8_000_000, "cpm"), (0.005, 1_000_000, "cpc"), (0.0, 2_000_000, "cpm"), num_slots=2
    )
    assert [(line.item, line.reason, line.effect) for line in shown.why] == [
        (1, "won", 10_000), (2, "won", 8_000), (3, "outbid", -3_000), (4, "outbid", -6_000),
    ]  # fmt: skip
    assert [line.evidence for line in shown.why] == [
        "0.02000 in slot 0 x 0.5000; 0.02000 in its own, owes 0.4000 a click",
        "bid 8.0000 for a thousand, owes 5.0000 for them",
        "0.00500 x 1.0000, a bid of 1.6000 was needed",
        "bid 2.0000 for a thousand, 8.0000 was needed",
    ]


def test_the_bid_that_was_needed_has_the_last_place_and_less_has_not() -> None:
    """On random auctions, paced bids among them: a loser that bids what `why` says is shown, a hundredth less and it is not."""
    asked = 0
    for seed in range(200):
        request, candidates, context = draw(np.random.default_rng(seed))
        for line in POLICY.decide(request, candidates, context).why:
            place = int(np.flatnonzero(candidates.ad_id == line.item)[0])
            needed = re.search(r"(\S+) was needed", line.evidence)
            left = context.budget_micros[place] - context.spent_micros[place]
            if needed is None or (not candidates.probability[place] and not candidates.cpm[place]):
                continue
            bid = round(1e6 * float(needed[1]))
            if bid + 100 > left * (1000 if candidates.cpm[place] else 1) or bid < 10_000:
                continue  # its budget could not pay that bid, or four decimals say too little
            asked += 1
            for offered, wins in ((bid + 100, True), (bid * 99 // 100, False)):
                bids = np.where(candidates.ad_id == line.item, offered, candidates.bid_micros)
                again = POLICY.decide(request, replace(candidates, bid_micros=bids), context)
                assert (place in again.index) == wins, (seed, line)
    assert asked > 50


def test_a_second_ad_of_an_advertiser_says_why_it_is_not_shown() -> None:
    request, candidates, context = Request(user_id=0, num_slots=2), *_two_of_one()
    shown = POLICY.decide(request, candidates, context)
    assert shown.index.tolist() == [0, 2] and why(shown, 2)[0].reason == "advertiser"
    nobody = replace(candidates, advertiser_id=np.array([-1, -1, 9]))  # ads without an advertiser are each their own
    assert POLICY.decide(request, nobody, context).index.tolist() == [0, 1]


def test_one_page_cannot_overspend_a_campaign_whose_advertiser_is_unknown() -> None:
    """Ads of one campaign, a budget that pays one click and not two: one is shown, and the others say why they are not."""
    request, candidates, context = Request(user_id=0, num_slots=3), *_two_of_one()
    candidates = replace(candidates, advertiser_id=np.full(3, -1), campaign_id=np.array([7, 7, 7]))
    context = replace(context, budget_micros=np.full(3, 500_000))
    shown = PLAIN.decide(request, candidates, context)
    assert shown.index.tolist() == [0]
    assert [(line.item, line.reason) for line in shown.why] == [(1, "won"), (2, "campaign"), (3, "campaign")]
    other = replace(candidates, campaign_id=np.array([7, 7, 8]))
    assert PLAIN.decide(request, other, context).index.tolist() == [0, 2]
    apart = replace(candidates, campaign_id=np.full(3, -1))  # negative control: of no campaign
    assert PLAIN.decide(request, apart, context).index.tolist() == [0, 1, 2]


def test_who_leaves_for_its_advertiser_keeps_nobody_of_its_campaign_out() -> None:
    """Down the page: ad 2 leaves beside ad 1 of its advertiser, so ad 3 of ad 2's campaign may be shown."""
    _, candidates, context = Request(user_id=0), *_two_of_one()
    candidates = replace(candidates, campaign_id=np.array([1, 2, 2]))
    shown = POLICY.decide(Request(user_id=0, num_slots=2), candidates, context)
    assert shown.index.tolist() == [0, 2] and why(shown, 2)[0].reason == "advertiser"


def _two_of_one() -> tuple[Candidates, Context]:
    three = np.zeros(3, dtype=np.int64)
    candidates = Candidates(
        ad_id=np.array([1, 2, 3]),
        campaign_id=np.array([1, 2, 3]),
        advertiser_id=np.array([5, 5, 9]),
        probability=np.array([0.02, 0.02, 0.02]),
        hide_probability=np.zeros(3),
        bid_micros=np.array([500_000, 400_000, 300_000]),
        cpm=np.zeros(3, dtype=bool),
    )
    return candidates, Context(budget_micros=three + 10**7, spent_micros=three, hidden=three > 0, num_seen=three)


def test_slot_multipliers_are_clicks_over_predictions() -> None:
    rng = np.random.default_rng(0)
    slot, quality = np.repeat([0, 1, 2], 40_000), rng.beta(2, 30, 120_000)
    quality[slot > 0] *= 0.7  # worse ads in lower slots must not look like a worse slot
    label = (rng.random(120_000) < quality * np.array([1.0, 0.6, 0.4])[slot]).astype(float)
    nothing = np.zeros(120_000, dtype=np.int64)
    rows = Rows(
        user_id=nothing,
        ad_id=nothing,
        event_time=nothing,
        moment=nothing,
        label=label,
        numbers={"slot": slot.astype(float)},
    )
    assert policy.fit(quality, rows, SMOKE).slot_multipliers == pytest.approx((1.0, 0.6, 0.4), abs=0.05)


def test_a_saved_policy_decides_the_same(tmp_path: Path) -> None:
    POLICY.save(tmp_path)
    assert policy.load(tmp_path) == POLICY
