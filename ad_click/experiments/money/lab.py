"""The auction lab: requests of the test period, candidates, the planted truth of each, and the money a set of predictions makes of them.

Nothing is drawn here: clicks, hides and conversions are expectations under the planted truth, which takes the noise of rare clicks out of
every comparison. Intervals are over users, pairs over the same requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ad_click import data, world
from ad_click.config import Config
from ad_click.policy import Candidates, Context, Policy
from ad_click.policy.auction import Rules
from ad_click.schema import Catalog, Request, Rows, pricing
from common.contract import Bools, Floats, Ints, Table
from common.errors import InputError
from common.eval import intervals
from common.eval.report import Interval

RICH = 10**15  # micros: a budget that never ends


def auction_lab(config: Config, num_requests: int = 0, num_candidates: int = 100, days: float = 0.0) -> Lab:
    """`num_requests` of the test period's requests (0: one for every four users; of its last `days`, if given), evenly taken in order of
    time, each with `num_candidates` of the ads that may be shown to this person, by chance. Same config, same lab."""
    if config.data != "world":
        raise InputError(f"{config.data} states no truth of ads that were not shown. Leave --data out.")
    test, num_requests = data.load(config).test, num_requests or config.num_users // 4
    asked = np.flatnonzero(test.numbers["slot"] == 0)
    if days:
        asked = asked[test.event_time[asked] > test.event_time.max() - days * world.DAY]
    asked = asked[np.unique(np.linspace(0, len(asked) - 1, min(num_requests, len(asked))).astype(np.int64))]
    rows, truth = test.take(asked), world.plant(config)
    return Lab(config, truth, rows, _candidates(truth, rows, num_candidates))


def _candidates(truth: world.Truth, rows: Rows, num_candidates: int) -> Ints:
    """[num_requests, at most num_candidates] ads by chance among those eligible; as many for each request as the least has."""
    users, rng = rows.user_id, np.random.default_rng([truth.config.seed, 5])
    age, country = truth.population.age(users)[:, None], truth.population.country(users)[:, None]
    everything = np.arange(len(truth.catalog))[None, :]
    blocks = [slice(first, first + 2_000) for first in range(0, len(rows), 2_000)]
    able = np.vstack([truth.eligible(everything, age[at], country[at], rows.event_time[at, None]) for at in blocks])
    draw = np.where(able, rng.random(able.shape), 2.0)
    chosen: Ints = np.argsort(draw, axis=1, kind="stable")[:, : min(num_candidates, int(able.sum(axis=1).min()))]
    return np.sort(chosen, axis=1)


@dataclass(frozen=True)
class Shown:
    """What auctions decided, [num_shown] each: request and place say which candidate, clicked is the planted P(click) in its slot, price is
    owed for a click, charge for being shown."""

    request: Ints
    place: Ints
    clicked: Floats
    price: Floats
    charge: Floats


@dataclass(frozen=True, eq=False)
class Lab:
    """rows [num_requests] as if slot 0 of each were asked for; ads [num_requests, num_candidates], ids which are places in the catalogue."""

    config: Config
    truth: world.Truth
    rows: Rows
    ads: Ints

    @property
    def catalog(self) -> Catalog:
        return self.truth.catalog

    @cached_property
    def asked(self) -> Rows:
        """[num_requests x num_candidates] every candidate as a row, request by request: what a scorer scores."""
        n, k = self.ads.shape
        rows = self.rows.take(np.repeat(np.arange(n), k))
        return replace(rows, ad_id=self.ads.ravel(), label=np.full(n * k, np.nan))

    @cached_property
    def clicks(self) -> Floats:
        """[num_requests, num_candidates] P(click within the window, in slot 0), planted."""
        found: Floats = world.ceiling(self.config).score(self.asked).reshape(self.ads.shape)
        return found

    @cached_property
    def hides(self) -> Floats:
        found: Floats = self.truth.hide_probability(self.asked.user_id, self.asked.ad_id).reshape(self.ads.shape)
        return found

    @cached_property
    def conversions(self) -> Floats:
        """P(conversion | click)."""
        found: Floats = self.truth.conversion_probability(self.asked.user_id, self.asked.ad_id)
        return found.reshape(self.ads.shape)

    @cached_property
    def hide_rate(self) -> Floats:
        """What the platform knows of hides: the mean of each ad, as a served rate would have it, not this person's."""
        ad = self.ads.ravel()
        mean = np.bincount(ad, self.hides.ravel()) / np.maximum(np.bincount(ad), 1)
        found: Floats = mean[self.ads]
        return found

    @cached_property
    def cpm(self) -> Bools:
        """[num_ads]"""
        paid: Bools = pricing(self.catalog) == "cpm"
        return paid

    @property
    def rules(self) -> Rules:
        found = self.config
        return Rules(found.floor_micros, found.hide_cost_micros, found.most_seen, found.pacing)

    def among(self, which: Bools) -> Lab:
        """The same requests with those candidates alone, `which` [num_ads]; as many for each request as the least has."""
        keep = which[self.ads]
        order = np.argsort(~keep, axis=1, kind="stable")[:, : int(keep.sum(axis=1).min())]
        return replace(self, ads=np.take_along_axis(self.ads, order, axis=1))

    def decide(
        self,
        predictions: Floats,
        rules: Rules | None = None,
        bids: Floats | None = None,
        hides: Floats | None = None,
        requests: Iterable[int] | None = None,
    ) -> Shown:
        """The real policy, request by request, with budgets that never end and people who have seen nothing. predictions, bids and hides
        [num_requests, num_candidates]; the slots' multipliers are the planted ones."""
        policy = Policy(self.rules if rules is None else rules, tuple(world.EXAMINED.tolist()))
        micros = self.catalog.bid_micros[self.ads] if bids is None else np.rint(bids).astype(np.int64)
        hides = self.hide_rate if hides is None else hides
        context = fresh(self.ads.shape[1])
        found = []
        for at in range(len(self.ads)) if requests is None else requests:
            candidates = self.candidates(at, predictions[at], micros[at], hides[at])
            decision = policy.decide(self.request(at), candidates, context)
            clicked = self.clicks[at, decision.index] * world.EXAMINED[: len(decision.index)]
            found.append((at, decision.index, clicked, decision.price_micros, decision.charge_micros))
        return stacked(found)

    def request(self, at: int) -> Request:
        return Request(user_id=int(self.rows.user_id[at]), num_slots=self.config.num_slots)

    def candidates(self, at: int, predictions: Floats, bids: Ints, hides: Floats) -> Candidates:
        ads = self.ads[at]
        return Candidates(
            ad_id=ads,
            campaign_id=self.catalog.campaign_id[ads],
            advertiser_id=self.catalog.advertiser_id[ads],
            probability=predictions,
            hide_probability=hides,
            bid_micros=bids,
            cpm=self.cpm[ads],
        )

    def paid(self, shown: Shown) -> Floats:
        """[num_shown] expected micros."""
        micros: Floats = shown.clicked * shown.price + shown.charge
        return micros

    def gained(self, shown: Shown) -> Floats:
        """[num_shown] what an impression is worth to its advertiser less what is paid. The catalogue's bid is the value: of a click, or of a
        thousand impressions in whatever slot."""
        ad = self.ads[shown.request, shown.place]
        bid = self.catalog.bid_micros[ad].astype(np.float64)
        return np.where(self.cpm[ad], bid / 1000, shown.clicked * bid) - self.paid(shown)

    def outcomes(self, shown: Shown) -> dict[str, Floats]:
        """[num_requests] each, expected: money in micros, counts in events. welfare: what advertisers and platform have of it together, less
        what hides cost."""
        paid, gained, clicked = self.paid(shown), self.gained(shown), shown.clicked
        hidden = self.hides[shown.request, shown.place]
        units = {
            "revenue": paid,
            "advertiser_utility": gained,
            "welfare": paid + gained - hidden * self.config.hide_cost_micros,
            "clicks": clicked,
            "hides": hidden,
            "conversions": clicked * self.conversions[shown.request, shown.place],
            "impressions": np.ones(len(paid)),
        }
        return {name: self.by_request(shown, unit) for name, unit in units.items()}

    def promised(self, shown: Shown, predictions: Floats) -> Floats:
        """[num_requests] micros that whoever believes these predictions expects of what was shown: `revenue` is what comes."""
        at = (shown.request, shown.place)
        believed = predictions.reshape(self.ads.shape)[at] / self.clicks[at]
        return self.by_request(shown, shown.clicked * believed * shown.price + shown.charge)

    def by_request(self, shown: Shown, unit: Floats) -> Floats:
        """[num_requests] the sum of a unit of what was shown."""
        return np.bincount(shown.request, unit, len(self.ads)).astype(np.float64)

    def money(self, predictions: Floats, rules: Rules | None = None) -> dict[str, Floats]:
        """What predictions [num_requests x num_candidates], in the order of `asked` or in the shape of `ads`, make of these requests."""
        return self.outcomes(self.decide(predictions.reshape(self.ads.shape), rules))


def fresh(n: int) -> Context:
    """Nothing spent, seen or hidden."""
    nothing = np.zeros(n, np.int64)
    return Context(budget_micros=np.full(n, RICH), spent_micros=nothing, hidden=nothing.astype(bool), num_seen=nothing)


def stacked(found: Iterable[tuple[int, Ints, Floats, Ints, Ints]]) -> Shown:
    """Of (request, places, clicked, prices, charges), a tuple a request."""
    requests, *columns = zip(*found, strict=True)
    place, clicked, price, charge = (np.concatenate(column) for column in columns)
    request = np.repeat(np.array(requests, np.int64), [len(column) for column in columns[0]])
    return Shown(request, place, clicked, price.astype(np.float64), charge.astype(np.float64))


def compared(name: str, arms: Mapping[str, Mapping[str, Floats]], outcomes: Iterable[str], user_id: Ints) -> Table:
    """A row for each arm and outcome: what a thousand pages bring, money in currency, and the paired difference to the first arm in percent of
    that arm's, with an interval over users. Pages, not impressions: an arm that leaves slots empty is not flattered."""
    base = next(iter(arms.values()))
    return [
        {
            name: arm,
            "outcome": outcome,
            "a_thousand_pages": 1000 * (1e-6 if outcome in MONEY else 1.0) * float(found[outcome].mean()),
            "change_percent": change.value,
            "low": change.low,
            "high": change.high,
        }
        for arm, found in arms.items()
        for outcome in outcomes
        for change in [percent(found[outcome], base[outcome], user_id)]
    ]


MONEY = ("revenue", "advertiser_utility", "welfare")


def revenue_per_mille(found: Mapping[str, Floats]) -> float:
    """Of outcomes: currency per thousand impressions."""
    return float(1e-3 * found["revenue"].sum() / found["impressions"].sum())


def percent(ours: Floats, theirs: Floats, user_id: Ints) -> Interval:
    """Paired difference of two outcomes of the same requests, in percent of `theirs`; the divisor is taken as known."""
    found = intervals.mean(ours - theirs, user_id)
    assert found.low is not None and found.high is not None
    unit = 100 / float(theirs.mean())
    return replace(found, value=unit * found.value, low=unit * found.low, high=unit * found.high)
