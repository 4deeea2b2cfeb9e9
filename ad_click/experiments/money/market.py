"""Second price against first price, and what an advertiser gains by bidding less than a click is worth to it.

An advertiser shades all its bids by one factor. `Shading` says what each factor would bring each advertiser while the others keep theirs; it
repeats the policy's auction in whole arrays, as a best response asks for a thousand auctions at once (tests/ad_click/test_money.py compares
the two). Probabilities are the planted ones, budgets never end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ad_click import world
from ad_click.config import Config
from ad_click.experiments.money.lab import MONEY, Lab, Shown, auction_lab, compared, percent
from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval.chart import Chart
from common.eval.report import Interval

FACTORS = np.round(np.arange(1.0, 0.25, -0.05), 2)
ROUNDS = 12  # of best responses; half of the advertisers move in each


def pricing(config: Config) -> Table:
    """What the rule of the price brings: with bids as they are first price takes everything; with bids shaded by best response it does not."""
    lab, rows = auction_lab(config), []
    for market, at in {"CPC": lab.among(~lab.cpm), "CPM": lab.among(lab.cpm), "CPC and CPM": lab}.items():
        if not at.ads.size:
            continue
        arms = {f"{market}: {name}": found for name, found in _priced(at).items()}
        rows += compared("market and price", arms, MONEY, lab.rows.user_id)
    return rows


def _priced(lab: Lab) -> dict[str, dict[str, Floats]]:
    bids, found = lab.catalog.bid_micros[lab.ads].astype(np.float64), {}
    for how in ("true bids", "shaded bids"):
        for name, is_first in (("second price", False), ("first price", True)):
            factors = settled(Shading(lab, is_first)) if how == "shaded bids" else np.ones(Shading(lab, is_first).size)
            mine = np.rint(factors[lab.catalog.advertiser_id[lab.ads]] * bids)
            shown = lab.decide(lab.clicks, bids=mine)
            found[f"{name}, {how}"] = lab.outcomes(first_price(lab, shown, mine) if is_first else shown)
    return found


def first_price(lab: Lab, shown: Shown, bids: Floats) -> Shown:
    """The same ads in the same places; each owes what it bid, bids [num_requests, num_candidates]."""
    cpm, bid = lab.cpm[lab.ads[shown.request, shown.place]], bids[shown.request, shown.place]
    return replace(shown, price=np.where(cpm, 0.0, bid), charge=np.where(cpm, bid / 1000, 0.0))


def misreporting(config: Config) -> Table:
    """What advertisers gain by shading their bids, each alone while the others are truthful, in percent of the value they win by the truth.

    With one slot the second price is truthful: nothing can be gained. With three it is not (GSP): a lower slot may be cheap enough to be
    worth more, for a CPM bid most of all, whose worth is the same in every slot. The first price should lose: it asks everybody to shade.
    """
    lab, rows = auction_lab(config), []
    one = replace(lab, config=replace(config, num_slots=1))
    auctions = {
        "second price": Shading(lab, is_first=False),
        "second price, one slot": Shading(one, is_first=False),
        "first price": Shading(lab, is_first=True),
    }
    for price, shading in auctions.items():
        utility, value, slot, _ = shading.alone(np.ones(shading.size))
        won = (slot < shading.num_slots) * value
        for at, factor in enumerate(FACTORS[:11]):
            gained = _gain(utility[:, :, at] - utility[:, :, 0], won, lab.rows.user_id)
            rows.append({"price": price, "shaded_percent": round(100 * (1 - factor)), "gain_percent": gained.value, "low": gained.low, "high": gained.high})  # fmt: skip
    return rows


def misreporting_by_slot(config: Config) -> Table:
    """Where the second price of three slots is not truthful: the gain from a bid 30 % lower by the slot the true bid wins and by its kind; and
    from each advertiser's own best factor, chosen on half of the users and judged on the others. The first price should lose."""
    lab, rows = auction_lab(config), []
    users = lab.rows.user_id
    for price, shading in (
        ("second price", Shading(lab, is_first=False)),
        ("first price", Shading(lab, is_first=True)),
    ):
        utility, value, slot, cpm = shading.alone(np.ones(shading.size))
        shaded, won = utility[:, :, int(np.argmin(abs(FACTORS - 0.7)))] - utility[:, :, 0], slot < shading.num_slots
        for kind, mine in (("CPC", ~cpm), ("CPM", cpm)):
            for at in range(shading.num_slots):
                side = mine & (slot == at)
                if side.any():
                    rows.append(
                        _row(price, f"30 % lower: {kind}, slot {at}", _gain(shaded * side, value * side, users))
                    )
        chosen, judged = users % 2 == 0, users % 2 == 1
        best = utility[:, chosen].sum(axis=1).argmax(axis=1)  # of each advertiser
        gained = utility[np.arange(shading.size), :, best] - utility[:, :, 0]
        rows.append(_row(price, "own best factor", _gain(gained[:, judged], (value * won)[:, judged], users[judged])))
    return rows


def _row(price: str, bid: str, gained: Interval) -> dict[str, object]:
    return {"price": price, "bid": bid, "gain_percent": gained.value, "low": gained.low, "high": gained.high}


def _gain(gained: Floats, won: Floats, user_id: Ints) -> Interval:
    """gained, won [advertisers, requests]: the sum of the one in percent of the other's, with an interval over users."""
    total = won.sum(axis=0)
    return percent(total + gained.sum(axis=0), total, user_id)


@dataclass(frozen=True, eq=False)
class Shading:
    """Advertisers are numbered as in the catalogue. The order is by value less harm, as policy.worth has it; a tie goes to nobody's favour."""

    lab: Lab
    is_first: bool

    @property
    def size(self) -> int:
        return int(self.lab.catalog.advertiser_id.max()) + 1

    @property
    def num_slots(self) -> int:
        return self.lab.config.num_slots

    @cached_property
    def best(self) -> tuple[Floats, Ints]:
        """[requests, advertisers, factors] worth of each advertiser's best ad and its place; -inf where it has none above the floor."""
        lab, rules = self.lab, self.lab.rules
        ads, harm = lab.ads, lab.hide_rate * rules.hide_cost_micros
        bids = lab.catalog.bid_micros[ads]
        full = np.where(lab.cpm[ads], bids / 1000, lab.clicks * bids)
        worth = np.full((len(ads), self.size, len(FACTORS)), -np.inf)
        place = np.zeros(worth.shape, np.int64)
        request = np.arange(len(ads))
        for at in range(ads.shape[1]):
            owner = lab.catalog.advertiser_id[ads[:, at]]
            mine = full[:, at, None] * FACTORS - harm[:, at, None]
            mine = np.where(mine < rules.floor_micros / 1000, -np.inf, mine)
            better = mine > worth[request, owner]
            worth[request, owner] = np.where(better, mine, worth[request, owner])
            place[request, owner] = np.where(better, at, place[request, owner])
        return worth, place

    def alone(self, factors: Floats) -> tuple[Floats, Floats, Ints, Bools]:
        """Each advertiser by itself tries every factor while the others keep `factors` [advertisers]. -> utility [advertisers, requests,
        factors]; and at its true bid the value won, the slot (num_slots: none) and whether its best ad bids CPM, [advertisers, requests]."""
        worth, place = self.best
        kept = worth[:, np.arange(self.size), np.argmin(abs(FACTORS[:, None] - factors), axis=0)]
        leaders = np.argsort(-kept, axis=1, kind="stable")[:, : self.num_slots + 1]
        found = [self._one(owner, worth[:, owner], place[:, owner], kept, leaders) for owner in range(self.size)]
        utility, value, slot, cpm = (np.stack(column) for column in zip(*found, strict=True))
        return utility, value, slot, cpm

    def _one(
        self, owner: int, worth: Floats, place: Ints, kept: Floats, leaders: Ints
    ) -> tuple[Floats, Floats, Ints, Bools]:
        lab, request = self.lab, np.arange(len(self.lab.ads))[:, None]
        others = np.take_along_axis(kept, leaders, axis=1)
        others = np.where(leaders == owner, -np.inf, others)
        others = -np.sort(-others, axis=1)[:, : self.num_slots]  # [requests, num_slots] the worths to beat
        slot = (others[:, None, :] > worth[:, :, None]).sum(axis=2)
        slot = np.where(np.isfinite(worth), slot, self.num_slots)
        next_one = np.take_along_axis(others, np.minimum(slot, self.num_slots - 1), axis=1)
        ad = lab.ads[request, place]
        clicks, cpm = lab.clicks[request, place], lab.cpm[ad]
        bid = lab.catalog.bid_micros[ad].astype(np.float64)
        full = np.where(cpm, bid / 1000, clicks * bid)  # of an impression in slot 0
        harm = lab.hide_rate[request, place] * lab.rules.hide_cost_micros
        owed = np.maximum(next_one, lab.rules.floor_micros / 1000) + harm
        paid = FACTORS * full if self.is_first else np.minimum(owed, FACTORS * full)
        seen = np.append(world.EXAMINED[: self.num_slots], 0.0)[slot]
        counts = np.where(cpm, seen > 0, seen)  # a CPM bid values and pays an impression in any slot alike
        return counts * (full - paid), (counts * full)[:, 0], slot[:, 0], cpm[:, 0]


def settled(shading: Shading) -> Floats:
    """[advertisers] factors after rounds of best responses from the truth, half of the advertisers moving at a time."""
    factors, rng = np.ones(shading.size), np.random.default_rng([shading.lab.config.seed, 8])
    for _ in range(ROUNDS):
        best = FACTORS[shading.alone(factors)[0].sum(axis=1).argmax(axis=1)]
        factors = np.where(rng.random(shading.size) < 0.5, best, factors)
    return factors


EXPERIMENTS: Mapping[str, Experiment] = {
    "pricing": pricing,
    "misreporting": misreporting,
    "misreporting_by_slot": misreporting_by_slot,
}
CHARTS: Mapping[str, Chart] = {
    "misreporting": Chart(
        title="What an advertiser gains by bidding less than its value",
        x="shaded_percent",
        y="gain_percent",
        series="price",
        x_label="bid below the value, %",
        y_label="gain, % of the value won",
    )
}
