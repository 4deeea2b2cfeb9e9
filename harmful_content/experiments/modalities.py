"""What each modality is worth, by taking it away from the trained model, and from one that learned to miss it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from common.contract import Experiment, Table
from common.eval.report import Report, paired
from harmful_content import data, evaluate, features, model
from harmful_content.config import Config
from harmful_content.features import Inputs

GAPS = 0.1  # chance that a training post of the second model loses its words or its picture


def missing_modality(config: Config) -> Table:
    """Macro pr_auc of the model on the test posts as they are, without pictures, without words, without author and reactions; `change` against
    nothing missing. `prepared`: of a model some of whose training posts lost words or picture, and `gained` by it over the served one."""
    dataset, judgments = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    trained = model.fit(dataset, fitted, config)
    prepared = model.fit(dataset, fitted, replace(config, drop_modality=GAPS))
    inputs = fitted.inputs(dataset.test, dataset.history)
    left_out = {"nothing": inputs, "pictures": _blind(inputs), "words": _mute(inputs), "author": _anonymous(inputs)}
    served, other = (
        {name: evaluate.evaluate(one.score(some), judgments, config) for name, some in left_out.items()}
        for one in (trained, prepared)
    )
    return [_row(name, report, served["nothing"]) | _gained(other[name], report) for name, report in served.items()]


def _row(name: str, report: Report, whole: Report) -> dict[str, Any]:
    primary, lost = report.metrics["pr_auc"], paired(report, whole)
    bounds = {"pr_auc": primary.value, "low": primary.low, "high": primary.high}
    return {"without": name, **bounds, "change": lost.value, "change_low": lost.low, "change_high": lost.high}


def _gained(prepared: Report, served: Report) -> dict[str, Any]:
    gained = paired(prepared, served)
    bounds = {"gained": gained.value, "gained_low": gained.low, "gained_high": gained.high}
    return {"prepared": prepared.metrics["pr_auc"].value, **bounds}


def _blind(inputs: Inputs) -> Inputs:
    return replace(inputs, image=np.full(len(inputs), -1))


def _mute(inputs: Inputs) -> Inputs:
    return replace(inputs, tokens=np.zeros_like(inputs.tokens))


def _anonymous(inputs: Inputs) -> Inputs:
    return replace(inputs, numbers=np.zeros_like(inputs.numbers))


EXPERIMENTS: Mapping[str, Experiment] = {"missing_modality": missing_modality}
