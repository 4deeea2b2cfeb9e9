"""What each stage brings: sources, candidates, the ranker's aim, the cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from common.contract import Experiment, Table
from common.eval.report import Report
from video_rec import data, features, model
from video_rec.config import Config
from video_rec.experiments.lab import against, answers, feed, judge, trained


def creator_cap(config: Config) -> Table:
    """What the cap costs in gain, and what it buys in creators shown."""
    dataset, fitted, better = trained(config)
    ranking = answers(dataset, better, config)
    caps = sorted({1, 2, 4, config.feed_size})
    feeds = {cap: feed(dataset, fitted, ranking, replace(config, creator_cap=cap)) for cap in caps}
    reports = {cap: judge(feed, config) for cap, feed in feeds.items()}
    return against("creator_cap", {str(cap): report for cap, report in reports.items()}, str(config.feed_size))


def num_candidates(config: Config) -> Table:
    """How many candidates the ranker needs; the last row is the ranker left out."""
    dataset, fitted, better = trained(config)
    reports: dict[str, Report] = {}
    for k in sorted({50, 100, 200, config.num_candidates}):
        sized = replace(config, num_candidates=k)
        reports[str(k)] = judge(feed(dataset, fitted, answers(dataset, better, sized), sized), sized)
    retrieved = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    reports["no ranker"] = judge(feed(dataset, fitted, retrieved, config), config)
    return against("candidates", reports, "no ranker")


def sources(config: Config) -> Table:
    """Every source alone before the ranker, and all by quota: what each brings that the others do not."""
    dataset, fitted, better = trained(config)
    recent = fitted.recent(dataset.test, dataset.history)
    found = better.sources.calls(recent, config.num_candidates)
    found["all by quota"] = model.merge(found, config.num_candidates)
    reports = {
        name: judge(feed(dataset, fitted, better.rerank(dataset.test, ranking, dataset.history), config), config)
        for name, ranking in found.items()
    }
    return against("source", reports, "all by quota")


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


def objective(config: Config) -> Table:
    """What the ranker is asked for: clicks, seconds, completed videos, or satisfaction as the config weighs it."""
    dataset, fitted, better = trained(config)
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    reports: dict[str, Report] = {}
    for task in (*better.ranker.weights, "as configured"):
        weights = better.ranker.weights if task == "as configured" else {task: -1.0 if task == "hidden" else 1.0}
        asked = replace(better, ranker=replace(better.ranker, weights=weights))
        reports[task] = judge(
            feed(dataset, fitted, asked.rerank(dataset.test, candidates, dataset.history), config), config
        )
    return against("objective", reports, "as configured")


EXPERIMENTS: Mapping[str, Experiment] = {
    "creator_cap": creator_cap,
    "num_candidates": num_candidates,
    "sources": sources,
    "log_q": log_q,
    "objective": objective,
}
