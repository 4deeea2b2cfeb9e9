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

from common.config import split_data
from common.contract import Ranking, Result, Saves
from common.eval.report import paired
from common.lifecycle.registry import Registry
from common.training.progress import step
from common.training.seeding import seed_everything
from video_rec import baseline, data, evaluate, features, model, monitor, policy
from video_rec.config import Config
from video_rec.schema import Requests


def run(config: Config, registry: Registry) -> Result:
    started = time.monotonic()
    seed_everything(config.seed)
    with step("video_rec: data and features"):
        dataset = data.load(config)
        fitted = features.fit(dataset, config)
    with step("video_rec: baseline"):
        simple = baseline.fit(dataset, fitted, config)
    with step("video_rec: model"):
        better = model.fit(dataset, fitted, config)
    with step("video_rec: policy and reference"):
        valid = dataset.valid
        asked = Requests(user_id=valid.user_id, event_time=valid.event_time, moment=valid.moment)
        alone = valid.video_id[:, None]  # one candidate each: the row's
        predictions = better.rerank(asked, Ranking(ids=alone, scores=np.zeros(alone.shape)), dataset.history)
        rules = policy.fit(predictions, valid, config)
        expected = monitor.reference(predictions, valid, config)

    test, store, k = dataset.test, dataset.history, config.num_candidates
    with step("video_rec: answer the test requests"):
        rankings = {
            "baseline": simple.retrieve(test, k, store),
            "model": better.rerank(test, better.retrieve(test, k, store), store),
        }
    if config.data == "world":
        from video_rec import world

        with step("video_rec: ceiling"):
            rankings["ceiling"] = world.ceiling(config).rank(test, k)

    def feed(ranking: Ranking) -> Ranking:
        return rules.apply(ranking, policy.contexts(fitted, test, ranking, store, simple.popularity))

    with step("video_rec: evaluate"):
        judgments = data.judgments(config)
        reports = {name: evaluate.evaluate(feed(ranking), judgments, config) for name, ranking in rankings.items()}
    differences = {f"model-{other}": paired(reports["model"], reports[other]) for other in reports if other != "model"}
    if published := evaluate.PUBLISHED.get(split_data(config.data)[0]):
        reports["published"] = published[0].report()
    parts: dict[str, Saves] = {
        "catalog": dataset.catalog,
        "features": fitted,
        "baseline": simple,
        "model": better,
        "policy": rules,
        "reference": expected,
    }
    with step("video_rec: publish"):
        artifact = registry.publish("video_rec", parts=parts, config=config, reports=reports, paired=differences)
    return Result(
        case="video_rec",
        preset=config.preset,
        reports=reports,
        paired=differences,
        artifact=artifact,
        history=dataset.history.events,
        seconds=time.monotonic() - started,
    )
