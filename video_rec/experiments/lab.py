"""What experiments share: the case trained once, its feeds under the rules, judged, and compared row by row."""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Ranking, Table
from common.eval.report import Report, paired
from video_rec import data, evaluate, features, model, policy
from video_rec.config import Config
from video_rec.schema import Dataset


def trained(config: Config) -> tuple[Dataset, features.Features, model.TwoStage]:
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    return dataset, fitted, model.fit(dataset, fitted, config)


def answers(dataset: Dataset, better: model.TwoStage, config: Config) -> Ranking:
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    return better.rerank(dataset.test, candidates, dataset.history)


def feed(dataset: Dataset, fitted: features.Features, ranking: Ranking, config: Config) -> Ranking:
    rules = policy.fit(ranking, dataset.valid, config)
    watched = fitted.watched(dataset.test, dataset.history)
    return rules.apply(dataset.test, ranking, watched, *fitted.rulings(ranking.ids))


def judge(feed: Ranking, config: Config) -> Report:
    return evaluate.evaluate(feed, data.judgments(config), config)


def against(column: str, reports: Mapping[str, Report], base: str) -> Table:
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
