"""The whole case on one screen.

In:     a Config and a registry.
Out:    Result: reports of baseline, model and ceiling (or a published figure) on the same rows, and the published artifact.
Choice: straight down: what a reader should see first.
Else:   a scheduler, when the steps run on different days.
Breaks: judging what was fitted on: the test rows carry no labels, and the key is opened last.
"""

from __future__ import annotations

import time

from ad_click import baseline, data, evaluate, features, model, monitor, policy
from ad_click.config import Config
from common.contract import Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from common.training.progress import step
from common.training.seeding import seed_everything


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    seed_everything(config.seed)
    with step("ad_click: data and features"):
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
    with step("ad_click: baseline"):
        simple = baseline.fit(dataset, fitted, config)
    with step("ad_click: model"):
        better = model.fit(dataset, fitted, config)
    with step("ad_click: policy and reference"):
        valid = fitted.inputs(dataset.valid, dataset.history)
        held_out = better.held_out  # the served trees have learned from the validation rows
        rules = policy.fit(held_out.score(valid.at("slot", 0.0)), dataset.valid, config)
        expected = monitor.reference(held_out.score(valid), dataset.valid, config)

    with step("ad_click: score the test rows"):
        inputs = fitted.inputs(dataset.test, dataset.history)
        predictions = {"baseline": simple.score(inputs), "model": better.score(inputs)}
    if config.data == "world":
        from ad_click import world

        with step("ad_click: ceiling"):
            predictions["ceiling"] = world.ceiling(config).score(dataset.test)
    with step("ad_click: evaluate"):
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
    with step("ad_click: publish"):
        artifact = registry.publish("ad_click", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="ad_click",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
