"""Probabilities to ads shown and prices: a second-price auction with budgets.

In:     the probabilities of the candidates, their bids, what their campaigns have spent, what the user has hidden and seen.
Out:    Policy.decide -> Decision: who is shown where, who owes what for a click or for being shown, and why the others are not.
Choice: rank by what an impression is worth, probability x bid or bid / 1000, less the harm of a hide; each winner owes the least that would
        have kept its place (generalised second price); a campaign that nears its budget bids less (pacing).
Else:   first price with bid shading, where buyers come from exchanges; VCG, where truth-telling over all slots has to be exact; CPM ads in
        the lower slots, where a lower slot costs them nothing, once advertisers are told where they run.
Breaks: a probability that is too high for some ads shows the wrong one (experiment miscalibration; calibration_ratio in evaluate and monitor);
        what is set aside for a click lapses an hour or two after the page, so later clicks can overdraw a budget (experiment pacing).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ad_click.config import Config
from ad_click.policy.auction import Candidates, Context, Decision, Rules, worth
from ad_click.policy.invariants import INVARIANTS
from ad_click.policy.reasons import out_of_budget, reasons
from ad_click.schema import Request, Rows
from common.contract import Floats, Ints

__all__ = ["INVARIANTS", "Candidates", "Context", "Decision", "Policy", "fit", "load", "out_of_budget"]


def fit(predictions: Floats, rows: Rows, config: Config) -> Policy:
    """How much less a lower slot is clicked, from the labelled rows: clicks over predictions, slot against slot 0.

    predictions [n] are of the same ads as if shown in slot 0 (`Inputs.at("slot", 0)`): a plain ratio of click rates would take the better ads
    of the upper slots for a better place.
    """
    slots = rows.numbers.get("slot", np.zeros(len(rows))).astype(np.int64)
    clicks = np.bincount(slots, rows.label) + 1.0
    ratio = clicks / (np.bincount(slots, predictions) + 1.0)
    rules = Rules(config.floor_micros, config.hide_cost_micros, config.most_seen, config.pacing)
    return Policy(rules, tuple(np.minimum.accumulate(ratio / ratio[0]).tolist()))


def load(folder: Path) -> Policy:
    saved = json.loads((folder / "policy.json").read_text())
    return Policy(Rules(**saved["rules"]), tuple(saved["slot_multipliers"]))


@dataclass(frozen=True)
class Policy:
    rules: Rules
    slot_multipliers: tuple[float, ...]

    def decide(self, request: Request, candidates: Candidates, context: Context) -> Decision:
        """The rules take ads out, then all but the best of each advertiser and of each campaign leave, then prices are set among the rest."""
        value = worth(candidates, context, self.rules)
        out = self.rules.out(candidates, context, value)
        able = ~np.logical_or.reduce(list(out.values()))
        order = np.lexsort((candidates.ad_id, -value))  # ties to the older ad
        order = order[able[order]]
        alone = _alone(candidates, order, request.num_slots + 1)  # the last sets a price
        shown = alone[: request.num_slots]
        owed = self._owed(value, alone)[: len(shown)] + self.rules.harm(candidates)[shown]
        price, charge = _bill(candidates, context, self.rules, shown, owed)
        probability = candidates.probability[shown] * self._multiplier(len(shown))
        return Decision(
            index=shown,
            probability=probability,
            price_micros=price,
            charge_micros=charge,
            why=reasons(candidates, self.rules.share(context), value, order, shown, probability, price, charge, out),
        )

    def save(self, folder: Path) -> None:
        saved = {"rules": vars(self.rules), "slot_multipliers": self.slot_multipliers}
        (folder / "policy.json").write_text(json.dumps(saved))

    def _owed(self, value: Floats, order: Ints) -> Floats:
        """[len(order)] what an impression has to be worth to stay ahead of the next one, and above the floor."""
        owed: Floats = np.maximum(np.append(value[order][1:], 0.0), self.rules.floor_micros / 1000)
        return owed

    def _multiplier(self, num_shown: int) -> Floats:
        slots = np.minimum(np.arange(num_shown), len(self.slot_multipliers) - 1)
        multiplier: Floats = np.array(self.slot_multipliers)[slots]
        return multiplier


def _bill(candidates: Candidates, context: Context, rules: Rules, shown: Ints, owed: Floats) -> tuple[Ints, Ints]:
    """[num_shown] micros for a click, micros for the impression: one of them is 0. Rounded up, never above what was bid."""
    cpm, bid = candidates.cpm[shown], np.floor(rules.paced(candidates, context)[shown])
    click = np.minimum(np.ceil(owed / np.maximum(candidates.probability[shown], 1e-12)), bid)
    impression = np.minimum(np.ceil(owed), np.floor(bid / 1000))
    return np.where(cpm, 0, click).astype(np.int64), np.where(cpm, impression, 0).astype(np.int64)


def _alone(candidates: Candidates, order: Ints, most: int) -> Ints:
    """The first `most` of the order of which no two share an advertiser or a campaign: each can pay its own next click, and two of one budget
    could not pay both. Who has none (-1) shares with nobody."""
    owners = (candidates.advertiser_id[order].tolist(), candidates.campaign_id[order].tolist())
    chosen, advertisers, campaigns = list[int](), set[int](), set[int]()
    for place, advertiser, campaign in zip(order.tolist(), *owners, strict=True):
        if advertiser in advertisers or campaign in campaigns:
            continue
        chosen.append(place)
        if len(chosen) == most:
            break
        advertisers |= {advertiser} - {-1}
        campaigns |= {campaign} - {-1}
    return np.array(chosen, dtype=np.int64)
