"""Probabilities to ads shown and prices: a second-price auction with budgets.

In:     the probabilities of the candidates, their bids, what each has spent, whom the user has hidden.
Out:    Policy.decide -> Decision: who is shown where, at what price a click, and why a hidden or spent ad is not.
Choice: rank by probability x bid; each pays the least that would have kept its place (generalised second price): no gain from shading.
Else:   first price with bid shading, where buyers come from exchanges; VCG, where truth-telling over all slots has to be exact.
Breaks: a probability that is 10 % too high shows the wrong ad: calibration_ratio, INVARIANTS. An ad on many pages at once may be clicked
        past its budget: nothing is reserved. The highest bids are cut before budgets and hides are read, so spent ads can crowd others out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ad_click.config import Config
from ad_click.schema import Request, Rows
from common.contract import Bools, Floats, Ints, Invariant, Why


def fit(predictions: Floats, rows: Rows, config: Config) -> Policy:
    """How much less a lower slot is clicked, from the labelled rows: clicks over predictions, slot against slot 0.

    predictions [n] are of the same ads as if shown in slot 0 (`Inputs.at("slot", 0)`): a plain ratio of click rates would take the better ads
    of the upper slots for a better place.
    """
    slots = rows.numbers.get("slot", np.zeros(len(rows))).astype(np.int64)
    clicks = np.bincount(slots, rows.label) + 1.0
    ratio = clicks / (np.bincount(slots, predictions) + 1.0)
    return Policy(config.reserve_micros, tuple(np.minimum.accumulate(ratio / ratio[0]).tolist()))


def load(folder: Path) -> Policy:
    saved = json.loads((folder / "policy.json").read_text())
    return Policy(saved["reserve_micros"], tuple(saved["slot_multipliers"]))


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Ads that were scored, [n] each: P(click in slot 0), bid."""

    ad_id: Ints
    advertiser_id: Ints
    probability: Floats
    bid_micros: Ints


@dataclass(frozen=True, kw_only=True)
class Context:
    """What else decides, [n] each, in the order of the candidates: money left in the ad's 24 hours, and whether the user hid the ad."""

    budget_left_micros: Ints
    hidden: Bools


@dataclass(frozen=True, kw_only=True)
class Decision:
    """[num_shown] each, slot by slot: index into the candidates, P(click in that slot), price if clicked; `why`, one line an ad."""

    index: Ints
    probability: Floats
    price_micros: Ints
    why: list[Why]


@dataclass(frozen=True)
class Policy:
    reserve_micros: int
    slot_multipliers: tuple[float, ...]

    def decide(self, request: Request, candidates: Candidates, context: Context) -> Decision:
        """Ads out of budget or hidden leave first, then all but the best of each advertiser, then prices are set among the rest."""
        affordable = context.budget_left_micros >= np.maximum(candidates.bid_micros, 1)
        able = affordable & ~context.hidden & (candidates.bid_micros >= self.reserve_micros)
        value = candidates.probability * candidates.bid_micros
        order = np.lexsort((candidates.ad_id, -value))  # ties to the older ad
        order = order[able[order]]
        order = order[_first_of_each(candidates.advertiser_id[order])]
        shown = order[: request.num_slots]
        price = self._prices(candidates, value, order)[: len(shown)]
        slots = np.arange(len(shown))
        multiplier = np.array(self.slot_multipliers)[np.minimum(slots, len(self.slot_multipliers) - 1)]
        probability = candidates.probability[shown] * multiplier
        why = [_won(candidates, value, *won) for won in zip(shown.tolist(), probability, price, strict=True)]
        why += _left_out(candidates, value, context.hidden, "hidden", "the user hid this ad")
        why += _left_out(candidates, value, ~affordable, "budget", "its 24 hours' budget is spent")
        return Decision(index=shown, probability=probability, price_micros=price, why=why)

    def save(self, folder: Path) -> None:
        saved = {"reserve_micros": self.reserve_micros, "slot_multipliers": self.slot_multipliers}
        (folder / "policy.json").write_text(json.dumps(saved))

    def _prices(self, candidates: Candidates, value: Floats, order: Ints) -> Ints:
        """[len(order)] the next ad's value over one's own probability, rounded up, at least the reserve and never above one's bid."""
        following = np.append(value[order][1:], 0.0)
        needed = np.ceil(following / np.maximum(candidates.probability[order], 1e-12))
        bids = candidates.bid_micros[order]
        return np.minimum(np.maximum(np.minimum(needed, bids), self.reserve_micros), bids).astype(np.int64)


def _won(candidates: Candidates, value: Floats, place: int, probability: float, price: int) -> Why:
    """Ads are ranked by what they are worth in slot 0; `probability` is of the slot the ad got, as in the answer."""
    first, bid = candidates.probability[place], candidates.bid_micros[place]
    return Why(
        item=int(candidates.ad_id[place]),
        stage="auction",
        reason="won on probability x bid",
        effect=round(float(value[place]), 3),
        evidence=f"{first:.5f} in slot 0 x {bid / 1e6:.4f}; {probability:.5f} in its own, pays {price / 1e6:.4f} a click",
    )


def _first_of_each(advertiser_id: Ints) -> Ints:
    """Places of the first ad of each advertiser, in order; ads without an advertiser (-1) are each their own."""
    own = np.where(advertiser_id < 0, -1 - np.arange(len(advertiser_id)), advertiser_id)
    return np.sort(np.unique(own, return_index=True)[1])


def _left_out(
    candidates: Candidates, value: Floats, out: Bools, reason: str, evidence: str, most: int = 3
) -> list[Why]:
    """The most valuable of those a rule kept out: what the rule cost."""
    places = np.flatnonzero(out)
    places = places[np.argsort(-value[places], kind="stable")][:most]
    return [
        Why(item=int(candidates.ad_id[place]), stage="auction", reason=reason, effect=-round(float(value[place]), 3), evidence=evidence)
        for place in places.tolist()
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------------- invariants


def draw(rng: np.random.Generator) -> tuple[Request, Candidates, Context]:
    """A random auction with ties, zero bids, spent budgets, hidden ads and repeated advertisers."""
    n = int(rng.integers(0, 40))
    candidates = Candidates(
        ad_id=np.sort(rng.choice(1000, n, replace=False)),
        advertiser_id=rng.integers(-1, max(n // 2, 1), n),
        probability=np.round(rng.beta(1, 30, n), 3),
        bid_micros=rng.integers(0, 20, n) * 50_000,
    )
    context = Context(budget_left_micros=rng.integers(-1, 8, n) * 200_000, hidden=rng.random(n) < 0.1)
    return Request(user_id=0, num_slots=int(rng.integers(1, 6))), candidates, context


def _price_within(policy: Policy, rng: np.random.Generator) -> str:
    request, candidates, context = draw(rng)
    shown = policy.decide(request, candidates, context)
    bids = candidates.bid_micros[shown.index]
    wrong = (shown.price_micros > bids) | (shown.price_micros < policy.reserve_micros)
    return f"price {shown.price_micros[wrong][0]}, bid {bids[wrong][0]}" if wrong.any() else ""


def _ordered(policy: Policy, rng: np.random.Generator) -> str:
    request, candidates, context = draw(rng)
    shown = policy.decide(request, candidates, context)
    value = (candidates.probability * candidates.bid_micros)[shown.index]
    return f"values {value} rise" if (np.diff(value) > 1e-9).any() else ""


def _within_budget(policy: Policy, rng: np.random.Generator) -> str:
    request, candidates, context = draw(rng)
    shown = policy.decide(request, candidates, context)
    left = context.budget_left_micros[shown.index] - shown.price_micros
    return f"{left.min()} micros left after a click" if len(left) and left.min() < 0 else ""


def _one_each(policy: Policy, rng: np.random.Generator) -> str:
    request, candidates, context = draw(rng)
    shown = candidates.advertiser_id[policy.decide(request, candidates, context).index]
    named = shown[shown >= 0]
    return f"advertisers {named}" if len(np.unique(named)) < len(named) else ""


def _never_hidden(policy: Policy, rng: np.random.Generator) -> str:
    request, candidates, context = draw(rng)
    shown = policy.decide(request, candidates, context).index
    return f"ads {candidates.ad_id[shown]} hidden {context.hidden[shown]}" if context.hidden[shown].any() else ""


def _price_ignores_own_bid(policy: Policy, rng: np.random.Generator) -> str:
    """Bidding more without changing place changes no price: the winner of slot 0 is the one to ask."""
    request, candidates, context = draw(rng)
    before = policy.decide(request, candidates, context)
    if not len(before.index):
        return ""
    bids = candidates.bid_micros.copy()
    bids[before.index[0]] += 50_000
    rich = Context(
        budget_left_micros=context.budget_left_micros + 50_000 * (np.arange(len(bids)) == before.index[0]),
        hidden=context.hidden,
    )
    after = policy.decide(request, Candidates(**{**vars(candidates), "bid_micros": bids}), rich)
    same = after.index[0] == before.index[0] and after.price_micros[0] == before.price_micros[0]
    return "" if same else f"price {before.price_micros[0]} became {after.price_micros[0]}"


INVARIANTS: Mapping[str, Invariant] = {
    "nobody pays more than the bid or less than the reserve": _price_within,
    "a higher slot has no lower value": _ordered,
    "an ad shown can pay its next click": _within_budget,
    "an advertiser is shown once": _one_each,
    "a hidden ad is not shown": _never_hidden,
    "the winner's own bid is not in its price": _price_ignores_own_bid,
}
