"""What finds candidates by vectors: towers or factors, which negatives, which sign of the correction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from common.contract import Experiment, Ints, Ranking, Table
from common.eval.report import Report
from video_rec import data, features, model
from video_rec.config import Config
from video_rec.experiments.lab import against, feed, judge
from video_rec.experiments.sources import Key, beside
from video_rec.model import factorisation
from video_rec.model.factorisation import Factors
from video_rec.schema import Dataset

ASKED = 200  # requests timed one at a time
SGD_STEPS = 1_000  # at DEMO four times the CPU of WALS, and still short of its objective


def matrix_factorisation(config: Config) -> Table:
    """Towers or factors: training, serving, cold start, quality (nearest alone, no ranker); and which loss, which solver, which feedback?"""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    recent = fitted.recent(dataset.test, dataset.history)
    found: dict[str, Ranking] = {}
    costs: dict[str, dict[str, float | None]] = {}
    for name, fit in _solvers(dataset, fitted, config).items():
        started = time.process_time()
        solved = fit()
        seconds = time.process_time() - started
        found[name] = solved.nearest(recent, config.num_candidates)
        costs[name] = {
            "train_s": seconds,
            "us_per_request": _us(solved.nearest, recent, config.num_candidates),
            "weighted_objective": _objective(solved, dataset, fitted, config) if isinstance(solved, Factors) else None,
        }
    reports = {name: judge(feed(dataset, fitted, ranking, config), config) for name, ranking in found.items()}
    cold = (recent < 0).all(axis=1)
    for name, report in reports.items():
        costs[name]["cold_viewers"] = float(report.units[cold].mean()) if cold.any() else None
    table = Key.of(dataset, fitted, config).table(found, "two-tower")
    return beside(against("model", reports, "two-tower"), "model", table, costs)


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
    return beside(against("negatives", reports, "in-batch"), "negatives", table)


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


def _solvers(dataset: Dataset, fitted: features.Features, config: Config) -> dict[str, Callable[[], Any]]:
    losses, parts = factorisation.losses(config), [dataset.train]

    def solver(loss: str, feedback: str = "combined", steps: int = 0) -> Callable[[], Factors]:
        def fit() -> Factors:
            matrix = factorisation.feedback(fitted, parts, feedback)
            dim, seed = config.mf_dim, config.seed
            if steps:
                videos = factorisation.sgd(matrix, losses[loss], dim, steps, seed)[1]
            else:
                videos = factorisation.wals(matrix, losses[loss], dim, config.mf_rounds, seed)[1]
            return factorisation.indexed(fitted, videos, losses[loss])

        return fit

    return {
        "two-tower": lambda: model.retrieval.fit(dataset, fitted, config),
        "weighted, WALS": solver("weighted"),
        "weighted, SGD": solver("weighted", steps=SGD_STEPS),
        "observed only, WALS": solver("observed only"),
        "all pairs, WALS": solver("all pairs"),
        "weighted, WALS, explicit": solver("weighted", "explicit"),
        "weighted, WALS, implicit": solver("weighted", "implicit"),
    }


def _objective(factors: Factors, dataset: Dataset, fitted: features.Features, config: Config) -> float:
    """The weighted loss of these videos with the best viewers for them: lower is nearer to what all of them were asked for."""
    matrix, loss = factorisation.feedback(fitted, [dataset.train], "combined"), factorisation.losses(config)["weighted"]
    videos = factors.videos.astype(float)
    return factorisation.objective(matrix, factorisation.solve(matrix, videos, loss), videos, loss)


def _us(nearest: Callable[[Ints, int], Ranking], recent: Ints, k: int) -> float:
    """Microseconds of CPU a request, asked one at a time as in serving."""
    asked = recent[:ASKED]
    nearest(asked[:1], k)
    started = time.process_time()
    for row in range(len(asked)):
        nearest(asked[[row]], k)
    return 1e6 * (time.process_time() - started) / len(asked)


EXPERIMENTS: Mapping[str, Experiment] = {
    "matrix_factorisation": matrix_factorisation,
    "negatives": negatives,
    "log_q": log_q,
}
