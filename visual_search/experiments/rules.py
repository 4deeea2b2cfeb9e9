"""What the rules of a page cost and what they keep from people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Ranking, Table
from common.eval.ranking import expected_gain
from visual_search import evaluate, policy, world
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, Trained, mean, trained
from visual_search.policy import RULES, Policy

OFF: Mapping[str, tuple[str, ...]] = {
    "explicit": ("explicit",),
    "private": ("private",),
    "itself": ("query",),
    "copies": ("copies",),
    "owner": ("owner_cap",),
}
SHOP_ONLY = "shop only"


def rules(config: Config) -> Table:
    """What does each rule cost in planted gain, and what would stand on a page without it?

    The first row keeps all rules, `all` none: the foil. `cost`: gain without the rule minus gain with it, paired over users; planted gain knows no law, so it counts
    what is forbidden in full. `paid once`: the same where of copies of one original only the best is paid, as somebody who has seen it is. `broken`: share
    of pages that would break the rule if it were off; `images`: of those on a page of ten. `shop only` is a searcher's own wish: all pages without it, beside
    all with it. It decides which rules are hard, and where a filter stands."""
    lab = trained(config)
    ways = {"none": (), **OFF, "all": tuple(name for off in OFF.values() for name in off)}
    pages = {name: lab.page(lab.answers, rules=replace(lab.rules, off=off)) for name, off in ways.items()}
    table = [_row(lab, name, pages[name], pages["none"], _breaks(lab, pages[name], off)) for name, off in ways.items()]
    return [*table, _row(lab, SHOP_ONLY, pages["none"], _shop(lab), _not_sold(lab, pages["none"]))]


def _row(lab: Trained, name: str, without: Ranking, under: Ranking, breaks: Bools) -> dict[str, Any]:
    users, cost = lab.test.user_id, lab.paid(without) - lab.paid(under)
    once = paid_once(lab, without) - paid_once(lab, under)
    return {"without": name, **mean("cost", cost, users), **mean("paid once", once, users)} | {
        GAIN: float(lab.paid(without).mean()),
        "broken": float(breaks.any(axis=1).mean()),
        "images": float(breaks.sum(axis=1).mean()),
    }


def paid_once(lab: Trained, page: Ranking) -> Floats:
    """[num_requests] gain of pages on which of the copies of one original only the best is paid."""
    original = world.make(lab.config).pictures.original
    gains = lab.judgments.gain(lab.test, page.ids)
    for row, ids in enumerate(page.ids):
        order = np.argsort(-gains[row], kind="stable")
        first = order[np.unique(np.where(ids[order] >= 0, original[ids[order]], -1), return_index=True)[1]]
        gains[row, np.setdiff1d(order, first)] = 0.0
    return expected_gain(gains, evaluate.K)


def _shop(lab: Trained) -> Ranking:
    """Pages of the same searches by people who would buy."""
    asked = replace(lab.test, shop_only=np.ones(len(lab.test), np.int64))
    return lab.page(lab.answered(asked), asked)


def _not_sold(lab: Trained, page: Ranking) -> Bools:
    sold = lab.features.pictures.shop[lab.features.find(page.ids)] > 0
    return (page.ids >= 0) & ~sold


def _breaks(lab: Trained, page: Ranking, off: tuple[str, ...]) -> Bools:
    """[n, k]: what stands there against a rule of `off`."""
    found = np.zeros(page.ids.shape, bool)
    for row, (ids, context) in enumerate(zip(page.ids, policy.contexts(lab.features, lab.test, page), strict=True)):
        for name in off:
            found[row] |= _against(lab.rules, name, ids, context)
    return found


def _against(rules: Policy, name: str, ids: Ints, context: policy.Context) -> Bools:
    if name in RULES:
        return (ids >= 0) & ~RULES[name](ids, context)
    column, most = (context.group, 1) if name == "copies" else (context.owner, rules.owner_cap)
    above = np.array([(column[:place] == one).sum() for place, one in enumerate(column)])
    beyond: Bools = (ids >= 0) & (column >= 0) & (above >= most)
    return beyond


EXPERIMENTS: Mapping[str, Experiment] = {"rules": rules}
