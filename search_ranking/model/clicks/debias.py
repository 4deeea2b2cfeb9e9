"""When does undoing position bias help a ranker, and when does it hurt? LambdaMART on one log under several labels and weights.

Every rung learns from the same rows with the same trees; judged on the true grades of queries no log holds. What differs:

    raw            LightGBM's lambdarank, label = click                          grades         the same with the true grades: what clicks could at best say
    ips            the same, weight 1 / examination on the clicks                ips_estimated  the same, examination by `intervention.harvest` from this log
    ips_normalised the same, the clicks of each query weighing 1 on average      position       the same as raw, LightGBM's own `position=`
    raw_pairwise   weights.pairwise on clicks                                    ips_pairwise   weights.pairwise on click / examination
    a_list_a_click lists of weights.a_list_a_click, every row the weight 1 / examination of its click: what `model.lessons` teaches the served ranker;
                   raw_a_list_a_click without weights, a_list_a_click_normalised with the clicks of each query weighing 1 on average

Each rung is held against the raw one of the same lists and loss (THAN), from which it differs in the weight of a click alone. `wins` says on how many logs (`seeds`) a rung beat its
raw. Trees are not tuned by rung, and their number moves the flip: weighted clicks are fewer, and overfit sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.contract import Floats, Ints
from common.errors import InputError, did_you_mean
from common.eval import intervals, ranking
from common.eval.report import Interval
from common.training.seeding import lightgbm_threads
from search_ranking.model.clicks import intervention, planted, weights
from search_ranking.model.clicks.planted import Log, Plan, World

THAN = {
    "ips_pairwise": "raw_pairwise",
    "a_list_a_click": "raw_a_list_a_click",
    "a_list_a_click_normalised": "raw_a_list_a_click",
}
"""The raw rung of the same lists and loss; of the others it is "raw"."""
K, TREES, TEST = 10, 100, 10_000  # TEST: added to a seed, queries of its own
GAIN = [0.0, 1.0, 2.0, 3.0]  # linear, as common.eval.ranking.ndcg


def debias_table(
    plan: Plan,
    etas: Sequence[float] = (0.5, 1.0, 2.0),
    sizes: Sequence[int] = (300, 3_000, 30_000),
    *,
    rungs: Sequence[str] = ("raw", "ips", "position", "raw_pairwise", "ips_pairwise", "grades"),
    seeds: Sequence[int] = (0, 1, 2),
    most: float = weights.MOST,
) -> list[dict[str, Any]]:
    """One row for each steepness, log size (sessions) and rung: {eta, sessions, rung, ndcg@10, than, gain, low, high, wins, clipped}. `gain`: over the
    rung `than`, the raw one of the same loss, with the paired 95 % interval of `over_logs`; None for the raw ones and where that rung was not asked for."""
    for rung in rungs:
        if rung not in RUNGS:
            raise InputError(f"There is no rung {rung!r}. {did_you_mean(rung, RUNGS)}")
    found = []
    for eta in etas:
        for size in sizes:
            units = {rung: np.empty((len(seeds), plan.num_queries)) for rung in rungs}
            clipped = []
            for at, seed in enumerate(seeds):
                lab = _lab(replace(plan, eta=eta), size, seed)
                clipped.append(weights.ips(lab[1].slot, lab[1].clicked, lab[0].examination, most=most).clipped)
                for rung in rungs:
                    units[rung][at] = ndcg(lab[2], RUNGS[rung](*lab[:2], most, seed))
            found += [_row(units, rung) | {"eta": eta, "sessions": size, "clipped": float(np.mean(clipped))} for rung in rungs]  # fmt: skip
    return found


Score = Callable[[Floats], Floats]
"""features [n, d] -> scores [n]."""


def ndcg(test: World, score: Score) -> Floats:
    """ndcg@10 of all candidates of each query, by their true grades. -> [num_queries]."""
    flat = score(test.features.reshape(-1, test.features.shape[2])).reshape(test.grades.shape)
    ranked = np.take_along_axis(test.grades, np.argsort(-flat, axis=1, kind="stable"), axis=1).astype(float)
    return ranking.ndcg(ranked, test.grades.astype(float), K)


def lambdamart(features: Floats, labels: Ints, sizes: Ints, *, weight: Floats | None = None, position: Ints | None = None, seed: int = 0) -> Score:  # fmt: skip
    """LightGBM's lambdarank on lists of `sizes` consecutive rows. weight [n] multiplies a row's gradient; position [n] gives each slot a bias."""
    import lightgbm

    train = lightgbm.Dataset(features, labels, group=sizes, weight=weight, position=position)
    return _grown(train, {"objective": "lambdarank", "label_gain": GAIN}, seed)


def by_objective(features: Floats, objective: weights.Objective, seed: int = 0) -> Score:
    """Trees on weights.pairwise."""
    import lightgbm

    return _grown(lightgbm.Dataset(features), {"objective": objective}, seed)


def _grown(train: Any, more: Mapping[str, Any], seed: int) -> Score:
    import lightgbm

    parameters = {
        "num_leaves": 15,
        "learning_rate": 0.1,
        "min_data_in_leaf": 50,
        "min_sum_hessian_in_leaf": 1e-3,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
    }
    booster = lightgbm.train(parameters | dict(more), train, TREES)

    def score(features: Floats) -> Floats:
        return np.asarray(booster.predict(features, raw_score=True, num_threads=lightgbm_threads()), float)

    return score


def _lab(plan: Plan, size: int, seed: int) -> tuple[World, Log, World]:
    """-> (world, log, a world of other queries)."""
    world = planted.world(plan, seed)
    return world, planted.log(world, size, seed), planted.world(plan, TEST)


def _row(units: Mapping[str, Floats], rung: str) -> dict[str, Any]:
    than = THAN.get(rung, "raw")
    row: dict[str, Any] = {"rung": rung, "ndcg@10": float(units[rung].mean())}
    if than not in units or rung in ("raw", *THAN.values()):
        return row | {"than": None, "gain": None, "low": None, "high": None, "wins": None}
    apart = units[rung] - units[than]
    gain = over_logs(apart)
    wins = int((apart.mean(axis=1) > 0).sum())
    return row | {"than": than, "gain": gain.value, "low": gain.low, "high": gain.high, "wins": wins}


def over_logs(units: Floats) -> Interval:
    """units [num_logs, num_queries] -> their mean with the wider of two intervals: over test queries, each a mean over the logs, and over logs, of
    which there are few. The first alone takes one lucky log for the truth."""
    found = intervals.mean(units.mean(axis=0), np.arange(units.shape[1]))
    if len(units) < 2:
        return found
    between = intervals.mean(units.mean(axis=1), np.arange(len(units)))
    return max(found, between, key=lambda one: (one.high or 0.0) - (one.low or 0.0))


def _inputs(world: World, log: Log) -> tuple[Floats, Ints]:
    sizes = np.full(len(log.slot) // world.plan.num_slots, world.plan.num_slots)
    return world.features[log.query_id, log.doc_id], sizes


def _lists(label: str, weigh: str | None = None) -> Callable[[World, Log, float, int], Score]:
    def rung(world: World, log: Log, most: float, seed: int) -> Score:
        features, sizes = _inputs(world, log)
        labels = world.grades[log.query_id, log.doc_id] if label == "grade" else log.clicked.astype(np.int64)
        weight = None if weigh is None else _WEIGHTS[weigh](world, log, most)
        return lambdamart(features, labels, sizes, weight=weight, position=log.slot if label == "click at" else None, seed=seed)  # fmt: skip

    return rung


def _a_list_a_click(weigh: str | None = None) -> Callable[[World, Log, float, int], Score]:
    def rung(world: World, log: Log, most: float, seed: int) -> Score:
        row, click = weights.a_list_a_click(log.session, log.clicked)
        features, sizes = world.features[log.query_id[row], log.doc_id[row]], np.unique(click, return_counts=True)[1]
        weight = None if weigh is None else _WEIGHTS[weigh](world, log, most)[click]
        return lambdamart(features, (row == click).astype(np.int64), sizes, weight=weight, seed=seed)

    return rung


def _pairwise(debiased: bool) -> Callable[[World, Log, float, int], Score]:
    def rung(world: World, log: Log, most: float, seed: int) -> Score:
        features, sizes = _inputs(world, log)
        curve = world.examination if debiased else np.ones(world.plan.num_slots)
        labels = weights.ips(log.slot, log.clicked, curve, most=most).values
        return by_objective(features, weights.pairwise(labels, sizes), seed)

    return rung


def _planted(world: World, log: Log, most: float) -> Floats:
    return weights.ips(log.slot, log.clicked, world.examination, most=most).weights


def _estimated(world: World, log: Log, most: float) -> Floats:
    """As it would be done. A log too short to join all slots is refused, not patched up."""
    curve = intervention.harvest(log.query_id, log.doc_id, log.slot, log.clicked, reps=0).examination
    return weights.ips(log.slot, log.clicked, curve, most=most).weights


def _normalised(world: World, log: Log, most: float) -> Floats:
    labels = weights.ips(log.slot, log.clicked, world.examination, most=most)
    return weights.self_normalised(labels, log.clicked, log.query_id).weights


_WEIGHTS: Mapping[str, Callable[[World, Log, float], Floats]] = {
    "planted": _planted,
    "estimated": _estimated,
    "normalised": _normalised,
}
RUNGS: Mapping[str, Callable[[World, Log, float, int], Score]] = {
    "raw": _lists("click"),
    "ips": _lists("click", "planted"),
    "ips_estimated": _lists("click", "estimated"),
    "ips_normalised": _lists("click", "normalised"),
    "position": _lists("click at"),
    "raw_pairwise": _pairwise(debiased=False),
    "ips_pairwise": _pairwise(debiased=True),
    "grades": _lists("grade"),
    "raw_a_list_a_click": _a_list_a_click(),
    "a_list_a_click": _a_list_a_click("planted"),
    "a_list_a_click_normalised": _a_list_a_click("normalised"),
}
