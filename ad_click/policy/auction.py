"""What an impression is worth, and who may not have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats, Ints, Why


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Ads that were scored, [n] each. bid_micros is for a click, or for a thousand impressions where `cpm`; -1 where an ad has no campaign or
    no advertiser."""

    ad_id: Ints
    campaign_id: Ints
    advertiser_id: Ints
    probability: Floats  # of a click in slot 0
    hide_probability: Floats
    bid_micros: Ints
    cpm: Bools


@dataclass(frozen=True, kw_only=True)
class Context:
    """What else decides, [n] each, in the order of the candidates."""

    budget_micros: Ints  # of the campaign's 24 hours
    spent_micros: Ints  # of it, with what is set aside for clicks still to come
    hidden: Bools  # by this user
    num_seen: Ints  # times this user was shown this ad in 24 hours


@dataclass(frozen=True, kw_only=True)
class Decision:
    """[num_shown] each, slot by slot: index into the candidates, P(click in that slot), what is owed if clicked and for being shown; `why`,
    a line an ad."""

    index: Ints
    probability: Floats
    price_micros: Ints
    charge_micros: Ints
    why: list[Why]


@dataclass(frozen=True)
class Rules:
    """floor_micros: least worth of a thousand impressions; hide_cost_micros: what a hide costs the platform; most_seen: times a user is shown
    one ad in 24 hours; pacing: a bid is multiplied by pacing x the share of the budget that is left, at most 1 (0: bids stay)."""

    floor_micros: int
    hide_cost_micros: int
    most_seen: int
    pacing: float

    def share(self, context: Context) -> Floats:
        """[n] of its bid that a campaign still bids: less the nearer it is to its budget (proportional control), so that the budget lasts and
        buys the cheaper clicks."""
        if not self.pacing:
            return np.ones(len(context.spent_micros))
        left = 1 - context.spent_micros / np.maximum(context.budget_micros, 1)
        share: Floats = np.clip(self.pacing * left, 0.0, 1.0)
        return share

    def paced(self, candidates: Candidates, context: Context) -> Floats:
        """[n] bids after pacing."""
        return candidates.bid_micros * self.share(context)

    def harm(self, candidates: Candidates) -> Floats:
        """[n] micros an impression costs the platform in hides."""
        cost: Floats = candidates.hide_probability * float(self.hide_cost_micros)
        return cost

    def out(self, candidates: Candidates, context: Context, value: Floats) -> Mapping[str, Bools]:
        """Who is left out, rule by rule."""
        once = np.where(candidates.cpm, np.ceil(candidates.bid_micros / 1000), candidates.bid_micros)
        return {
            "hidden": context.hidden,
            "frequency": context.num_seen >= self.most_seen,
            "budget": context.budget_micros - context.spent_micros < np.maximum(once, 1),
            "floor": value < self.floor_micros / 1000,
        }


def worth(candidates: Candidates, context: Context, rules: Rules) -> Floats:
    """[n] micros an impression in slot 0 brings: probability x bid, or a thousandth of the bid, less the harm of a hide."""
    bid = rules.paced(candidates, context)
    return np.where(candidates.cpm, bid / 1000, candidates.probability * bid) - rules.harm(candidates)
