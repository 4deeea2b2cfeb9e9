"""The trade-offs, each a runnable comparison with a number.

In:     config.
Out:    EXPERIMENTS: name -> a table.
Choice: one: what a longer page costs in gain per place.
Else:   the knobs that decide a design, in a real case.
Breaks: a comparison on other requests: all rows share theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.contract import Experiment, Table
from tests.toy.ranker import data, evaluate, features, model, policy
from tests.toy.ranker.config import Config


def longer_page(config: Config) -> Table:
    """Expected gain per place for pages of 5, 10 and 20 books."""
    return [_row(replace(config, page=page)) for page in (5, 10, 20)]


def _row(config: Config) -> dict[str, Any]:
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    ranker, just_read = model.fit(dataset, fitted, config), fitted.inputs(dataset.test, dataset.history)
    ranking = ranker.retrieve(dataset.test, config.num_candidates, dataset.history)
    page = policy.Policy(config.page).decide(dataset.test, ranking, just_read)
    report = evaluate.evaluate(page, data.judgments(config), config)
    return {"page": config.page, "expected_gain": report.metrics[report.primary].value}


EXPERIMENTS: Mapping[str, Experiment] = {"longer page": longer_page}
