"""What each modality is worth, by taking it away from the trained model. A model trained without it would do better than one that misses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from common.contract import Experiment, Table
from common.eval.report import paired
from harmful_content import data, evaluate, features, model
from harmful_content.config import Config
from harmful_content.features import Inputs


def missing_modality(config: Config) -> Table:
    """Macro pr_auc of the model on the test posts as they are, without pictures, without words, without author and reactions."""
    dataset, judgments = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    trained = model.fit(dataset, fitted, config)
    inputs = fitted.inputs(dataset.test, dataset.history)
    left_out = {"nothing": inputs, "pictures": _blind(inputs), "words": _mute(inputs), "author": _anonymous(inputs)}
    reports = {name: evaluate.evaluate(trained.score(some), judgments, config) for name, some in left_out.items()}
    return [_row(name, report, reports["nothing"]) for name, report in reports.items()]


def _row(name: str, report: Any, whole: Any) -> dict[str, Any]:
    primary, lost = report.metrics["pr_auc"], paired(report, whole)
    bounds = {"pr_auc": primary.value, "low": primary.low, "high": primary.high}
    return {"without": name, **bounds, "change": lost.value, "change_low": lost.low, "change_high": lost.high}


def _blind(inputs: Inputs) -> Inputs:
    return replace(inputs, image=np.full(len(inputs), -1))


def _mute(inputs: Inputs) -> Inputs:
    return replace(inputs, tokens=np.zeros_like(inputs.tokens))


def _anonymous(inputs: Inputs) -> Inputs:
    return replace(inputs, numbers=np.zeros_like(inputs.numbers))


EXPERIMENTS: Mapping[str, Experiment] = {"missing modality": missing_modality}
