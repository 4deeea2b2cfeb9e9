"""The whole case on one screen.

In:     a Config and a registry.
Out:    Result: reports of baseline, model and ceiling (or published) on the same requests, and the published artifact.
Choice: straight down, no branches but three: a truth exists in the world alone, a published figure on some data sets, lists given on some.
Else:   a scheduler, when the steps run on different days.
Breaks: judging before the rules: every ranking looks among what the policy allows and goes through it again.
"""

from __future__ import annotations

import time

import numpy as np

from common.contract import Ranking, Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from common.training.progress import step
from common.training.seeding import seed_everything
from search_ranking import baseline, data, evaluate, features, model, monitor, policy
from search_ranking.baseline import single
from search_ranking.config import Config
from search_ranking.model import given


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    seed_everything(config.seed)
    with step("search_ranking: data and features"):
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
    with step("search_ranking: baseline"):
        lists = dataset.candidates  # to put in order, where there is no text to find anything by
        simple = baseline.fit(dataset, fitted, config) if lists is None else single.fit(dataset)
    with step("search_ranking: model"):
        better = model.fit(dataset, fitted, config) if lists is None else given.fit(dataset, config)
    with step("search_ranking: policy and reference"):
        valid = dataset.valid
        shown = Ranking(ids=valid.doc_id[:, None], scores=np.zeros((len(valid), 1)))  # neither of the two reads a score
        rules, expected = policy.fit(shown, valid, config), monitor.reference(shown, valid, config)

    test, store, k = dataset.test, dataset.history, config.num_candidates
    with step("search_ranking: answer the test requests"):
        among = rules.among(fitted, test)
        rankings = {
            "baseline": simple.retrieve(test, k, store, among) if lists is None else simple.rerank(test, lists, store),
            "model": better.rerank(test, better.retrieve(test, k, store, among) if lists is None else lists, store),
        }
    if config.data == "world":
        from search_ranking import world

        with step("search_ranking: ceiling"):
            rankings["ceiling"] = world.ceiling(config).rank(test, k)

    def page(ranking: Ranking) -> Ranking:
        return rules.apply(ranking, policy.contexts(fitted, test, ranking))

    with step("search_ranking: evaluate"):
        judgments = data.judgments(config)
        reports = {name: evaluate.evaluate(page(ranking), judgments, config) for name, ranking in rankings.items()}
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
    with step("search_ranking: publish"):
        artifact = registry.publish("search_ranking", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="search_ranking",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
