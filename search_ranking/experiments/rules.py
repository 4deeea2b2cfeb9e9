"""What the rules of a page cost and what they buy: each hard rule, and how copies are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval.ranking import expected_gain
from common.eval.report import paired
from common.features.copies import copies as alike
from search_ranking import evaluate, policy, world
from search_ranking.config import Config
from search_ranking.experiments.lab import GAIN, Lab, change, trained
from search_ranking.policy import RULES, Policy

ASKED = (
    "explicit",
    "age",
    "country",
    "copies",
)  # the filters are the searcher's own, and nobody in this world sets one


def rules(config: Config) -> Table:
    """What does each rule cost in planted gain, and what would a page be without it? The first row keeps all of them, the last none: the foil.

    `cost`: gain without the rule minus gain with it, paired over queries; planted gain knows no law, so it counts what is forbidden in full.
    `broken`: share of pages that would break the rule if it were off; in the last row any rule."""
    lab = trained(config)
    full = lab.report(lab.ranked(lab.candidates))
    table: Table = []
    for name, off in {"none": (), **{one: (one,) for one in ASKED}, "all": ASKED}.items():
        loose = replace(lab.rules, off=off)
        page = lab.page(lab.ranked(lab.retrieved(lab.model, loose)), loose)
        report = evaluate.evaluate(page, lab.judgments, config)
        cost = paired(report, full)
        table.append(
            {"without": name, "cost": cost.value, "low": cost.low, "high": cost.high, GAIN: report.metrics[GAIN].value}
            | {"broken": _broken(lab, page, off)}
        )
    return table


def copies(config: Config) -> Table:
    """How should copies be told, and what is a page without them worth to somebody who has seen one of two?

    It flips with what is counted: paid twice, a copy of a good result is a good result, and `expected_gain@10` falls when copies go; paid once
    each (`distinct_gain`), the page gains. `change`: paired difference of distinct gain from the page that keeps all copies, the foil.
    `distinct`: different originals a page; `merged_wrongly`: results a page left out as copies of what they are no copies of. The truth is
    the last row."""
    lab = trained(config)
    found = lab.page(lab.ranked(lab.candidates), Policy(page_size=config.num_candidates, off=("copies",)))
    original = world.make(config).documents.original
    catalog = lab.dataset.catalog
    groups = {
        "nothing (all are kept)": np.full(len(catalog), -1),
        "the same title": np.unique(catalog.title, return_inverse=True)[1],
        "the same fingerprint": np.unique(catalog.fingerprint, return_inverse=True)[1],
        "at most three bits apart (served)": lab.features.groups,
        "the truth": original,
    }
    assert np.array_equal(groups["at most three bits apart (served)"], alike(catalog.fingerprint)), "as served"
    pages = {name: _without(lab, found, group) for name, group in groups.items()}
    judged = {name: _distinct(lab, page, original) for name, page in pages.items()}
    base, table = next(iter(judged.values())), []
    for name, page in pages.items():
        report = evaluate.evaluate(page, lab.judgments, config)
        table.append(
            {"copies told by": name, "distinct_gain": float(judged[name].mean())}
            | change(judged[name], base, report.clusters, "change")
            | {GAIN: report.metrics[GAIN].value, "distinct": _num_distinct(page, original)}
            | {"merged_wrongly": _wrongly(lab, found, groups[name], original)}
        )
    return table


def _without(lab: Lab, found: Ranking, group: Ints) -> Ranking:
    """found: all that may be shown -> pages on which of each group the best stands."""
    contexts = policy.contexts(lab.features, lab.dataset.test, found)
    given = [
        replace(one, group=np.where(ids >= 0, group[lab.features.find(ids)], -1))
        for one, ids in zip(contexts, found.ids, strict=True)
    ]
    return Policy(page_size=lab.config.page_size).apply(found, given)


def _distinct(lab: Lab, page: Ranking, original: Ints) -> Floats:
    """[num_requests] expected gain of pages on which only the best of each original's copies is paid."""
    gains = lab.judgments.gain(lab.dataset.test, page.ids)
    for row, ids in enumerate(page.ids):
        order = np.argsort(-gains[row], kind="stable")
        first = order[np.unique(np.where(ids[order] >= 0, original[ids[order]], -1), return_index=True)[1]]
        gains[row, np.setdiff1d(order, first)] = 0.0
    return expected_gain(gains, evaluate.K)


def _num_distinct(page: Ranking, original: Ints) -> float:
    return float(np.mean([len(np.unique(original[ids[ids >= 0]])) for ids in page.ids]))


def _wrongly(lab: Lab, found: Ranking, group: Ints, original: Ints) -> float:
    """A page: of what stood above its last result, how many were left out beside a better one of their group that is another original."""
    page, count = _without(lab, found, group), 0
    for ids, kept in zip(found.ids, page.ids, strict=True):
        shown = kept[kept >= 0]
        last = int(np.flatnonzero(ids == shown[-1])[0]) if len(shown) else 0
        for one in np.setdiff1d(ids[:last], shown).tolist():
            same = shown[(group[shown] == group[one]) & (group[one] >= 0)]
            count += bool(len(same)) and not (original[same] == original[one]).any()
    return count / len(page.ids)


def _broken(lab: Lab, page: Ranking, off: tuple[str, ...]) -> float:
    """Share of pages that hold something a rule of `off` forbids."""
    contexts = policy.contexts(lab.features, lab.dataset.test, page)
    return float(
        np.mean([any(_breaks(ids, one, name) for name in off) for ids, one in zip(page.ids, contexts, strict=True)])
    )


def _breaks(ids: Ints, context: policy.Context, name: str) -> bool:
    there = ids >= 0
    if name == "copies":
        groups = context.group[there & (context.group >= 0)]
        return len(np.unique(groups)) < len(groups)
    return not bool(RULES[name](ids, context)[there].all())


EXPERIMENTS: Mapping[str, Experiment] = {"rules": rules, "copies": copies}
