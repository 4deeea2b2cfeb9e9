"""How well is the examination curve recovered, by which estimator, from how long a log, and when people do not read as it assumes?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Floats, Table
from common.eval import intervals
from common.eval.chart import Chart
from search_ranking.config import Config
from search_ranking.model.clicks import by_ctr, em, intervention, planted, relative
from search_ranking.model.clicks.planted import Log, Plan, World

WITHIN = 0.1  # of the planted curve, at the slot that is furthest off
PLAN = Plan(num_queries=80)
COIN = 0.5  # share of sessions in which a coin swaps two results, for the one estimator that reads the coin
LOGS = 4
SIZES = (2_500, 10_000, 30_000, 120_000)  # sessions
MOST_PAL = 30_000  # sessions: beyond, a fit takes a minute
OTHERS, OTHERS_PAL = 80_000, 10_000  # sessions of logs of the other click models, and of PAL's
Estimator = Callable[[World, Log], Floats]


def _pairs(_: World, log: Log) -> Floats:
    return em.by_pairs(log.query_id, log.doc_id, log.slot, log.clicked, reps=0).examination


def _harvest(_: World, log: Log) -> Floats:
    return intervention.harvest(log.query_id, log.doc_id, log.slot, log.clicked, reps=0).examination


def _swaps(_: World, log: Log) -> Floats:
    return intervention.swaps(log.slot, log.clicked, log.swapped, log.query_id, reps=0).examination


def _pal(world: World, log: Log) -> Floats:
    from search_ranking.model.clicks import pal

    features = world.features[log.query_id, log.doc_id]
    return pal.factorised(features, log.slot, log.clicked, log.query_id).examination


def _click_rate(_: World, log: Log) -> Floats:
    return by_ctr(log.slot, log.clicked, log.query_id, reps=0).examination


ESTIMATORS: Mapping[str, Estimator] = {"EM": _pairs, "harvest": _harvest, "swaps": _swaps, "PAL": _pal}
FOIL = "click rate"


def curves(config: Config) -> Table:
    """From how long a log on is the examination curve within a tenth of the planted one, at every slot?

    People read by position alone. `furthest`: the relative error of the worst slot, a mean over LOGS worlds; `beyond` is what it is above
    a tenth. EM and harvest ask for pairs shown in several slots, PAL for features that tell all there is to tell, swaps for half of the
    pages spoilt and nothing else."""
    table: Table = []
    for name in ESTIMATORS:
        for size in SIZES:
            if name != "PAL" or size <= MOST_PAL:
                row = _errors(name, "pbm", size, config)
                table.append({"estimator": name, "sessions": size, "beyond": row["furthest"] - WITHIN, "low": row["low"] - WITHIN, "high": row["high"] - WITHIN, "furthest": row["furthest"], "mean_error": row["mean_error"]})  # fmt: skip
    return table


def click_models(config: Config) -> Table:
    """How wrong does each estimator get when people do not read as it assumes?

    Under a cascade they stop at the first good result, under trust bias they click on high places for being high; `furthest` is the
    relative error of the worst slot. A click rate by slot, the foil, is wrong everywhere: good results stand high. No log says which of
    the three worlds it comes from."""
    table: Table = []
    for clicks in ("pbm", "cascade", "trust"):
        for name in (*ESTIMATORS, FOIL):
            size = OTHERS_PAL if name == "PAL" else OTHERS
            table.append({"clicks": clicks, "estimator": name, "sessions": size, **_errors(name, clicks, size, config)})
    return table


def _errors(name: str, clicks: str, size: int, config: Config) -> dict[str, float]:
    """Over LOGS worlds -> {furthest, low, high, mean_error}, relative errors over the slots."""
    plan = replace(PLAN, clicks=clicks, swaps=COIN if name == "swaps" else 0.0)
    estimate = ESTIMATORS.get(name, _click_rate)
    errors = np.array([_error(plan, size, estimate, config.seed + at) for at in range(LOGS)])
    furthest = intervals.mean(errors.max(axis=1), np.arange(LOGS))
    assert furthest.low is not None and furthest.high is not None
    return {"furthest": furthest.value, "low": furthest.low, "high": furthest.high, "mean_error": float(errors.mean())}


def _error(plan: Plan, size: int, estimate: Estimator, seed: int) -> Floats:
    """[num_slots]."""
    world = planted.world(plan, seed)
    log = planted.log(world, size, seed)
    error: Floats = np.abs(estimate(world, log) / _truth(world, log) - 1)
    return error


def _truth(world: World, log: Log) -> Floats:
    """Under a cascade looking depends on the results above: the share of the rows of each slot that was looked at."""
    if world.plan.clicks == "cascade":
        return relative(np.bincount(log.slot, log.seen) / np.bincount(log.slot))
    return world.examination


EXPERIMENTS: Mapping[str, Experiment] = {"curves": curves, "click_models": click_models}
CHARTS: Mapping[str, Chart] = {
    "curves": Chart(
        title="How far the worst slot of an estimated examination curve is off, as the log grows",
        x="sessions",
        y="beyond",
        series="estimator",
        x_label="sessions in the log",
        y_label="relative error of the worst slot, less a tenth (below zero: within a tenth)",
        log_x=True,
    )
}
