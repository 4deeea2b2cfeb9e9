"""The trade-offs, each a runnable comparison with a number.

In:     a Config.
Out:    EXPERIMENTS: name -> a function that makes a table.
Choice: one question an experiment, everything else held still.
Else:   a grid over everything, where nobody asks a question.
Breaks: a table without a foil: each has the row that should lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from common.contract import Experiment, Ranking, Table
from common.eval.report import Report, paired
from video_rec import data, evaluate, features, model, policy
from video_rec.config import Config
from video_rec.schema import Dataset


def creator_cap(config: Config) -> Table:
    """What the cap costs in gain, and what it buys in creators shown."""
    dataset, fitted, better = _trained(config)
    ranking = _answers(dataset, better, config)
    caps = sorted({1, 2, 4, config.feed_size})
    feeds = {cap: _feed(dataset, fitted, ranking, replace(config, creator_cap=cap)) for cap in caps}
    reports = {cap: _judge(feed, config) for cap, feed in feeds.items()}
    return _against("creator_cap", {str(cap): report for cap, report in reports.items()}, str(config.feed_size))


def num_candidates(config: Config) -> Table:
    """How many candidates the ranker needs; the last row is the ranker left out."""
    dataset, fitted, better = _trained(config)
    reports: dict[str, Report] = {}
    for k in sorted({50, 100, 200, config.num_candidates}):
        sized = replace(config, num_candidates=k)
        reports[str(k)] = _judge(_feed(dataset, fitted, _answers(dataset, better, sized), sized), sized)
    retrieved = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    reports["no ranker"] = _judge(_feed(dataset, fitted, retrieved, config), config)
    return _against("candidates", reports, "no ranker")


def sources(config: Config) -> Table:
    """Every source alone before the ranker, and all by quota: what each brings that the others do not."""
    dataset, fitted, better = _trained(config)
    recent = fitted.recent(dataset.test, dataset.history)
    found = better.sources.calls(recent, config.num_candidates)
    found["all by quota"] = model.merge(found, config.num_candidates)
    reports = {
        name: _judge(_feed(dataset, fitted, better.rerank(dataset.test, ranking, dataset.history), config), config)
        for name, ranking in found.items()
    }
    return _against("source", reports, "all by quota")


def log_q(config: Config) -> Table:
    """The correction for popular negatives: left out, right, and with the wrong sign. The towers alone, before any ranker."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    reports: dict[str, Report] = {}
    for strength in (0.0, 1.0, -1.0):
        towers = model.retrieval.fit(dataset, fitted, replace(config, log_q=strength))
        found = towers.nearest(fitted.recent(dataset.test, dataset.history), config.num_candidates)
        reports[f"{strength:g}"] = _judge(_feed(dataset, fitted, found, config), config)
    return _against("log_q", reports, "0")


def objective(config: Config) -> Table:
    """What the ranker is asked for: clicks, seconds, completed videos, or satisfaction as the config weighs it."""
    dataset, fitted, better = _trained(config)
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    reports: dict[str, Report] = {}
    for task in (*better.ranker.weights, "as configured"):
        weights = better.ranker.weights if task == "as configured" else {task: -1.0 if task == "hidden" else 1.0}
        asked = replace(better, ranker=replace(better.ranker, weights=weights))
        reports[task] = _judge(
            _feed(dataset, fitted, asked.rerank(dataset.test, candidates, dataset.history), config), config
        )
    return _against("objective", reports, "as configured")


EXPERIMENTS: Mapping[str, Experiment] = {
    "creator_cap": creator_cap,
    "num_candidates": num_candidates,
    "sources": sources,
    "log_q": log_q,
    "objective": objective,
}


def _trained(config: Config) -> tuple[Dataset, features.Features, model.TwoStage]:
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    return dataset, fitted, model.fit(dataset, fitted, config)


def _answers(dataset: Dataset, better: model.TwoStage, config: Config) -> Ranking:
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    return better.rerank(dataset.test, candidates, dataset.history)


def _feed(dataset: Dataset, fitted: features.Features, ranking: Ranking, config: Config) -> Ranking:
    rules = policy.fit(ranking, dataset.valid, config)
    watched = fitted.watched(dataset.test, dataset.history)
    return rules.apply(dataset.test, ranking, watched, *fitted.rulings(ranking.ids))


def _judge(feed: Ranking, config: Config) -> Report:
    return evaluate.evaluate(feed, data.judgments(config), config)


def _against(column: str, reports: Mapping[str, Report], base: str) -> Table:
    """One row a report: the primary, its difference from `base` with the interval of that difference, and the other metrics beside it."""
    table: Table = []
    for name, report in reports.items():
        difference = paired(report, reports[base])
        found = {
            column: name,
            report.primary: report.metrics[report.primary].value,
            f"against {base}": difference.value,
        }
        found |= {"low": difference.low, "high": difference.high}
        table.append(found | {key: report.metrics[key].value for key in (*evaluate.LOGGED, "coverage")})
    return table
