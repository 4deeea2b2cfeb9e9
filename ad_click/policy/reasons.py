"""Why an ad won, and why others lost: the most valuable of those each rule left out, and what the next ones would have needed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ad_click.policy.auction import Candidates
from common.contract import Bools, Floats, Ints, Why

MOST = 3  # losers named a reason
EVIDENCE = {
    "hidden": "the user hid this ad",
    "frequency": "the user was shown it as often as allowed in 24 hours",
    "budget": "its campaign's 24 hours' budget cannot pay its next click or impression",
    "floor": "an impression would be worth less than the floor",
    "advertiser": "another ad of this advertiser is worth more on this page",
    "campaign": "another ad of this campaign, whose budget both would draw on, is worth more on this page",
}


def reasons(
    candidates: Candidates,
    share: Floats,
    value: Floats,
    order: Ints,
    shown: Ints,
    probability: Floats,
    price: Ints,
    charge: Ints,
    out: Mapping[str, Bools],
) -> list[Why]:
    """`order`: all that no rule left out, best first. `share`: of its bid that pacing lets an ad bid. `effect` is micros an impression: an
    ad's worth, or what it fell short by."""
    won = [
        Why(item=int(candidates.ad_id[at]), stage="auction", reason="won", effect=_micros(value[at]), evidence=_bill(*bill))
        for at, bill in zip(shown.tolist(), zip(*_columns(candidates, share, shown, probability, price, charge), strict=True), strict=True)
    ]  # fmt: skip
    if not len(shown):
        return won + _left_out(candidates, value, out)
    last = value[shown[-1]]
    others = order[~_among(order, shown)]
    advertiser, campaign = (_shared(ids, others, shown) for ids in (candidates.advertiser_id, candidates.campaign_id))
    outbid = others[~(advertiser | campaign)][:MOST]
    lost = [
        Why(item=int(candidates.ad_id[at]), stage="auction", reason="outbid", effect=_micros(value[at] - last), evidence=_needed(candidates, share[at], at, last - value[at]))
        for at in outbid.tolist()
    ]  # fmt: skip
    kept_out = (value[others] > last) | (len(outbid) == 0)  # by the rule alone: nobody else is waiting
    beside = {"advertiser": advertiser & kept_out, "campaign": campaign & ~advertiser & kept_out}
    out = {**out, **{name: _at(others[which], value) for name, which in beside.items()}}
    return won + lost + _left_out(candidates, value, out)


def out_of_budget(ad_id: Ints, worth: Floats) -> list[Why]:
    """The first few of ads that were not even scored, as nothing is left of their campaigns' budgets. worth [n]: micros an impression."""
    return [
        Why(item=item, stage="candidates", reason="budget", effect=-_micros(value), evidence=EVIDENCE["budget"])
        for item, value in zip(ad_id[:MOST].tolist(), worth[:MOST].tolist(), strict=True)
    ]


def _at(places: Ints, like: Floats) -> Bools:
    which = np.zeros(len(like), dtype=bool)
    which[places] = True
    return which


def _shared(ids: Ints, others: Ints, shown: Ints) -> Bools:
    """[len(others)] whether one that is shown has the same id; -1 is nobody's."""
    return _among(ids[others], ids[shown]) & (ids[others] >= 0)


def _among(values: Ints, few: Ints) -> Bools:
    """[n] np.isin sorts both, and costs ten times this."""
    found: Bools = (values[:, None] == few).any(axis=1)
    return found


def _columns(
    candidates: Candidates, share: Floats, shown: Ints, probability: Floats, price: Ints, charge: Ints
) -> tuple[list[float], ...]:
    first, bid, cpm = candidates.probability[shown], candidates.bid_micros[shown], candidates.cpm[shown]
    return tuple(column.tolist() for column in (first, probability, bid, share[shown], cpm, price, charge))


def _bill(first: float, own: float, bid: float, share: float, cpm: float, price: float, charge: float) -> str:
    if cpm:
        return f"bid {_money(bid, share)} for a thousand, owes {charge / 1e3:.4f} for them"
    return f"{first:.5f} in slot 0 x {_money(bid, share)}; {own:.5f} in its own, owes {price / 1e6:.4f} a click"


def _needed(candidates: Candidates, share: float, at: int, short: float) -> str:
    """The bid that would have had the last place, everything else as it is."""
    bid, probability = candidates.bid_micros[at], candidates.probability[at]
    of_a_micro = share * (
        1e-3 if candidates.cpm[at] else probability
    )  # what an impression gains when a micro more is bid
    needed = f"{(bid + short / max(of_a_micro, 1e-12)) / 1e6:.4f} was needed"
    if candidates.cpm[at]:
        return f"bid {_money(bid, share)} for a thousand, {needed}"
    return f"{probability:.5f} x {_money(bid, share)}, a bid of {needed}"


def _money(bid: float, share: float) -> str:
    return f"{bid / 1e6:.4f}" + (f" paced to {share:.2f} of it" if share < 1 else "")


def _left_out(candidates: Candidates, value: Floats, out: Mapping[str, Bools]) -> list[Why]:
    """What each rule kept out, the most valuable first: what the rule cost."""
    best = {
        name: places[np.argsort(-value[places], kind="stable")][:MOST]
        for name, which in out.items()
        for places in [np.flatnonzero(which)]
    }
    return [
        Why(item=int(candidates.ad_id[at]), stage="auction", reason=name, effect=-_micros(value[at]), evidence=EVIDENCE[name])
        for name, places in best.items()
        for at in places.tolist()
    ]  # fmt: skip


def _micros(value: float) -> float:
    return round(float(value), 3)
