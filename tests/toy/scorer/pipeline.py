"""The whole case on one screen.

In:     config and a registry.
Out:    Result: reports of baseline, model and ceiling on the same rows, and the published artifact.
Choice: straight down, no branches: what a reader should see first.
Else:   a scheduler, when the steps run on different days.
Breaks: judging what was fitted on: the test rows carry no labels, the key is opened last.
"""

from __future__ import annotations

import time

from common.contract import Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from tests.toy.scorer import baseline, data, evaluate, features, model, monitor, policy
from tests.toy.scorer.config import Config


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    simple, better = baseline.fit(dataset, fitted, config), model.fit(dataset, fitted, config)
    valid = better.score(fitted.inputs(dataset.valid, dataset.history))
    decide, expect = policy.fit(valid, dataset.valid, config), monitor.reference(valid, dataset.valid, config)

    inputs = fitted.inputs(dataset.test, dataset.history)
    predictions = {"baseline": simple.score(inputs), "model": better.score(inputs)}
    if config.data == "world":
        from tests.toy.scorer import world

        predictions["ceiling"] = world.ceiling(config).score(dataset.test)
    judgments = data.judgments(config)
    reports = {name: evaluate.evaluate(scores, judgments, config) for name, scores in predictions.items()}
    parts: dict[str, Saves] = {
        "catalog": dataset.catalog,
        "features": fitted,
        "baseline": simple,
        "model": better,
        "policy": decide,
        "reference": expect,
    }
    differences = {f"model-{other}": paired(reports["model"], reports[other]) for other in reports if other != "model"}
    artifact = registry.publish("toy_scorer", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="toy_scorer",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
