"""The trade-offs, each a runnable comparison with a number.

In:     config.
Out:    EXPERIMENTS: name -> a table.
Choice: one: what the model gains over the baseline as the mail grows.
Else:   the knobs that decide a design, in a real case.
Breaks: a comparison on other test rows: both rows of a size share theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.contract import Experiment, Floats, Scorer, Table
from tests.toy.scorer import baseline, data, evaluate, features, model
from tests.toy.scorer.config import Config


def more_mail(config: Config) -> Table:
    """Log loss of baseline and model at a quarter, a half and all of the mail."""
    return [_row(replace(config, num_mails=config.num_mails // part)) for part in (4, 2, 1)]


def _row(config: Config) -> dict[str, Any]:
    dataset, judgments = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    inputs = fitted.inputs(dataset.test, dataset.history)
    scorers: dict[str, Scorer[Floats]] = {
        "baseline": baseline.fit(dataset, fitted, config),
        "model": model.fit(dataset, fitted, config),
    }
    reports = {name: evaluate.evaluate(scorer.score(inputs), judgments, config) for name, scorer in scorers.items()}
    return {"num_mails": config.num_mails} | {
        name: report.metrics["log_loss"].value for name, report in reports.items()
    }


EXPERIMENTS: Mapping[str, Experiment] = {"more mail": more_mail}
