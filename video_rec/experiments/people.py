"""For whom the feed works: new viewers, new videos, the order of what was watched, the hour, small creators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from common import events as columns
from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from common.eval.report import paired
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore
from common.features.views import View
from video_rec import baseline, data
from video_rec.config import Config
from video_rec.experiments.lab import answers, feed, judge, trained
from video_rec.features import HISTORY, USER, Features
from video_rec.schema import Dataset

KNOWN = (0, 1, 2, 5, 10, 20)
HEAVY = 20  # watches a viewer must have for the question what fewer would have been worth


def cold_user(config: Config) -> Table:
    """How many watches must be known before a feed is worth more than what everybody watches? The same viewers, their histories cut to the last few.

    Judged are viewers of at least HEAVY watches; with 0 known the model has nothing but popularity, trends and new videos: the foil."""
    dataset, fitted, better = trained(config)
    dataset = _heavy(dataset)
    key = data.judgments(config)
    first, table = np.empty(0), list[dict[str, object]]()
    for known in KNOWN:
        cut = _forgotten(dataset, known)
        ranking = feed(dataset, fitted, answers(cut, better, config), config)  # the rules know all that was watched
        gains = key.gain(dataset.test, ranking.ids[:, :20]).sum(axis=1) / 20
        first = first if table else gains
        difference = intervals.mean(gains - first, dataset.test.user_id)
        table.append({"known": known, "expected_gain@20": float(gains.mean()), "against 0": difference.value, "low": difference.low, "high": difference.high, "viewers": len(gains)})  # fmt: skip
    return table


def _heavy(dataset: Dataset) -> Dataset:
    log = dataset.history.events
    watches = np.bincount(log.keys["user_id"][log.kind == "watch"], minlength=int(dataset.test.user_id.max()) + 1)
    return replace(dataset, test=dataset.test.take(watches[dataset.test.user_id] >= HEAVY))


def _forgotten(dataset: Dataset, known: int) -> Dataset:
    """The log without all but the last `known` watches before each test request, and without what else these viewers did."""
    log, test = dataset.history.events, dataset.test
    user = log.keys["user_id"]
    moment = np.full(int(user.max()) + 1, -1)
    moment[test.user_id] = test.moment
    theirs = (moment[user] >= 0) & (log.position < moment[user])
    watch = np.flatnonzero(theirs & (log.kind == "watch"))
    order = watch[np.lexsort((-watch, user[watch]))]
    rank = np.arange(len(order)) - np.searchsorted(user[order], user[order])
    keep = ~theirs
    keep[order[rank < known]] = True
    before = np.concatenate([[0], np.cumsum(keep)])
    left = columns.take(log, np.flatnonzero(keep))
    left = replace(left, position=np.arange(len(left)), moment=before[np.maximum(left.moment, 0)])
    return replace(dataset, history=AsOfStore(left), test=replace(test, moment=before[test.moment]))


def sequence(config: Config) -> Table:
    """What is the order of the last watches worth, and how many of them are needed? The model as trained sees other histories.

    The foil is somebody else's history."""
    dataset, fitted, better = trained(config)
    edits: dict[str, _Edit] = {"last 20": lambda seen, rng: seen}
    edits |= {f"last {n}": partial(_last, n) for n in (10, 5, 1)}
    edits["last 20, shuffled"] = lambda seen, rng: rng.permutation(seen)
    users = dataset.test.user_id
    others = dict(zip(users.tolist(), np.roll(users, 1).tolist(), strict=True))
    told = {name: _Told(dataset.history, edit, config.seed, {}) for name, edit in edits.items()}
    told["somebody else's"] = _Told(dataset.history, edits["last 20"], config.seed, others)
    reports = {}
    for name, history in told.items():
        ranking = answers(replace(dataset, history=history), better, config)
        reports[name] = judge(feed(dataset, fitted, ranking, config), config)
    table: Table = []
    for name, report in reports.items():
        difference = paired(report, reports["last 20"])
        table.append({"history": name, report.primary: report.metrics[report.primary].value, "against the last 20": difference.value, "low": difference.low, "high": difference.high})  # fmt: skip
    return table


_Edit = Callable[[Floats, np.random.Generator], Floats]


def _last(n: int, seen: Floats, rng: np.random.Generator) -> Floats:
    return seen[:n]


class _Told(AsOfStore):
    """A history that says something else about the last watches, and the truth about all else. `edit` takes a viewer's watches, newest first;
    `others`: of whom to tell in place of a viewer."""

    def __init__(self, truth: AsOfStore | LeaveOneOutStore, edit: _Edit, seed: int, others: Mapping[int, int]) -> None:
        super().__init__(truth.events)
        self.edit, self.seed, self.others = edit, seed, others

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        read = super().read(view, keys, moments)
        if view.name != USER.name:
            return read
        of = np.array([self.others.get(key, key) for key in keys.tolist()])
        seen = super().read(view, of, moments)[:, :HISTORY]
        read[:, :HISTORY] = -1
        for row, key in enumerate(of.tolist()):
            told = self.edit(seen[row, seen[row] >= 0], np.random.default_rng([self.seed, key]))
            read[row, : len(told)] = told
        return read


def seasonality(config: Config) -> Table:
    """Does the feed follow the hour? The same requests answered as of their own hour, and as of twelve hours later, by part of the day.

    What is planted: longer videos please in the evening. `minutes`: the median length of what is shown. The foil asks at the wrong hour."""
    dataset, fitted, better = trained(config)
    key = data.judgments(config)
    hour = dataset.test.event_time % 86_400 // 3_600
    shown: dict[str, Ranking] = {}
    config = replace(config, fresh_every=0, explore_slot=-1)  # twelve hours later other videos would be fresh
    for name, shift in (("its own hour", 0), ("twelve hours off", 43_200)):
        asked = replace(dataset, test=replace(dataset.test, event_time=dataset.test.event_time + shift))
        shown[name] = feed(asked, fitted, answers(asked, better, config), config)
    gains = {name: key.gain(dataset.test, ranking.ids[:, :20]).mean(axis=1) for name, ranking in shown.items()}
    table: Table = []
    for part, hours in (("night", range(6)), ("morning", range(6, 12)), ("afternoon", range(12, 18)), ("evening", range(18, 24))):  # fmt: skip
        rows = np.isin(hour, list(hours))
        if rows.sum() < 2:
            continue
        difference = intervals.mean((gains["its own hour"] - gains["twelve hours off"])[rows], dataset.test.user_id[rows])  # fmt: skip
        for name, ranking in shown.items():
            length = np.exp(fitted.length[np.maximum(ranking.ids[rows], 0)])
            table.append({"part of day": part, "asked as of": name, "expected_gain@20": float(gains[name][rows].mean()), "own minus off": difference.value, "low": difference.low, "high": difference.high, "median_seconds": float(np.median(length)), "requests": int(rows.sum())})  # fmt: skip
    return table


def fairness(config: Config) -> Table:
    """Do creators get the places that their videos merit? Exposure over merit, by size of the creator and by language, for each recommender.

    Merit of a group: its share of the places in the best feeds there are (the truth under the same rules). 1 is fair by that measure; the
    foil is what everybody watches, whose exposure follows exposure."""
    from video_rec import world

    dataset, fitted, better = trained(config)
    simple = baseline.fit(dataset, fitted, config)
    k = config.num_candidates
    nobody = np.full((len(dataset.test), 1), -1)
    ranked = {
        "the truth": world.ceiling(config).rank(dataset.test, k),
        "what everybody watches": simple.nearest(nobody, k),
        "co-watch": simple.retrieve(dataset.test, k, dataset.history),
        "model": answers(dataset, better, config),
    }
    shown = {name: feed(dataset, fitted, ranking, config) for name, ranking in ranked.items()}
    plain = replace(config, fresh_every=0, explore_slot=-1)
    shown["model, no places for the fresh or by lot"] = feed(dataset, fitted, ranked["model"], plain)
    groups, table = _groups(dataset, fitted), []
    for group, member in groups.items():
        merit = member[np.maximum(shown["the truth"].ids, 0)].mean()
        for name, ranking in shown.items():
            share = intervals.mean(member[np.maximum(ranking.ids, 0)].mean(axis=1), dataset.test.user_id)
            table.append({"group": group, "recommender": name, "share of videos": float(member.mean()), "share of places": share.value, "low": share.low, "high": share.high, "exposure over merit": share.value / max(float(merit), 1e-9)})  # fmt: skip
    return table


def _groups(dataset: Dataset, fitted: Features) -> dict[str, Floats]:
    """name -> [num_videos] 0 or 1. A creator is small below the median of watches, large in the upper tenth."""
    watched = dataset.train.video_id[dataset.train.labels["clicked"] > 0]
    _, of = np.unique(fitted.creator_id, return_inverse=True)
    watches = np.bincount(of, weights=np.bincount(watched, minlength=len(fitted.video_id)))
    low, high = np.quantile(watches, [0.5, 0.9])
    size = {"small creators": watches[of] <= low, "large creators": watches[of] > high}
    language = dataset.catalog.categories["language"]
    spoken = {f"language {name}": language == name for name in ("en", "hi")}
    return {name: member.astype(float) for name, member in (size | spoken).items()}


EXPERIMENTS: Mapping[str, Experiment] = {
    "cold_user": cold_user,
    "sequence": sequence,
    "seasonality": seasonality,
    "fairness": fairness,
}
