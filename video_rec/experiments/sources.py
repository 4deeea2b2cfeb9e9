"""Where candidates come from: what each source brings, by which quotas they are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Experiment, Floats, Ints, Ranking, Table
from common.eval import intervals
from video_rec import data, features, model, policy
from video_rec.config import Config
from video_rec.experiments.lab import against, feed, given, judge, trained
from video_rec.schema import Dataset, Rows, find

BEST = 100  # videos of the truth that candidates are asked to hold
NEW = 3 * 86_400  # seconds since its upload in which a video is new


def sources(config: Config) -> Table:
    """What does each source bring that the others do not: alone, all by quota, all but one?"""
    dataset, fitted, better = trained(config)
    recent, k = fitted.recent(dataset.test, dataset.history), config.num_candidates
    calls = better.sources.calls(recent, k)
    everything = model.merge(calls, k * len(calls))
    ranked = better.rerank(dataset.test, everything, dataset.history)  # each pair is scored once, whoever brought it
    three = _SHARES["towers and co-watch"]
    found = {"all by quota": model.merge(calls, k), **calls}
    found["towers and co-watch"] = model.merge({name: calls[name] for name in three}, k, three)
    for name in calls:
        found[f"without {name}"] = model.merge({other: calls[other] for other in calls if other != name}, k)
    feeds = {name: feed(dataset, fitted, _among(ranked, brought.ids), config) for name, brought in found.items()}
    reports = {name: judge(shown, config) for name, shown in feeds.items()}
    key = Key.of(dataset, fitted, config)
    shown = {name: {"new_shown": key.new(feeds[name].ids)} for name in feeds}
    return beside(against("source", reports, "all by quota"), "source", key.table(found, "all by quota"), shown)


def quotas(config: Config) -> Table:
    """Which shares? Judged where they were chosen: of what pleased in validation, how much is among the candidates of sources that have seen
    training alone; each positive weighed by 1 / its propensity, where the log knows it, as the incumbent showed what it liked."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    towers = model.retrieval.fit(dataset, fitted, config)
    earlier = model.gather(fitted, towers, [dataset.train], config)
    valid = dataset.valid
    users, first = np.unique(valid.user_id, return_index=True)
    drawn = np.sort(np.random.default_rng([config.seed, 31]).permutation(len(users))[: config.num_judged])
    calls = earlier.calls(fitted.recent(valid.take(first[drawn]), dataset.history), config.num_candidates)
    pleased = sum(np.nan_to_num(valid.labels.get(task, np.zeros(len(valid)))) for task in ("completed", "liked"))
    positive = valid.take((pleased > 0) & np.isin(valid.user_id, users[drawn]))
    row, weight = np.searchsorted(users[drawn], positive.user_id), _inverse_propensity(positive)
    hits = {}
    for name, shares in _SHARES.items():
        ids = model.merge({source: calls[source] for source in shares}, config.num_candidates, shares).ids
        hits[name] = weight * (ids[row] == positive.video_id[:, None]).any(axis=1)
    table: Table = []
    for name, hit in hits.items():
        difference = intervals.mean(hit - hits["as configured"], positive.user_id)
        recall = {"quotas": name, "recall_valid": float(hit.mean()), "against as configured": difference.value}
        table.append(recall | {"low": difference.low, "high": difference.high, "positives": len(positive)})
    return table


_SHARES: Mapping[str, Mapping[str, float]] = {
    "as configured": model.QUOTAS,
    "equal": dict.fromkeys(model.QUOTAS, 1.0),
    "towers and co-watch": {"towers": 0.5, "co_watch": 0.4, "popular": 0.1},
    "without factors and trending": {
        name: share for name, share in model.QUOTAS.items() if name not in ("factors", "trending")
    },
    "the same for everybody": {"popular": 0.5, "trending": 0.5},
}


def _inverse_propensity(rows: Rows) -> Floats:
    """[n] of mean 1; the largest hundredth is cut, as one rare showing must not decide (Strehl et al. 2010). All 1 where nothing is known."""
    propensity = rows.numbers.get("propensity", np.zeros(len(rows)))
    known = propensity > 0
    if not known.any():
        return np.ones(len(rows))
    weight = np.where(known, 1 / np.where(known, propensity, 1.0), 0.0)
    weight = np.minimum(weight, np.quantile(weight, 0.99))
    scaled: Floats = weight / weight.mean()
    return scaled


@dataclass(frozen=True)
class Key:
    """What candidates are judged by: `best` [n, m] video ids that should be among them, -1 pads; and which videos are new to whom."""

    best: Ints
    users: Ints
    times: Ints
    fitted: features.Features
    unwatched: Ints  # ids nobody watched in training

    @classmethod
    def of(cls, dataset: Dataset, fitted: features.Features, config: Config) -> Key:
        clicked = dataset.train.labels["clicked"] > 0
        unwatched = np.setdiff1d(dataset.catalog.video_id, dataset.train.video_id[clicked])
        best = _truth(dataset, fitted, config)
        return cls(best, dataset.test.user_id, dataset.test.event_time, fitted, unwatched)

    def recall(self, ids: Ints) -> Floats:
        """ids [n, k] -> [n]: the share of the best that is among them; NaN without a best."""
        held = np.array([np.isin(best, mine).sum() for best, mine in zip(self._best, ids, strict=True)], dtype=float)
        with np.errstate(invalid="ignore"):
            share: Floats = held / (self.best >= 0).sum(axis=1)
        return share

    @property
    def _best(self) -> list[Ints]:
        return [row[row >= 0] for row in self.best]

    def new(self, ids: Ints) -> float:
        """The share of ids [n, k] uploaded within NEW of being asked for."""
        uploaded = self.fitted.uploaded[find(self.fitted.video_id, ids)]
        fresh = (self.times[:, None] - uploaded < NEW) & (ids >= 0)
        return float(fresh.sum() / max((ids >= 0).sum(), 1))

    def table(self, found: Mapping[str, Ranking], base: str) -> Mapping[str, Mapping[str, Any]]:
        """Of each ranking: recall of the best, its difference from `base` with the interval over users, the shares new and never watched."""
        units = {name: self.recall(ranking.ids) for name, ranking in found.items()}
        asked = np.isfinite(units[base])
        rows: dict[str, dict[str, Any]] = {}
        for name, ranking in found.items():
            difference = intervals.mean((units[name] - units[base])[asked], self.users[asked])
            held = ranking.ids[ranking.ids >= 0]
            rows[name] = {
                f"recall_of_best_{BEST}": float(units[name][asked].mean()),
                "recall_against": difference.value,
                "recall_low": difference.low,
                "recall_high": difference.high,
                "new_candidates": self.new(ranking.ids),
                "unwatched_candidates": float(np.isin(held, self.unwatched).mean()) if len(held) else 0.0,
            }
        return rows


def _truth(dataset: Dataset, fitted: features.Features, config: Config) -> Ints:
    """[n, BEST] the videos of greatest planted gain that the rules allow; on real data the ones left out."""
    if config.data != "world":
        return data.judgments(config).relevant
    from video_rec import world

    ranked = world.ceiling(config).rank(dataset.test, 4 * BEST + features.WATCHED).ids
    rules = policy.fit(Ranking(ids=ranked, scores=-ranked.astype(float)), dataset.valid, config)
    best = np.full((len(ranked), BEST), -1)
    for row, context in enumerate(given(dataset, fitted, Ranking(ids=ranked, scores=-ranked.astype(float)))):
        allowed = ranked[row][policy.feed.lawful_places(rules, ranked[row], context)][:BEST]
        best[row, : len(allowed)] = allowed
    return best


def beside(table: Table, column: str, *more: Mapping[str, Mapping[str, Any]]) -> Table:
    for row in table:
        for columns in more:
            row.update(columns[row[column]])
    return table


def _among(ranked: Ranking, ids: Ints) -> Ranking:
    """`ranked` with only those candidates left that stand in the same row of `ids`."""
    kept = np.array([np.isin(mine, row[row >= 0]) for mine, row in zip(ranked.ids, ids, strict=True)])
    order = np.argsort(~kept, axis=1, kind="stable")
    left = np.take_along_axis(kept, order, 1)
    best, scores = (np.take_along_axis(column, order, 1) for column in (ranked.ids, ranked.scores))
    return Ranking(ids=np.where(left, best, -1), scores=np.where(left, scores, -np.inf))


EXPERIMENTS: Mapping[str, Experiment] = {
    "sources": sources,
    "quotas": quotas,
}
