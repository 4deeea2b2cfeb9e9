"""One list out of two legs: by which rule, and what becomes of scores in different units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from common.contract import Experiment, Ints, Ranking, Table
from common.eval.report import paired
from search_ranking.config import Config
from search_ranking.experiments.lab import GAIN, Lab, against, corrected, trained
from search_ranking.features.among import EachAmong
from search_ranking.model.retrieval import fusion as rules
from search_ranking.model.retrieval.fusion import Learned

QUERIES = 1_000  # with a click, that the learned layer is fitted on
WEIGHTS = (0.99, 0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)  # of the words, in a plain sum
RRF = "reciprocal ranks"


def fusion(config: Config) -> Table:
    """Which rule makes one list of two legs, and what does it bring the ranker?

    `against reciprocal ranks`: the fused list itself as the page, paired over queries; recall: of the relevant among as many candidates as are
    ranked, of all requests and of those whose answers mostly share no word with them; `ranked`: gain of the page once the served ranker has
    ordered those candidates, `ranked_change` its paired difference from the same over reciprocal ranks. Each leg alone is the foil
    of the others. What meaning finds is there to be ranked, and a ranker taught by pages of words hardly lifts it: the rules differ far more in
    recall than on the page. The learned layer knows nothing but clicks on such pages, and listens to words."""
    lab, k, half = trained(config), config.num_candidates, (0.5, 0.5)
    legs = _legs(lab)
    found = {
        "words alone": legs[0],
        "meaning alone": legs[1],
        "plain sum, half each": rules.weighted_sum(legs, half, k),
        "min-max, half each": rules.min_max(legs, half, k),
        RRF: rules.rrf(legs, k),
        "learned from clicks": _learned(lab).fuse(legs, k),
    }
    found = {name: lab.filled(one) for name, one in found.items()}
    table = against("fusion", {name: lab.report(one) for name, one in found.items()}, RRF)
    ranked = {name: lab.report(lab.ranked(one)) for name, one in found.items()}
    for row, (name, one) in zip(table, found.items(), strict=True):
        row.update(lab.recall(one, f"recall@{k}") | lab.recall(one, "recall, few shared words", lab.few_shared))
        change = paired(ranked[name], ranked[RRF])
        row.update({"ranked": ranked[name].metrics[GAIN].value, "ranked_change": change.value})
        row.update({"ranked_change_low": change.low, "ranked_change_high": change.high})
    return table


def fusion_trap(config: Config) -> Table:
    """At which weight of the words does a plain sum of BM25 and cosine listen to both?

    `share_of_words`: of the numbers the first ten results' scores are made of, the part that is BM25. `against reciprocal ranks`: gain of the page, paired
    over queries; it is best far from a half, at a weight that holds for this catalogue and no other. The first row is the whiteboard's sum: 24.5
    beside .82."""
    lab, k = trained(config), config.num_candidates
    legs = _legs(lab)
    found = {weight: rules.weighted_sum(legs, (weight, 1 - weight), k) for weight in WEIGHTS}
    reports = {str(weight): lab.report(one) for weight, one in found.items()}
    rows = against("weight_of_words", reports | {RRF: lab.report(rules.rrf(legs, k))}, RRF)[:-1]
    for row, (weight, one) in zip(rows, found.items(), strict=True):
        share = rules.share_of_decision(legs, (weight, 1 - weight))[0]
        row.update({"weight_of_words": weight, "share_of_words": float(share), "origin": "world"})
        row.update(lab.recall(one, f"recall@{k}"))
    board = [Ranking(ids=np.zeros((1, 1), np.int64), scores=np.full((1, 1), score)) for score in (24.5, 0.82)]
    share = float(rules.share_of_decision(board, (0.5, 0.5))[0])
    first = dict.fromkeys(rows[0]) | {"weight_of_words": 0.5, "share_of_words": share, "origin": "calc"}
    return [first, *rows]


def _legs(lab: Lab) -> list[Ranking]:
    """Of the test requests, each among what may be shown for it."""
    return _found(lab, lab.queries(), lab.among(lab.rules))


def _found(lab: Lab, queries: Sequence[str], among: EachAmong | None = None) -> list[Ranking]:
    legs, k = lab.model.legs, lab.config.num_candidates
    return [legs.lexical(queries, k, among), legs.dense(queries, k, among)]


def _learned(lab: Lab) -> Learned:
    """Fitted on queries of the validation days: relevant is what was clicked for them."""
    query_id, relevant = _clicked(lab)
    queries = corrected(lab.features, lab.dataset.queries.of(query_id).tolist())
    return rules.fit(_found(lab, queries), relevant)


def _clicked(lab: Lab) -> tuple[Ints, Ints]:
    """QUERIES of the queries with a click, and what was clicked for each [n, m], -1 pads."""
    rows = lab.dataset.valid
    clicked = rows.labels["clicked"] > 0
    pairs = np.unique(np.stack([rows.query_id[clicked], rows.doc_id[clicked]]), axis=1)
    every, count = np.unique(pairs[0], return_counts=True)
    drawn = np.sort(np.random.default_rng([lab.config.seed, 22]).permutation(len(every))[:QUERIES])
    relevant = np.full((len(every), int(count.max())), -1)
    row = np.repeat(np.arange(len(every)), count)
    relevant[row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)] = pairs[1]
    return every[drawn], relevant[drawn]


EXPERIMENTS: Mapping[str, Experiment] = {"fusion": fusion, "fusion_trap": fusion_trap}
