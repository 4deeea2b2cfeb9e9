"""What each stage brings: candidates, the ranker's aim, the cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from common.contract import Experiment, Table
from common.eval.report import Report
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


def objective(config: Config) -> Table:
    """What the ranker is asked for: clicks, seconds, completed videos, or satisfaction as the config weighs it."""
    dataset, fitted, better = trained(config)
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    reports: dict[str, Report] = {}
    for task in (*better.ranker.weights, "as configured"):
        alone = dict.fromkeys(better.ranker.weights, 0.0) | {task: -1.0 if task == "hidden" else 1.0}
        weights = better.ranker.weights if task == "as configured" else alone
        asked = replace(better, ranker=replace(better.ranker, weights=weights))
        reports[task] = judge(
            feed(dataset, fitted, asked.rerank(dataset.test, candidates, dataset.history), config), config
        )
    return against("objective", reports, "as configured")


EXPERIMENTS: Mapping[str, Experiment] = {
    "creator_cap": creator_cap,
    "num_candidates": num_candidates,
    "objective": objective,
}
