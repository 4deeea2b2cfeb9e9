"""What every rule costs and what it buys; popularity against personalisation as one dial; one hide and what it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common import events as columns
from common.contract import Event, Events, Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from common.eval.ranking import diversity
from common.eval.report import paired
from common.features.asof import AsOfStore
from video_rec import data, evaluate, model, policy
from video_rec.config import Config
from video_rec.experiments.lab import answers, feed, given, judge, trained
from video_rec.features import Features, Rulings
from video_rec.policy import Policy
from video_rec.schema import SHOWN, Dataset, find

RARE = 5  # impressions in the log: below it nobody can say how good a video is
ALIKE = 0.7  # cosine from which two creators' work counts as similar
DIALS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def rules(config: Config) -> Table:
    """What does each rule cost in planted gain, and what would a feed be without it? The first row keeps all of them, the last none: the foil.

    `cost`: gain without the rule minus gain with it. `broken`: share of feeds that would break the rule if it were off; in the last row any
    rule. What the places for the fresh and by lot are for shows in `young` and `rare`."""
    dataset, fitted, better = trained(config)
    ranking, whole = answers(dataset, better, config), policy.fit(Ranking(ids=np.empty((0, 0), np.int64), scores=np.empty((0, 0))), dataset.valid, config)  # fmt: skip
    contexts, judged = given(dataset, fitted, ranking), data.judgments(config)
    law = {name: replace(whole, off=(name,)) for name in (*_BARRED, *_APART)}
    places = {"places for the fresh": replace(whole, fresh_every=0), "a place by lot": replace(whole, explore_slot=-1)}
    none = replace(whole, off=(*_BARRED, *_APART), fresh_every=0, explore_slot=-1)
    kept = whole.apply(ranking, contexts)
    full, table = evaluate.evaluate(kept, judged, config), []
    for name, rule in {"none": whole, **law, **places, "all": none}.items():
        without = rule.apply(ranking, contexts)
        report = evaluate.evaluate(without, judged, config)
        cost = paired(report, full)
        table.append(
            {"without": name, "cost": cost.value, "low": cost.low, "high": cost.high, report.primary: report.metrics[report.primary].value, "broken": _broken(whole, name, without, dataset, fitted)}
            | _bought(without, dataset, fitted, config)
        )  # fmt: skip
    return table


_BARRED = ("explicit", "age", "country", "watched", "copy of a watched one", "hidden creator")
_APART = ("copies", "creator cap", "creator spacing")


def _broken(whole: Policy, name: str, shown: Ranking, dataset: Dataset, fitted: Features) -> float:
    """Share of these feeds in which the named rule does not hold."""
    contexts = given(dataset, fitted, shown)
    broken = [_breaks(whole, name, shown.ids[row], context) for row, context in enumerate(contexts)]
    return float(np.mean(broken))


def _breaks(whole: Policy, name: str, ids: Ints, context: policy.Context) -> bool:
    there = ids >= 0
    creators, groups = context.rulings.creators[there], context.rulings.groups[there]
    known = creators[creators >= 0]
    if name == "all":
        return any(_breaks(whole, one, ids, context) for one in (*_BARRED, *_APART))
    if name in policy.feed.RULES:
        return not bool(policy.feed.RULES[name](ids, context)[there].all())
    if name == "copies":
        return len(np.unique(groups[groups >= 0])) < int((groups >= 0).sum())
    if name == "creator cap":
        return bool(np.bincount(known, minlength=1).max() > whole.creator_cap)
    if name == "creator spacing":
        return any(np.diff(np.flatnonzero(creators == one)).min(initial=99) < whole.creator_spacing for one in known)
    return False


def _bought(shown: Ranking, dataset: Dataset, fitted: Features, config: Config) -> dict[str, float]:
    """Of all places: shares of the young and of videos hardly ever shown before; creators a feed; how unequal creators' shares are; how
    different the titles of a feed are (1 minus the mean cosine of its pairs; a feed by chance is the most diverse of all)."""
    ids = np.maximum(shown.ids, 0)
    rulings: Rulings = fitted.rulings(ids.reshape(-1))
    age = (dataset.test.event_time[:, None] - rulings.uploaded.reshape(ids.shape)) / 86_400
    seen = np.bincount(dataset.train.video_id, minlength=int(fitted.video_id.max()) + 1)
    creators = rulings.creators.reshape(ids.shape)
    exposure = np.sort(np.bincount(creators.reshape(-1), minlength=int(fitted.creator_id.max()) + 1))
    rank = np.arange(1, len(exposure) + 1)
    vectors = fitted.title[find(fitted.video_id, ids)].astype(float)
    return {
        "diversity": float(diversity(vectors + 1e-12).mean()),
        "young": float(np.nanmean(age <= config.fresh_days)),
        "rare": float((seen[ids] < RARE).mean()),
        "creators": float(np.mean([len(np.unique(row)) for row in creators])),
        "gini": float((2 * rank - len(exposure) - 1) @ exposure / max(len(exposure) * exposure.sum(), 1)),
    }


def popularity(config: Config) -> Table:
    """Popularity against personalisation, as one dial from the ranker's order to what everybody watches. What does a turn cost, and what is it for?"""
    dataset, fitted, better = trained(config)
    ranking = answers(dataset, better, config)
    reports = {dial: judge(feed(dataset, fitted, ranking, replace(config, popularity_dial=dial)), config) for dial in DIALS}  # fmt: skip
    table = []
    for dial, report in reports.items():
        difference = paired(report, reports[0.0])
        row = {"dial": dial, report.primary: report.metrics[report.primary].value, "against 0": difference.value, "low": difference.low, "high": difference.high}  # fmt: skip
        table.append(row | {key: report.metrics[key].value for key in ("hit_rate@20", "coverage")})
    return table


def hide(config: Config) -> Table:
    """What does one hide move in the next feed? A viewer hides the creator of the first video of a feed, then asks again at the same second.

    `fall`: by how much of itself the share of places fell, with its interval over viewers. Creators whose work is like that of the hidden one
    (cosine above ALIKE) should fall too, and the rest should not. Of viewers who would hide the same creator one is asked, so that no creator
    is hidden twice. The foil: the hides stand in the log, and the reader has stopped before them."""
    dataset, fitted, better = trained(config)
    log = dataset.history.events
    first = _asked(dataset, fitted, better, config).ids[:, 0]
    alone = np.sort(np.unique(fitted.rulings(first).creators, return_index=True)[1])
    dataset, first = replace(dataset, test=dataset.test.take(alone)), first[alone]
    hidden, n = fitted.rulings(first).creators, len(alone)
    heard = AsOfStore(_with_hides(log, dataset, first, hidden))
    late = replace(dataset, history=heard, test=replace(dataset.test, moment=np.full(n, len(heard.events))))
    still = replace(dataset, test=replace(dataset.test, moment=np.full(n, len(log))))
    stopped = replace(still, history=heard)
    shares = {name: _shares(ranking, fitted, hidden) for name, ranking in (("before", _asked(still, fitted, better, config)), ("after one hide", _asked(late, fitted, better, config)))}  # fmt: skip
    shares["the log stopped"] = _shares(_asked(stopped, fitted, better, config), fitted, hidden)
    users, table = dataset.test.user_id, []
    for name in ("after one hide", "the log stopped"):
        for place, group in enumerate(("that creator", "similar creators", "the rest")):
            had, then = shares["before"][:, place], shares[name][:, place]
            mean = max(float(had.mean()), 1e-12)
            fall = intervals.mean(
                1 - then / mean + (had / mean - 1) * then.mean() / mean, users
            )  # of a ratio, by its slope
            table.append({"what": name, "share of": group, "before": float(had.mean()), "after": float(then.mean()), "fall": 1 - float(then.mean()) / mean, "low": fall.low, "high": fall.high})  # fmt: skip
    return table


def _asked(dataset: Dataset, fitted: Features, better: model.TwoStage, config: Config) -> Ranking:
    return feed(dataset, fitted, answers(dataset, better, config), config)


def _with_hides(log: Events, dataset: Dataset, video_id: Ints, creator_id: Ints) -> Events:
    """The log, and behind it one hide by each viewer of the test requests."""
    hides = [
        Event(
            event_id=f"hide-{row}",
            kind="hide",
            event_time=int(dataset.test.event_time[row]),
            keys=dict(zip(SHOWN, (-1, int(dataset.test.user_id[row]), int(video_id[row]), int(creator_id[row])), strict=True)),
            values={},
        )
        for row in range(len(dataset.test))
    ]  # fmt: skip
    return columns.concat([log, columns.of(hides, len(log), log.keys, log.values)])


def _shares(shown: Ranking, fitted: Features, hidden: Ints) -> Floats:
    """[n, 3]: of each feed the share by the hidden creator, by those whose work is alike, by all others."""
    found = np.empty((len(shown.ids), 3))
    for row, ids in enumerate(shown.ids):
        creators = fitted.rulings(ids[ids >= 0]).creators
        own = creators == hidden[row]
        alike = (fitted.alike(creators, hidden[row : row + 1]) > ALIKE) & ~own
        found[row] = [own.mean(), alike.mean(), (~own & ~alike).mean()]
    return found


EXPERIMENTS: Mapping[str, Experiment] = {"rules": rules, "popularity": popularity, "hide": hide}
