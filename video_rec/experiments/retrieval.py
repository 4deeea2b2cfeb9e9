"""Where candidates come from: what each source brings, towers or factors, which negatives, which sign of the correction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from common.eval.report import Report
from video_rec import data, features, model
from video_rec.config import Config
from video_rec.experiments.lab import against, feed, judge, trained
from video_rec.model import factorisation
from video_rec.model.factorisation import Factors
from video_rec.schema import Dataset, find

BEST = 100  # videos of the truth that candidates are asked to hold
NEW = 3 * 86_400  # seconds since its upload in which a video is new
ASKED = 200  # requests timed one at a time


def sources(config: Config) -> Table:
    """What does each source bring that the others do not: alone, all by quota, all but one?"""
    dataset, fitted, better = trained(config)
    recent, k = fitted.recent(dataset.test, dataset.history), config.num_candidates
    calls = better.sources.calls(recent, k)
    everything = model.merge(calls, k * len(calls))
    ranked = better.rerank(dataset.test, everything, dataset.history)  # each pair is scored once, whoever brought it
    found = {"all by quota": model.merge(calls, k), **calls}
    for name in calls:
        found[f"without {name}"] = model.merge({other: calls[other] for other in calls if other != name}, k)
    feeds = {name: feed(dataset, fitted, _among(ranked, brought.ids), config) for name, brought in found.items()}
    reports = {name: judge(shown, config) for name, shown in feeds.items()}
    key = Key.of(dataset, fitted, config)
    shown = {name: {"new_shown": key.new(feeds[name].ids)} for name in feeds}
    return _beside(against("source", reports, "all by quota"), "source", key.table(found, "all by quota"), shown)


def matrix_factorisation(config: Config) -> Table:
    """Towers or factors: training, serving, cold start, quality (nearest alone, no ranker); and which loss, which solver, which feedback?"""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    recent = fitted.recent(dataset.test, dataset.history)
    found, costs = {}, {}
    for name, fit in _solvers(dataset, fitted, config).items():
        started = time.process_time()
        solved = fit()
        seconds = time.process_time() - started
        found[name] = solved.nearest(recent, config.num_candidates)
        costs[name] = {"train_seconds": seconds, "us_per_request": _us(solved.nearest, recent, config.num_candidates)}
    reports = {name: judge(feed(dataset, fitted, ranking, config), config) for name, ranking in found.items()}
    cold = (recent < 0).all(axis=1)
    for name, report in reports.items():
        costs[name]["cold_viewers"] = float(report.units[cold].mean()) if cold.any() else float("nan")
    table = Key.of(dataset, fitted, config).table(found, "two-tower")
    return _beside(against("model", reports, "two-tower"), "model", table, costs)


def negatives(config: Config) -> Table:
    """Which videos should a positive be compared with: the rest of its batch, any of the catalogue, or both; with and without logQ?"""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    recent, many = fitted.recent(dataset.test, dataset.history), config.batch_size
    variants = {
        "in-batch": replace(config, in_batch=True, num_uniform=0, log_q=1.0),
        "in-batch, no logQ": replace(config, in_batch=True, num_uniform=0, log_q=0.0),
        "uniform": replace(config, in_batch=False, num_uniform=many, log_q=1.0),
        "mixed": replace(config, in_batch=True, num_uniform=many, log_q=1.0),
        "mixed, no logQ": replace(config, in_batch=True, num_uniform=many, log_q=0.0),
        "mixed, wrong sign": replace(config, in_batch=True, num_uniform=many, log_q=-1.0),
    }
    towers = {name: model.retrieval.fit(dataset, fitted, variant) for name, variant in variants.items()}
    found = {name: one.nearest(recent, config.num_candidates) for name, one in towers.items()}
    reports = {name: judge(feed(dataset, fitted, ranking, config), config) for name, ranking in found.items()}
    table = Key.of(dataset, fitted, config).table(found, "in-batch")
    return _beside(against("negatives", reports, "in-batch"), "negatives", table)


def log_q(config: Config) -> Table:
    """The correction for popular negatives: left out, right, and with the wrong sign. The towers alone, before any ranker."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    reports: dict[str, Report] = {}
    for strength in (0.0, 1.0, -1.0):
        towers = model.retrieval.fit(dataset, fitted, replace(config, log_q=strength))
        found = towers.nearest(fitted.recent(dataset.test, dataset.history), config.num_candidates)
        reports[f"{strength:g}"] = judge(feed(dataset, fitted, found, config), config)
    return against("log_q", reports, "0")


@dataclass(frozen=True)
class Key:
    """What candidates are judged by: `best` [n, m] video ids that should be among them, -1 pads; and which videos are new to whom."""

    best: Ints
    users: Ints
    times: Ints
    fitted: features.Features
    unwatched: Ints  # ids nobody watched in training

    @classmethod
    def of(cls, dataset: Dataset, fitted: features.Features, config: Config) -> Key:
        clicked = dataset.train.labels["clicked"] > 0
        unwatched = np.setdiff1d(dataset.catalog.video_id, dataset.train.video_id[clicked])
        best = _truth(dataset, fitted, config)
        return cls(best, dataset.test.user_id, dataset.test.event_time, fitted, unwatched)

    def recall(self, ids: Ints) -> Floats:
        """ids [n, k] -> [n]: the share of the best that is among them; NaN without a best."""
        held = np.array([np.isin(best, mine).sum() for best, mine in zip(self._best, ids, strict=True)], dtype=float)
        with np.errstate(invalid="ignore"):
            share: Floats = held / (self.best >= 0).sum(axis=1)
        return share

    @property
    def _best(self) -> list[Ints]:
        return [row[row >= 0] for row in self.best]

    def new(self, ids: Ints) -> float:
        """The share of ids [n, k] uploaded within NEW of being asked for."""
        uploaded = self.fitted.uploaded[find(self.fitted.video_id, ids)]
        fresh = (self.times[:, None] - uploaded < NEW) & (ids >= 0)
        return float(fresh.sum() / max((ids >= 0).sum(), 1))

    def table(self, found: Mapping[str, Ranking], base: str) -> Mapping[str, Mapping[str, Any]]:
        """Of each ranking: recall of the best, its difference from `base` with the interval over users, the shares new and never watched."""
        units = {name: self.recall(ranking.ids) for name, ranking in found.items()}
        asked = np.isfinite(units[base])
        rows: dict[str, dict[str, Any]] = {}
        for name, ranking in found.items():
            difference = intervals.mean((units[name] - units[base])[asked], self.users[asked])
            held = ranking.ids[ranking.ids >= 0]
            rows[name] = {
                f"recall_of_best_{BEST}": float(units[name][asked].mean()),
                "recall_against": difference.value,
                "recall_low": difference.low,
                "recall_high": difference.high,
                "new_candidates": self.new(ranking.ids),
                "unwatched_candidates": float(np.isin(held, self.unwatched).mean()) if len(held) else 0.0,
            }
        return rows


def _truth(dataset: Dataset, fitted: features.Features, config: Config) -> Ints:
    """[n, BEST] the videos of greatest planted gain that the rules allow; on real data the ones left out."""
    if config.data != "world":
        return data.judgments(config).relevant
    from video_rec import world

    ranked = world.ceiling(config).rank(dataset.test, 4 * BEST + features.WATCHED).ids
    watched, (_, explicit) = fitted.watched(dataset.test, dataset.history), fitted.rulings(ranked)
    best = np.full((len(ranked), BEST), -1)
    for row in range(len(ranked)):
        allowed = ranked[row][~explicit[row] & ~np.isin(ranked[row], watched[row])][:BEST]
        best[row, : len(allowed)] = allowed
    return best


def _solvers(dataset: Dataset, fitted: features.Features, config: Config) -> dict[str, Callable[[], Any]]:
    losses, parts = factorisation.losses(config), [dataset.train]

    def solver(loss: str, feedback: str = "combined", steps: int = 0) -> Callable[[], Factors]:
        def fit() -> Factors:
            matrix = factorisation.feedback(fitted, parts, feedback)
            dim, seed = config.mf_dim, config.seed
            if steps:
                return Factors(fitted, factorisation.sgd(matrix, losses[loss], dim, steps, seed)[1], losses[loss])
            return Factors(
                fitted, factorisation.wals(matrix, losses[loss], dim, config.mf_rounds, seed)[1], losses[loss]
            )

        return fit

    return {
        "two-tower": lambda: model.retrieval.fit(dataset, fitted, config),
        "weighted, WALS": solver("weighted"),
        "weighted, SGD": solver("weighted", steps=300),
        "observed only, WALS": solver("observed only"),
        "all pairs, WALS": solver("all pairs"),
        "weighted, WALS, explicit": solver("weighted", "explicit"),
        "weighted, WALS, implicit": solver("weighted", "implicit"),
    }


def _us(nearest: Callable[[Ints, int], Ranking], recent: Ints, k: int) -> float:
    """Microseconds of CPU a request, asked one at a time as in serving."""
    asked = recent[:ASKED]
    nearest(asked[:1], k)
    started = time.process_time()
    for row in range(len(asked)):
        nearest(asked[[row]], k)
    return 1e6 * (time.process_time() - started) / len(asked)


def _among(ranked: Ranking, ids: Ints) -> Ranking:
    """`ranked` with only those candidates left that stand in the same row of `ids`."""
    kept = np.array([np.isin(mine, row[row >= 0]) for mine, row in zip(ranked.ids, ids, strict=True)])
    order = np.argsort(~kept, axis=1, kind="stable")
    left = np.take_along_axis(kept, order, 1)
    best, scores = (np.take_along_axis(column, order, 1) for column in (ranked.ids, ranked.scores))
    return Ranking(ids=np.where(left, best, -1), scores=np.where(left, scores, -np.inf))


def _beside(table: Table, column: str, *more: Mapping[str, Mapping[str, Any]]) -> Table:
    for row in table:
        for columns in more:
            row.update(columns[row[column]])
    return table


EXPERIMENTS: Mapping[str, Experiment] = {
    "sources": sources,
    "matrix_factorisation": matrix_factorisation,
    "negatives": negatives,
    "log_q": log_q,
}
