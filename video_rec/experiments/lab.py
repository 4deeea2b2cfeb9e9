"""What experiments share: the case trained once, its feeds under the rules, judged, and compared row by row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from common.contract import Ranking, Table
from common.eval.report import Report, paired
from video_rec import data, evaluate, features, model, policy
from video_rec.config import Config
from video_rec.schema import Dataset, find


@lru_cache(maxsize=1)
def trained(config: Config) -> tuple[Dataset, features.Features, model.TwoStage]:
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    return dataset, fitted, model.fit(dataset, fitted, config)


def answers(dataset: Dataset, better: model.TwoStage, config: Config) -> Ranking:
    candidates = better.retrieve(dataset.test, config.num_candidates, dataset.history)
    return better.rerank(dataset.test, candidates, dataset.history)


def feed(dataset: Dataset, fitted: features.Features, ranking: Ranking, config: Config) -> Ranking:
    """Under the rules of `config`."""
    return under(policy.fit(ranking, dataset.valid, config), dataset, fitted, ranking)


def under(rules: policy.Policy, dataset: Dataset, fitted: features.Features, ranking: Ranking) -> Ranking:
    return rules.apply(ranking, given(dataset, fitted, ranking))


def given(dataset: Dataset, fitted: features.Features, ranking: Ranking) -> list[policy.Context]:
    """What the rules know of each test request's candidates."""
    watched = np.concatenate([rows.video_id[rows.labels["clicked"] > 0] for rows in (dataset.train, dataset.valid)])
    popularity = np.bincount(find(fitted.video_id, watched), minlength=len(fitted.video_id)).astype(float)
    return policy.contexts(fitted, dataset.test, ranking, dataset.history, popularity)


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
