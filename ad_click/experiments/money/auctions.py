"""What wrong probabilities cost, and what the ranking asks for: auctions with budgets that never end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ad_click import baseline, features, model
from ad_click.config import Config
from ad_click.data import load
from ad_click.experiments.money.lab import MONEY, Lab, Shown, auction_lab, compared, percent
from ad_click.policy.auction import Rules
from common.contract import Bools, Experiment, Floats, Table


def miscalibration(config: Config) -> Table:
    """What an error of ten percent in the probabilities costs platform and advertisers, in three markets; the last row of each should lose.

    An error common to all CPC ads of a page leaves their order as it is; it shows against whatever is not multiplied by a probability: CPM
    bids, the floor, the cost of hides. `advertiser_utility` is value less price: its fall is the advertisers' regret.
    """
    lab = auction_lab(config)
    cpc = lab.among(~lab.cpm)
    bare = replace(cpc.rules, floor_micros=0, hide_cost_micros=0)
    rows = compared(
        "market and error", _made(cpc, "CPC, no floor, no hide cost", bare, COMMON), MONEY, lab.rows.user_id
    )
    rows += compared("market and error", _made(cpc, "CPC", lab.rules), MONEY, lab.rows.user_id)
    return rows + compared("market and error", _made(lab, "CPC and CPM", lab.rules), MONEY, lab.rows.user_id)


COMMON = ("exact", "x 1.1", "x 0.9", "x 1.1 on mobile", "one rate for all")
"""Errors that are one factor on a page, and the foil."""


def _made(lab: Lab, market: str, rules: Rules, names: Iterable[str] = ()) -> dict[str, dict[str, Floats]]:
    """Outcomes of each error, the mean over its ways."""
    found = {}
    for name, ways in errors(lab).items():
        if not names or name in names:
            made = [lab.money(wrong, rules) for wrong in ways]
            found[f"{market}: {name}"] = {key: np.mean([one[key] for one in made], axis=0) for key in made[0]}
    return found


def errors(lab: Lab) -> Mapping[str, list[Floats]]:
    """[num_requests, num_candidates] each: the planted probabilities and ways to be wrong about them. What chance decides comes with its
    mirror image, so that no ad is lucky: the other half raised, the noise the other way round."""
    exact, chosen = lab.clicks, half(lab)
    mobile = lab.rows.categories["device"] == "mobile"
    noise = 0.1 * np.random.default_rng([lab.config.seed, 6]).standard_normal(len(lab.catalog))
    return {
        "exact": [exact],
        "x 1.1": [1.1 * exact],
        "x 0.9": [0.9 * exact],
        "x 1.1 on mobile": [np.where(mobile[:, None], 1.1, 1.0) * exact],
        "x 1.1 on half of the ads": [np.where(raised[lab.ads], 1.1, 1.0) * exact for raised in (chosen, ~chosen)],
        "10 % noise, ad by ad": [np.exp(sign * noise)[lab.ads] * exact for sign in (1, -1)],
        "one rate for all": [np.full(exact.shape, exact.mean())],
    }


def half(lab: Lab) -> Bools:
    """[num_ads] a half of the ads, by chance."""
    return np.random.default_rng([lab.config.seed, 7]).random(len(lab.catalog)) < 0.5


def regret(config: Config) -> Table:
    """Who gains and who loses when probabilities are ten percent too high: the raised ads win more and owe less a click, the others pay. The
    last two rows should lose for CPC: no probabilities at all."""
    lab = auction_lab(config)
    chosen, exact = half(lab), lab.decide(lab.clicks)
    sides: Mapping[str, Mapping[str, list[Bools]]] = {  # whose side, for each way of the error
        "x 1.1 on half of the ads": {"raised": [chosen, ~chosen], "not raised": [~chosen, chosen]},
        "x 1.1": {"CPC": [~lab.cpm], "CPM": [lab.cpm]},
        "one rate for all": {"CPC": [~lab.cpm], "CPM": [lab.cpm]},
    }
    rows: Table = []
    for error, of in sides.items():
        shown = [lab.decide(wrong) for wrong in errors(lab)[error]]
        for side, which in of.items():
            before, after = [exact] * len(which), shown
            change = percent(_utility(lab, after, which), _utility(lab, before, which), lab.rows.user_id)
            row = {"error": error, "ads": side, "utility_change_percent": change.value, "low": change.low, "high": change.high}  # fmt: skip
            row |= {"impressions_before": _share(lab, before, which), "impressions_after": _share(lab, after, which)}
            row |= {"price_a_click_before": _price_a_click(lab, before, which), "price_a_click_after": _price_a_click(lab, after, which)}  # fmt: skip
            rows.append(row)
    return rows


def _mine(lab: Lab, shown: Shown, which: Bools) -> Bools:
    mine: Bools = which[lab.ads[shown.request, shown.place]]
    return mine


def _utility(lab: Lab, ways: list[Shown], which: list[Bools]) -> Floats:
    """[num_requests] of one side's ads, over the ways of an error."""
    units = [
        lab.by_request(shown, lab.gained(shown) * _mine(lab, shown, of)) for shown, of in zip(ways, which, strict=True)
    ]
    return np.asarray(np.sum(units, axis=0), np.float64)


def _share(lab: Lab, ways: list[Shown], which: list[Bools]) -> float:
    """Of all impressions."""
    return float(np.concatenate([_mine(lab, shown, of) for shown, of in zip(ways, which, strict=True)]).mean())


def _price_a_click(lab: Lab, ways: list[Shown], which: list[Bools]) -> float | None:
    """In currency, whatever it was paid for; None where nobody was shown."""
    mine = [(shown, _mine(lab, shown, of)) for shown, of in zip(ways, which, strict=True)]
    clicks = sum(float(shown.clicked[of].sum()) for shown, of in mine)
    return 1e-6 * sum(float(lab.paid(shown)[of].sum()) for shown, of in mine) / clicks if clicks else None


def models_in_money(config: Config) -> Table:
    """What the fitted scorers earn beside the truth. `promised` is what their own predictions expect of the ads they chose, its change against
    what comes: whoever picks the largest of 500 estimates picks the largest errors. Two should lose: the rate of slot 0 for all, the last
    rung of serving, and trees on a twentieth of the negatives whose odds nobody corrected."""
    lab = auction_lab(config)
    dataset = load(config)
    fitted = features.fit(dataset, config)
    inputs = fitted.inputs(lab.asked, dataset.history)
    trees = model.fit(dataset, fitted, config)
    thin = model.fit(dataset, fitted, replace(config, negative_rate=0.05, calibrate=False, refit=False))
    simple = baseline.fit(dataset, fitted, config)
    scores = {
        "truth": lab.clicks.ravel(),
        "model": trees.score(inputs),
        "model, not calibrated": replace(trees, calibration=None).score(inputs),
        "negatives thinned, corrected": thin.score(inputs),
        "negatives thinned, not corrected": replace(thin, negative_rate=1.0).score(inputs),
        "baseline": simple.score(inputs),
        "one rate for all": np.full(lab.ads.size, simple.rate),
    }
    shown = {name: lab.decide(found.reshape(lab.ads.shape)) for name, found in scores.items()}
    money = {name: lab.outcomes(found) for name, found in shown.items()}
    table = compared("scorer", money, (*MONEY, "clicks"), lab.rows.user_id)
    for name, found in shown.items():
        promised = lab.promised(found, scores[name])
        change = percent(promised, money[name]["revenue"], lab.rows.user_id)
        row = {"scorer": name, "outcome": "promised", "a_thousand_pages": 1e-3 * float(promised.mean())}
        table.append({**row, "change_percent": change.value, "low": change.low, "high": change.high})
    return table


def objectives(config: Config) -> Table:
    """The frontier of revenue, conversions and hides: what ranking by more than revenue costs and brings.

    A conversion that is worth V raises a bid by P(conversion | click) x V for the ranking, and what is owed falls by as much, so the
    advertiser never pays for it. Probabilities of conversions are the planted ones; hides are known as each ad's mean, as served, or person by
    person. The last row should lose: clicks alone, whatever they pay.
    """
    lab = auction_lab(config)
    none = replace(lab.rules, hide_cost_micros=0)
    arms = {"revenue": lab.decide(lab.clicks, none)}
    for value in (500_000, 2_000_000):
        arms[f"+ conversions at {value / 1e6:g}"] = with_conversions(lab, value, 0)
    for cost in (lab.rules.hide_cost_micros, 1_000_000, 10_000_000):
        rules = replace(none, hide_cost_micros=cost)
        arms[f"+ hides at {cost / 1e6:g}"] = lab.decide(lab.clicks, rules)
        arms[f"+ hides at {cost / 1e6:g}, known person by person"] = lab.decide(lab.clicks, rules, hides=lab.hides)
    arms["+ conversions at 0.5, hides at 10"] = with_conversions(lab, 500_000, 10_000_000)
    arms["clicks alone"] = _clicks_alone(lab)
    found = {name: lab.outcomes(shown) for name, shown in arms.items()}
    return compared("rank by", found, ("revenue", "conversions", "hides", "impressions"), lab.rows.user_id)


def with_conversions(lab: Lab, value: int, hide_cost: int) -> Shown:
    """value: micros a conversion is worth to the platform."""
    rules = replace(lab.rules, hide_cost_micros=hide_cost)
    subsidy = value * lab.conversions  # micros a click
    cpm, bids = lab.cpm[lab.ads], lab.catalog.bid_micros[lab.ads]
    shown = lab.decide(lab.clicks, rules, bids=bids + np.where(cpm, 1000 * lab.clicks, 1.0) * subsidy)
    given = subsidy[shown.request, shown.place]
    thousandth = lab.clicks[shown.request, shown.place] * given
    mine = cpm[shown.request, shown.place]
    price = np.where(mine, 0, np.maximum(shown.price - given, 0))
    return replace(shown, price=price, charge=np.where(mine, np.maximum(shown.charge - thousandth, 0), 0))


def _clicks_alone(lab: Lab) -> Shown:
    """Ranked and priced as if all bid the mean for a click; nobody owes more than its own bid."""
    cpm, own = lab.cpm[lab.ads], lab.catalog.bid_micros[lab.ads].astype(np.float64)
    mean = own[~cpm].mean()
    alike = np.where(cpm, 1000 * lab.clicks, 1.0) * mean
    shown = lab.decide(lab.clicks, replace(lab.rules, hide_cost_micros=0), bids=alike)
    most = own[shown.request, shown.place]
    return replace(shown, price=np.minimum(shown.price, most), charge=np.minimum(shown.charge, most / 1000))


EXPERIMENTS: Mapping[str, Experiment] = {
    "miscalibration": miscalibration,
    "regret": regret,
    "models_in_money": models_in_money,
    "objectives": objectives,
}
