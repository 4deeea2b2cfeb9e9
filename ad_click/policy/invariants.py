"""Every rule as a sentence, and the function that tries to break it on random candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ad_click.policy.auction import Candidates, Context, Decision, worth
from ad_click.schema import Request
from common.contract import Floats, Invariant

if TYPE_CHECKING:
    from ad_click.policy import Policy

Drawn = tuple[Request, Candidates, Context]


def draw(rng: np.random.Generator) -> Drawn:
    """A random auction with ties, zero bids, both pricings, spent budgets, hidden and often seen ads, repeated advertisers and campaigns.
    Ads of one campaign have one budget; some have no campaign (-1), and a budget each."""
    n = int(rng.integers(0, 40))
    campaign = rng.integers(-1, max(n // 2, 1), n)
    budget_of = np.where(campaign >= 0, campaign, n + np.arange(n))
    cpm = rng.random(n) < 0.3
    bid = rng.integers(0, 20, n) * 50_000
    candidates = Candidates(
        ad_id=np.sort(rng.choice(1000, n, replace=False)),
        campaign_id=campaign,
        advertiser_id=rng.integers(-1, max(n // 2, 1), n),
        probability=np.round(rng.beta(1, 30, n), 3),
        hide_probability=np.round(rng.beta(1, 300, n), 4),
        bid_micros=np.where(cpm, 20 * bid, bid),
        cpm=cpm,
    )
    context = Context(
        budget_micros=(rng.integers(1, 8, 2 * n) * 500_000)[budget_of],
        spent_micros=(rng.integers(0, 8, 2 * n) * 300_000)[budget_of],
        hidden=rng.random(n) < 0.1,
        num_seen=rng.integers(0, 8, n) * (rng.random(n) < 0.3),
    )
    return Request(user_id=0, num_slots=int(rng.integers(1, 6))), candidates, context


def _decided(policy: Policy, rng: np.random.Generator) -> tuple[Drawn, Decision]:
    drawn = draw(rng)
    return drawn, policy.decide(*drawn)


def _owed(candidates: Candidates, shown: Decision) -> Floats:
    """[num_shown] micros an impression in slot 0 brings the platform."""
    return shown.charge_micros + shown.price_micros * candidates.probability[shown.index]


def _price_within(policy: Policy, rng: np.random.Generator) -> str:
    (_, candidates, _), shown = _decided(policy, rng)
    bids, cpm = candidates.bid_micros[shown.index], candidates.cpm[shown.index]
    if (np.where(cpm, 1000 * shown.charge_micros, shown.price_micros) > bids).any():
        return f"owed {shown.price_micros} a click, {shown.charge_micros} an impression, bid {bids}"
    if (np.where(cpm, shown.price_micros, shown.charge_micros) != 0).any():
        return f"owed twice: {shown.price_micros} a click and {shown.charge_micros} an impression"
    low = _owed(candidates, shown) < policy.rules.floor_micros / 1000 - 1  # one micro of rounding
    return f"an impression brings {_owed(candidates, shown)[low][0]}" if low.any() else ""


def _ordered(policy: Policy, rng: np.random.Generator) -> str:
    (_, candidates, context), shown = _decided(policy, rng)
    value = worth(candidates, context, policy.rules)[shown.index]
    return f"values {value} rise" if (np.diff(value) > 1e-9).any() else ""


def _within_budget(policy: Policy, rng: np.random.Generator) -> str:
    """Were the whole page clicked: the ads of one campaign pay from one budget."""
    (_, candidates, context), shown = _decided(policy, rng)
    campaign = candidates.campaign_id[shown.index]
    _, first, of = np.unique(
        np.where(campaign >= 0, campaign, -1 - shown.index), return_index=True, return_inverse=True
    )
    owed = np.bincount(of, shown.price_micros + shown.charge_micros)
    left = (context.budget_micros - context.spent_micros)[shown.index][first] - owed
    return f"{left.min()} micros of a campaign left afterwards" if len(left) and left.min() < 0 else ""


def _one_each(policy: Policy, rng: np.random.Generator) -> str:
    (_, candidates, _), shown = _decided(policy, rng)
    advertisers = candidates.advertiser_id[shown.index]
    named = advertisers[advertisers >= 0]
    return f"advertisers {named}" if len(np.unique(named)) < len(named) else ""


def _never_hidden(policy: Policy, rng: np.random.Generator) -> str:
    (_, candidates, context), shown = _decided(policy, rng)
    hidden = context.hidden[shown.index]
    return f"ads {candidates.ad_id[shown.index]} hidden {hidden}" if hidden.any() else ""


def _not_too_often(policy: Policy, rng: np.random.Generator) -> str:
    (_, _, context), shown = _decided(policy, rng)
    seen = context.num_seen[shown.index]
    return f"seen {seen} times already" if (seen >= policy.rules.most_seen).any() else ""


def _price_ignores_own_bid(policy: Policy, rng: np.random.Generator) -> str:
    """Bidding more without changing place changes no price: the winner of slot 0 is the one to ask."""
    (request, candidates, context), before = _decided(policy, rng)
    if not len(before.index):
        return ""
    first = np.arange(len(candidates.bid_micros)) == before.index[0]
    more = replace(candidates, bid_micros=candidates.bid_micros + 50_000 * first)
    rich = replace(
        context, budget_micros=context.budget_micros + 50_000 * first, spent_micros=np.where(first, 0, context.spent_micros)
    )  # fmt: skip
    unpaced = policy.decide(
        request, candidates, replace(context, spent_micros=np.where(first, 0, context.spent_micros))
    )
    after = policy.decide(request, more, rich)
    if not len(unpaced.index) or unpaced.index[0] != before.index[0]:
        return ""
    same = (after.index[0], after.price_micros[0], after.charge_micros[0])
    was = (unpaced.index[0], unpaced.price_micros[0], unpaced.charge_micros[0])
    return "" if same == was else f"(ad, click, impression) {was} became {same}"


def _less_when_nearly_spent(policy: Policy, rng: np.random.Generator) -> str:
    """With pacing, having spent more never makes an ad worth more."""
    _, candidates, context = draw(rng)
    later = replace(context, spent_micros=context.spent_micros + rng.integers(0, 10**6, len(context.spent_micros)))
    more = worth(candidates, later, policy.rules) > worth(candidates, context, policy.rules) + 1e-9
    return f"ads {candidates.ad_id[more]} are worth more after spending" if more.any() else ""


INVARIANTS: Mapping[str, Invariant] = {
    "nobody owes more than the bid or less than the floor, nor twice": _price_within,
    "a higher slot has no lower value": _ordered,
    "a campaign can pay for every click on the page": _within_budget,
    "an advertiser is shown once": _one_each,
    "a hidden ad is not shown": _never_hidden,
    "nobody is shown one ad too often": _not_too_often,
    "the winner's own bid is not in its price": _price_ignores_own_bid,
    "a campaign that has spent more is worth no more": _less_when_nearly_spent,
}
