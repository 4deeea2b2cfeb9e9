"""Two days of requests one after the other: budgets empty, clicks come late, people tire of an ad and hide it.

Here clicks and hides are drawn, because a budget of eight clicks ends by chance; the draws of a request and candidate are the same for every
arm. What an arm earned is still told by expectation, given what its auctions decided. Budgets tie users together, so an interval over users
says how far the users of this day vary, not how far another day would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heappop, heappush
from typing import TypeVar

import numpy as np

from ad_click import world
from ad_click.config import Config
from ad_click.experiments.money.lab import RICH, Lab, Shown, auction_lab, compared, percent, stacked
from ad_click.policy import Candidates, Context, Policy
from ad_click.policy.auction import Rules
from ad_click.simulate import TIRES
from common.contract import Experiment, Floats, Ints, Table

HOUR = 3600
WINDOW = 24  # hours a budget is for
ASIDE = 2  # hours, this one among them, for which expected clicks are set aside


@dataclass(frozen=True, kw_only=True)
class Arm:
    """reserve: expected clicks of this hour and the one before are set aside until they come, as features.SPEND does; throttle: a campaign that
    nears its budget is left out by chance instead of bidding less; one_each: an advertiser is shown once, not only each of its campaigns;
    endless: nobody looks at budgets."""

    rules: Rules
    reserve: bool = True
    throttle: float = 0.0
    one_each: bool = True
    endless: bool = False


@dataclass(frozen=True, eq=False)
class Stretch:
    """A lab in order of time, and everything chance decides in it, [num_requests, num_candidates] each."""

    lab: Lab

    @cached_property
    def ever(self) -> Floats:
        """P(ever clicked, in slot 0): what advertisers pay for does not end with the window of the labels."""
        asked = self.lab.asked
        slot = np.zeros(len(asked), np.int64)
        device = asked.categories["device"]
        found = self.lab.truth.click_probability(asked.user_id, asked.ad_id, asked.event_time, slot, device)
        return found.reshape(self.lab.ads.shape)

    @cached_property
    def chance(self) -> Floats:
        """[3, ...] of a click, of a hide, of being left out."""
        return np.random.default_rng([self.lab.config.seed, 9]).random((3, *self.lab.ads.shape))

    @cached_property
    def delay(self) -> Ints:
        rng, asked = np.random.default_rng([self.lab.config.seed, 10]), self.lab.asked
        return self.lab.truth.click_delay(asked.ad_id, asked.event_time, rng).reshape(self.lab.ads.shape)


def stretch(config: Config) -> Stretch:
    """Every request of the last two days; a small world has less of a day to spare."""
    return Stretch(auction_lab(config, 10**9, num_candidates=150, days=min(2.0, config.num_users / 4_000)))


@dataclass(frozen=True)
class Played:
    shown: Shown
    charged: Floats  # [hours, campaigns]
    spent: Floats  # [hours, campaigns] charged in the last WINDOW hours, as of the end of each hour
    out: Floats  # [hours, campaigns] 1 where the budget could not pay another bid


def play(stretch: Stretch, arm: Arm) -> Played:
    """Every request in order of time through the real policy."""
    day, found = _Day(stretch, arm), []
    policy = Policy(arm.rules, tuple(world.EXAMINED.tolist()))
    for at in range(len(stretch.lab.ads)):
        day.move(at)
        place, candidates, context = day.auction(at)
        decision = policy.decide(stretch.lab.request(at), candidates, context)
        chosen, price, charge = place[decision.index], decision.price_micros, decision.charge_micros
        clicked = day.show(at, chosen, price, charge, np.rint(decision.probability * price))
        found.append((at, chosen, clicked, price, charge))
    return Played(stacked(found), *day.end())


@dataclass
class _Day:
    """What the platform's counters and the people's memories hold."""

    stretch: Stretch
    arm: Arm
    due: list[tuple[int, int, float, float]] = field(
        default_factory=list
    )  # (time, campaign, price, expected) of clicks to come
    seen: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))  # user -> (time, ad)
    hidden: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        lab, ads = self.stretch.lab, self.stretch.lab.catalog
        self.start = int(lab.rows.event_time[0])
        self.hours = int(lab.rows.event_time[-1] - self.start) // HOUR + 1
        self.hour = 0
        self.charged = np.zeros((self.hours + WINDOW, int(ads.campaign_id.max()) + 1))
        self.set_aside = np.zeros(self.charged.shape)
        self.taken_back = np.zeros(self.charged.shape)
        self.budget = np.zeros(self.charged.shape[1])
        self.budget[ads.campaign_id] = ads.budget_micros
        self.once = np.zeros(self.charged.shape[1])
        self.once[ads.campaign_id] = np.where(lab.cpm, ads.bid_micros / 1000, ads.bid_micros)

    def move(self, at: int) -> None:
        """To the time of a request: clicks come in, and each takes back what was set aside for it."""
        now = int(self.stretch.lab.rows.event_time[at])
        self._arrive(now)
        self.hour = (now - self.start) // HOUR

    def _arrive(self, now: int) -> None:
        while self.due and self.due[0][0] <= now:
            time, campaign, price, expected = heappop(self.due)
            hour = (time - self.start) // HOUR
            if hour < len(self.charged):
                self.charged[hour, campaign] += price
                self.taken_back[hour, campaign] += expected

    def auction(self, at: int) -> tuple[Ints, Candidates, Context]:
        """-> the places of the candidates, which throttling may have thinned, and what the policy is told of them."""
        lab, arm = self.stretch.lab, self.arm
        ads, campaign = lab.ads[at], lab.catalog.campaign_id[lab.ads[at]]
        spent = self._lately(self.charged, WINDOW)[campaign]
        if arm.reserve:
            spent += np.maximum(self._lately(self.set_aside, ASIDE) - self._lately(self.taken_back, ASIDE), 0)[campaign]
        budget = self.budget[campaign]
        taking_part = arm.throttle * (1 - spent / budget) if arm.throttle else np.ones(len(ads))
        place = np.flatnonzero(self.stretch.chance[2, at] < taking_part)
        bids = lab.catalog.bid_micros[ads]
        candidates = lab.candidates(at, lab.clicks[at], bids, lab.hide_rate[at])
        if not arm.one_each:
            candidates = replace(candidates, advertiser_id=np.full(len(ads), -1))
        user = int(lab.rows.user_id[at])
        context = Context(
            budget_micros=np.full(len(ads), RICH) if arm.endless else budget.astype(np.int64),
            spent_micros=spent.astype(np.int64),
            hidden=np.isin(ads, self.hidden[user]) if user in self.hidden else np.zeros(len(ads), bool),
            num_seen=self._times(at, WINDOW * HOUR),
        )
        return place, _at(candidates, place), _at(context, place)

    def _lately(self, by_hour: Floats, hours: int) -> Floats:
        """[campaigns] the sum over the last hours, this one among them."""
        found: Floats = by_hour[max(0, self.hour - hours + 1) : self.hour + 1].sum(axis=0)
        return found

    def _times(self, at: int, within: int) -> Ints:
        """[num_candidates] how often this person was shown each candidate in the last `within` seconds."""
        rows, ads = self.stretch.lab.rows, self.stretch.lab.ads[at]
        since = int(rows.event_time[at]) - within
        before = [ad for time, ad in self.seen.get(int(rows.user_id[at]), []) if time > since]
        return (ads[:, None] == np.array(before, np.int64)).sum(axis=1) if before else np.zeros(len(ads), np.int64)

    def show(self, at: int, place: Ints, price: Ints, charge: Ints, expected: Floats) -> Floats:
        """The people react. -> how likely they were to click each ad shown, tired as they were."""
        lab, chance = self.stretch.lab, self.stretch.chance[:, at, place]
        now, user, ads = int(lab.rows.event_time[at]), int(lab.rows.user_id[at]), lab.ads[at, place]
        campaign = lab.catalog.campaign_id[ads]
        tired = TIRES ** self._times(at, 10**9)[place]
        np.add.at(self.charged[self.hour], campaign, charge)
        np.add.at(self.set_aside[self.hour], campaign, expected)
        clicked: Floats = self.stretch.ever[at, place] * world.EXAMINED[: len(place)] * tired
        for i in np.flatnonzero((chance[0] < clicked) & (price > 0)).tolist():
            money = float(price[i]), float(expected[i])
            heappush(self.due, (now + int(self.stretch.delay[at, place[i]]), int(campaign[i]), *money))
        self.hidden[user] += ads[chance[1] < lab.hides[at, place]].tolist()
        self.seen[user] += [(now, ad) for ad in ads.tolist()]
        return clicked

    def end(self) -> tuple[Floats, Floats, Floats]:
        self._arrive(10**18)
        total = np.vstack([np.zeros((WINDOW, self.charged.shape[1])), self.charged]).cumsum(axis=0)
        spent: Floats = total[WINDOW:] - total[:-WINDOW]
        return self.charged, spent, (self.budget - spent[: self.hours] < self.once).astype(np.float64)


Columns = TypeVar("Columns", Candidates, Context)


def _at(columns: Columns, place: Ints) -> Columns:
    return replace(columns, **{name: column[place] for name, column in vars(columns).items()})


def pacing(config: Config) -> Table:
    """What a budget does over two days: a hard stop at its end, bids that fall before it (pacing), and leaving out by chance, each with and
    without setting expected clicks aside. The last row should lose: no budgets are looked at, and everything past them is a gift."""
    lot = stretch(config)
    bare, paced = replace(lot.lab.rules, pacing=0.0), lot.lab.rules
    arms = {
        "hard stop": Arm(rules=bare),
        "hard stop, nothing set aside": Arm(rules=bare, reserve=False),
        f"pacing {paced.pacing:g}": Arm(rules=paced),
        f"pacing {paced.pacing:g}, nothing set aside": Arm(rules=paced, reserve=False),
        "pacing 1": Arm(rules=replace(paced, pacing=1.0)),
        f"throttled {paced.pacing:g}": Arm(rules=bare, throttle=paced.pacing),
        "no budgets": Arm(rules=bare, endless=True),
    }
    found = {name: play(lot, arm) for name, arm in arms.items()}
    base = lot.lab.outcomes(found["hard stop"].shown)["revenue"]
    return [_paced(lot, name, played, base) for name, played in found.items()]


def _paced(lot: Stretch, name: str, played: Played, base: Floats) -> dict[str, object]:
    """price_a_click and clicks_a_budget are those of CPC campaigns; clicks_a_budget: of a day's budget, worth one unit of money."""
    lab, shown = lot.lab, played.shown
    change = percent(lab.outcomes(shown)["revenue"], base, lab.rows.user_id)
    budget = np.zeros(played.spent.shape[1])
    budget[lab.catalog.campaign_id] = lab.catalog.budget_micros
    cpc = ~lab.cpm[lab.ads[shown.request, shown.place]]
    bought = float(shown.clicked[cpc].sum())
    days = played.out.shape[0] / WINDOW
    over = np.maximum(played.spent - budget, 0).max(axis=0)
    return {
        "budgets": name,
        "revenue_change_percent": change.value,
        "low": change.low,
        "high": change.high,
        "overdraft_percent": 100 * float(over.sum() / played.charged.sum()),
        "out_of_budget_percent": 100 * float(played.out.mean()),
        "price_a_click": 1e-6 * float(lab.paid(shown)[cpc].sum()) / bought,
        "clicks_a_budget": 1e6 * bought / days / float(budget[np.unique(lab.catalog.campaign_id[~lab.cpm])].sum()),
    }


def rules(config: Config) -> Table:
    """The price of each rule over two days: revenue, clicks and hides with it switched off, one at a time. The last row should lose: a floor
    so high that most pages stay empty."""
    lot = stretch(config)
    all_rules = lot.lab.rules
    arms = {
        "all rules": Arm(rules=all_rules),
        "an advertiser as often as it wins": Arm(rules=all_rules, one_each=False),
        "hides cost nothing": Arm(rules=replace(all_rules, hide_cost_micros=0)),
        "no frequency cap": Arm(rules=replace(all_rules, most_seen=10**9)),
        "no floor": Arm(rules=replace(all_rules, floor_micros=0)),
        "no pacing": Arm(rules=replace(all_rules, pacing=0.0)),
        "a floor 100 times as high": Arm(rules=replace(all_rules, floor_micros=100 * all_rules.floor_micros)),
    }
    found = {name: lot.lab.outcomes(play(lot, arm).shown) for name, arm in arms.items()}
    return compared("rules", found, ("revenue", "welfare", "clicks", "hides", "impressions"), lot.lab.rows.user_id)


EXPERIMENTS: Mapping[str, Experiment] = {"pacing": pacing, "rules": rules}
