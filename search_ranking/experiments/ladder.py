"""The families of learning to rank in one table: on the world's clicks, and where each of them should win."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Table
from search_ranking import model
from search_ranking.config import Config
from search_ranking.experiments.lab import Lab, against, columns, ordered, trained
from search_ranking.model.ltr import Groups, planted, trees
from search_ranking.model.ltr import ladder as rungs

LISTS, VALID = 4_000, 2_000  # lists of clicks that every rung learns from, and is chosen and stopped by
TRIALS = 2  # settings a rung
SIZES = (500, 200, 1_000)  # queries of the planted worlds: to learn from, to choose by, to judge
SERVED, NO_RANKER = "as served", "no ranker"
SAME, FREE = "as served, these lists", "as served, these lists, all features free"
POINTWISE = "as served, these lists, pointwise"


def ladder(config: Config) -> Table:
    """Which family of learning to rank is best on this world's clicks, judged by planted gain?

    Every rung learns from the same lists (a click each, weighed by one over examination), is chosen among as many settings and stopped by clicks
    of later days, and orders the same candidates. `against as served`: paired difference from the ranker of the case, whose trees know which
    features may only raise a score and who has seen all lists; its setting on the rungs' lists, and with those features left free, stands
    beside it, and a regression on the grade with the same knowledge. The foil is the order of the fusion. train_s: CPU seconds of the setting kept.
    It flips with that knowledge and not with the loss: with it a plain regression does as well as LambdaMART; left free, LambdaMART is the worst
    of the rungs and, as LightGBM comes, no better than no ranker; `valid`, clicks on pages of the old engine, hardly shows it."""
    lab = trained(config)
    train, valid = lists(lab)
    read = columns(lab, lab.candidates)
    found = {rung.name: rungs.tuned(rung, train, valid, TRIALS, config.seed) for rung in rungs.rungs(config.seed)}
    found[rungs.FOIL] = rungs.tuned(rungs.foil(config.seed), train, valid, 1, config.seed)
    scores: dict[str, Floats] = {name: one.model.score(read) for name, one in found.items()}
    own = model.setting(config)
    for name, setting in {
        SAME: own,
        FREE: replace(own, monotone=()),
        POINTWISE: replace(own, objective="regression"),
    }.items():
        scores[name] = trees.fit(train, None, setting).score(read)
    scores[SERVED] = lab.model.ranker.score(read)
    reports = {name: lab.report(ordered(lab.candidates, score)) for name, score in scores.items()}
    reports[NO_RANKER] = lab.report(lab.candidates)
    table = against("model", reports, SERVED)
    for row in table:
        one = found.get(row["model"])
        row |= {"valid": one and one.valid, "train_s": one and one.seconds}
    return table


def ladder_planted(config: Config) -> Table:
    """Where does each family win? Grades as they are, no clicks: a world in which relevance adds up, and one in which it does not.

    `against_logistic` with `low` and `high`: paired over queries. The last row of each world is LambdaMART as LightGBM comes.
    It flips with the world: where relevance adds up the line wins, where it does not the trees do, and choosing LambdaMART's setting gains nothing in either."""
    table: Table = []
    for kind in planted.KINDS:
        parts = [planted.world(kind, size, 10 * config.seed + at) for at, size in enumerate(SIZES)]
        for row in rungs.ladder(parts[0], parts[1], parts[2], TRIALS, config.seed):
            table.append(
                {"model": row["model"], "world": kind, "ndcg@10": row["ndcg@10"], "against_logistic": row["against_logistic"]}
                | {"low": row["against_low"], "high": row["against_high"], "against_defaults": row["against_foil"]}
                | {"against_defaults_low": row["foil_low"], "against_defaults_high": row["foil_high"]}
                | {"valid": row["valid"], "train_s": row["train_s"]}
            )  # fmt: skip
    return table


def lists(lab: Lab) -> tuple[Groups, Groups]:
    """Lists of clicks to learn from and to choose by, as the ranker of the case has them, LISTS and VALID of them at most."""
    legs, dataset, config = lab.model.legs, lab.dataset, lab.config
    train, valid = (
        model.lessons(rows, legs, lab.features, dataset, config)[0] for rows in (dataset.train, dataset.valid)
    )
    rng = np.random.default_rng([config.seed, 21])
    return some(train, LISTS, rng), some(valid, VALID, rng)


def some(groups: Groups, most: int, rng: np.random.Generator) -> Groups:
    """`most` of the queries, drawn evenly, whole and in their order."""
    kept = np.zeros(len(groups.sizes), bool)
    kept[rng.permutation(len(groups.sizes))[:most]] = True
    row = kept[groups.query]
    weights = None if groups.weights is None else groups.weights[row]
    return Groups(features=groups.features[row], grades=groups.grades[row], sizes=groups.sizes[kept], weights=weights)


EXPERIMENTS: Mapping[str, Experiment] = {"ladder": ladder, "ladder_planted": ladder_planted}
