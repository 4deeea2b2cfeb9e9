"""The whole case on one screen.

In:     a Config and a registry.
Out:    Result: reports of baseline, model and ceiling (or published) on the same requests, and the published artifact.
Choice: straight down, no branches but two: a truth exists in the world alone, a published figure on some data sets.
Else:   a scheduler, when the steps run on different days.
Breaks: judging before the rules: every ranking goes through the same policy first.
"""

from __future__ import annotations

import time

import numpy as np

from common.contract import Ranking, Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from common.training.progress import step
from common.training.seeding import seed_everything
from visual_search import baseline, data, evaluate, features, model, monitor, policy
from visual_search.config import Config
from visual_search.features.album import album
from visual_search.schema import Requests


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    seed_everything(config.seed)
    with step("visual_search: data and features"):
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
    with step("visual_search: baseline"):
        simple = baseline.fit(dataset, fitted, config)
    with step("visual_search: model"):
        better = model.fit(dataset, fitted, config)

    def answer(requests: Requests) -> Ranking:
        store = dataset.history
        return better.rerank(requests, better.retrieve(requests, config.num_candidates, store), store)

    with step("visual_search: policy and reference"):
        valid = dataset.valid
        predictions = answer(valid.take(valid.slot == 0).requests())
        unmarked = np.isnan(valid.crop).any(axis=1)
        how = {"words": valid.photo < 0, "whole": unmarked & features.is_whole(fitted.seen(valid))}
        rules, expected = policy.fit(predictions, valid, config), monitor.reference(predictions, valid, config, how)

    test = dataset.test
    with step("visual_search: answer the test requests"):
        rankings = {
            "baseline": simple.retrieve(test, config.num_candidates, dataset.history),
            "model": answer(test),
        }
    if config.data == "world":
        from visual_search import world

        with step("visual_search: ceiling"):
            rankings["ceiling"] = world.ceiling(config).rank(test, config.num_candidates)

    def page(ranking: Ranking) -> Ranking:
        return rules.apply(ranking, policy.contexts(fitted, test, ranking))

    with step("visual_search: evaluate"):
        judgments = data.judgments(config)
        reports = {name: evaluate.evaluate(page(ranking), judgments, config) for name, ranking in rankings.items()}
    differences = {f"model-{other}": paired(reports["model"], reports[other]) for other in reports if other != "model"}
    if published := evaluate.PUBLISHED.get(dataset.published):
        reports["published"] = published[0].report()
    parts: dict[str, Saves] = {
        "catalog": album(dataset.catalog),
        "features": fitted,
        "baseline": simple,
        "model": better,
        "policy": rules,
        "reference": expected,
    }
    with step("visual_search: publish"):
        artifact = registry.publish("visual_search", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="visual_search",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
