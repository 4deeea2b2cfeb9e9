"""The whole case on one screen.

In:     config and a registry.
Out:    Result: reports of baseline, model and ceiling on the same requests, and the published artifact.
Choice: straight down, no branches: what a reader should see first.
Else:   a scheduler, when the steps run on different days.
Breaks: judging before the rules: every ranking goes through the same policy first.
"""

from __future__ import annotations

import time

from common.contract import Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from tests.toy.ranker import baseline, data, evaluate, features, model, monitor, policy
from tests.toy.ranker.config import Config


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    simple, better = baseline.fit(dataset, fitted, config), model.fit(dataset, fitted, config)
    test, store, k = dataset.test, dataset.history, config.num_candidates

    rankings = {"baseline": simple.retrieve(test, k, store), "model": better.retrieve(test, k, store)}
    if config.data == "world":
        from tests.toy.ranker import world

        rankings["ceiling"] = world.ceiling(config).rank(test, k)
    decide = policy.fit(rankings["model"], dataset.valid, config)
    expect = monitor.reference(rankings["model"], dataset.valid, config)
    just_read, judgments = fitted.inputs(test, store), data.judgments(config)
    pages = {name: decide.decide(test, ranking, just_read) for name, ranking in rankings.items()}
    reports = {name: evaluate.evaluate(page, judgments, config) for name, page in pages.items()}
    parts: dict[str, Saves] = {
        "catalog": dataset.catalog,
        "features": fitted,
        "baseline": simple,
        "model": better,
        "policy": decide,
        "reference": expect,
    }
    differences = {f"model-{other}": paired(reports["model"], reports[other]) for other in reports if other != "model"}
    artifact = registry.publish("toy_ranker", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="toy_ranker",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
