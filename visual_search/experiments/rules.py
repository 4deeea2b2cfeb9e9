"""What the rules of a page cost and what they buy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Ints, Table
from common.eval.report import paired
from visual_search import data, evaluate, features, model, policy
from visual_search.config import Config
from visual_search.policy import FITS, RULES

ASKED = ("explicit", "private", *FITS)  # the others are the searcher's own


def rules(config: Config) -> Table:
    """What does each rule cost in planted gain, and what would a page be without it? The first row keeps all of them, the last none: the foil.

    `cost`: gain without the rule minus gain with it; planted gain knows no law, so it counts what is forbidden in full. `broken`: share of pages that
    would break the rule if it were off; in the last row any rule."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    better, test, store = model.fit(dataset, fitted, config), dataset.test, dataset.history
    found = better.rerank(test, better.retrieve(test, config.num_candidates, store), store)
    whole, judgments = policy.Policy(page_size=config.page_size, owner_cap=config.owner_cap), data.judgments(config)
    given = policy.contexts(fitted, test, found)
    full, table = evaluate.evaluate(whole.apply(found, given), judgments, config), []
    for name, off in {"none": (), **{one: (one,) for one in ASKED}, "all": ASKED}.items():
        page = replace(whole, off=off).apply(found, given)
        report = evaluate.evaluate(page, judgments, config)
        cost = paired(report, full)
        broken = [
            any(_breaks(whole, one, ids, context) for one in off)
            for ids, context in zip(page.ids, policy.contexts(fitted, test, page), strict=True)
        ]
        table.append(
            {"without": name, "cost": cost.value, "low": cost.low, "high": cost.high}
            | {report.primary: report.metrics[report.primary].value, "broken": float(np.mean(broken))}
        )
    return table


def _breaks(whole: policy.Policy, name: str, ids: Ints, context: policy.Context) -> bool:
    there = ids >= 0
    if name in RULES:
        return not bool(RULES[name](ids, context)[there].all())
    column = (context.group if name == "copies" else context.owner)[there]
    most = 1 if name == "copies" else whole.owner_cap
    return bool(np.bincount(column[column >= 0], minlength=1).max() > most)


EXPERIMENTS: Mapping[str, Experiment] = {"rules": rules}
