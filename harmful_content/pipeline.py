"""The whole case on one screen.

In:     a Config and a registry.
Out:    Result: reports of baseline, model and ceiling (or a published figure) on the same rows, and the published artifact.
Choice: straight down: what a reader should see first.
Else:   a scheduler, when the steps run on different days.
Breaks: judging what was fitted on: the test rows carry no labels, and the key is opened last.
"""

from __future__ import annotations

import time

from common.contract import Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from common.training.progress import step
from common.training.seeding import seed_everything
from harmful_content import baseline, data, evaluate, features, model, monitor, policy
from harmful_content.config import Config


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    seed_everything(config.seed)
    with step("harmful_content: data and features"):
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
    with step("harmful_content: baseline"):
        simple = baseline.fit(dataset, fitted, config)
    with step("harmful_content: model"):
        better = model.fit(dataset, fitted, config)
    with step("harmful_content: policy and reference"):
        valid = better.score(fitted.inputs(dataset.valid, dataset.history))
        rules = policy.fit(valid, dataset.valid, config)
        expected = monitor.reference(valid, dataset.valid, config)

    with step("harmful_content: score the test rows"):
        inputs = fitted.inputs(dataset.test, dataset.history)
        predictions = {"baseline": simple.score(inputs), "model": better.score(inputs)}
    if config.data == "world":
        from harmful_content import world

        with step("harmful_content: ceiling"):
            predictions["ceiling"] = world.ceiling(config).score(dataset.test)
    with step("harmful_content: evaluate"):
        judgments = data.judgments(config)
        reports = {name: evaluate.evaluate(scores, judgments, config) for name, scores in predictions.items()}
    differences = {f"model-{other}": paired(reports["model"], reports[other]) for other in reports if other != "model"}
    if published := evaluate.PUBLISHED.get(dataset.published):
        reports["published"] = published[0].report()
    parts: dict[str, Saves] = {
        "catalog": dataset.catalog,
        "features": fitted,
        "baseline": simple,
        "model": better,
        "policy": rules,
        "reference": expected,
    }
    with step("harmful_content: publish"):
        artifact = registry.publish("harmful_content", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="harmful_content",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
