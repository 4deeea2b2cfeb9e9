"""Two stages: sources that find a few hundred candidates among all videos, then a ranker that puts them in order.

In:     Dataset, Features.
Out:    TwoStage: retrieve (seven sources, by quota), rerank (multi-task).
Choice: quotas by validation rows (experiment `quotas`); a viewer without a history is answered by the COLD sources alone. The towers learn
        from the training rows, the ranker from later rows that neither they nor its co-watch counts have seen: a score on rows the scorer
        was fitted on looks better than it is, and the ranker would trust it too much.
Else:   one model over everything: when there are thousands of videos and not millions.
Breaks: a source that goes quiet (mlsd_degraded_total of its stage in /metrics), a ranker whose features differ from training's (parity check).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Floats, Ints, Ranking
from video_rec import baseline
from video_rec import features as features_stage
from video_rec.config import Config
from video_rec.features import Features, altered
from video_rec.model import factorisation, ranking, retrieval
from video_rec.model import sources as light
from video_rec.model.factorisation import Factors
from video_rec.model.ranking import Ranker
from video_rec.model.retrieval import Retrieval
from video_rec.model.sources import Light
from video_rec.schema import Dataset, Requests, Rows

NEGATIVES = 40  # per clicked row, where the log says nothing of what was not clicked: without any, every order looks equally good
BLOCK = 500  # requests reranked at once
QUOTAS: Mapping[str, float] = {
    "towers": 0.3,
    "factors": 0.05,
    "co_watch": 0.25,
    "popular": 0.1,
    "trending": 0.05,
    "fresh": 0.1,
    "followed": 0.15,
}
"""The sources, and how many of ten candidates are whose. Chosen by validation rows (experiment `quotas`), where many shares are as good; trending
and factors bring next to nothing there and keep a little, as the one follows the day and the other costs half a millisecond. Where a source
is silent, as most are on data without creators and a clock, the others share its places."""
COLD = ("popular", "trending", "fresh")
"""Those that have an answer for a viewer without a history."""


def fit(dataset: Dataset, features: Features, config: Config) -> TwoStage:
    towers = retrieval.fit(dataset, features, config)
    earlier = gather(features, towers, [dataset.train], config)
    requests, ids, labels = lessons(dataset.valid, earlier, dataset.history, config)
    dense = np.concatenate([earlier.dense(part, ids[at], dataset.history) for at, part in blocks(requests)])
    user_id = np.repeat(requests.user_id, ids.shape[1])
    ranker = ranking.fit(dense, labels, user_id, config)
    return TwoStage(gather(features, towers, [dataset.train, dataset.valid], config), ranker)


def gather(features: Features, towers: Retrieval, parts: Sequence[Rows], config: Config) -> Sources:
    """The sources that are counted or solved, from `parts`, beside the towers."""
    return Sources(
        features=features,
        towers=towers,
        factors=factorisation.fit(features, parts, config),
        co_watch=baseline.count(features, parts, config),
        light=light.fit(features, parts, towers),
    )


def load(folder: Path) -> TwoStage:
    features = features_stage.load(folder.parent / "features")
    towers = retrieval.load(folder, features)
    sources = Sources(
        features=features,
        towers=towers,
        factors=factorisation.load(folder, features),
        co_watch=baseline.load(folder, features),
        light=light.load(folder, features, towers),
    )
    return TwoStage(sources, ranking.load(folder))


@dataclass(frozen=True)
class Sources:
    """Where candidates come from."""

    features: Features
    towers: Retrieval
    factors: Factors
    co_watch: baseline.CoWatch
    light: Light

    def over(self, features: Features) -> Sources:
        """The same with what is on the shelf of these features. What was counted or solved in training knows nothing new, and stays."""
        towers = self.towers.over(features)
        return altered(
            self, features=features, towers=towers, light=altered(self.light, features=features, towers=towers)
        )

    def calls(self, recent: Ints, k: int) -> dict[str, Ranking]:
        """recent [n, h] -> candidates of each source; serving starts the same calls side by side."""
        return {name: self.call(name, recent, k) for name in QUOTAS}

    def call(self, name: str, recent: Ints, k: int) -> Ranking:
        """Candidates of one source; none for a viewer without a history, but from the COLD ones."""
        trained = self.features.trained(recent)
        asked: Mapping[str, Callable[[], Ranking]] = {
            "towers": lambda: self.towers.nearest(recent, k),
            "factors": lambda: self.factors.nearest(trained, k),
            "co_watch": lambda: self.co_watch.nearest(trained, k),
            "popular": lambda: self.co_watch.nearest(np.full_like(recent, -1), k),
            "trending": lambda: self.light.trending(recent, k),
            "fresh": lambda: self.light.fresh(recent, k),
            "followed": lambda: self.light.followed(recent, k),
        }
        found = asked[name]()
        if name in COLD:
            return found
        silent = (recent < 0).all(axis=1, keepdims=True)
        return Ranking(ids=np.where(silent, -1, found.ids), scores=np.where(silent, -np.inf, found.scores))

    def dense(self, requests: Requests, ids: Ints, store: FeatureStore) -> Floats:
        """requests [n], ids [n, k] -> [n * k, num_features]: the features, and what the sources think of each."""
        index, recent = self.features.find(ids), self.features.recent(requests, store)
        inputs = self.features.inputs(_rows(requests, ids), store)
        trained = self.features.trained(recent)
        together = self.co_watch.weigh(trained, self.features.trained(index))
        share = together / np.maximum(self.co_watch.total(trained), 1e-12)[:, None]
        thought = (
            self.towers.score(recent, index),
            np.log(together / self.co_watch.usual + 0.01),
            np.log(np.minimum(share, 1.0) + 1e-4),
        )
        return np.column_stack([inputs.dense, *(column.reshape(-1) for column in thought)])


@dataclass(frozen=True)
class TwoStage:
    sources: Sources
    ranker: Ranker

    def over(self, features: Features) -> TwoStage:
        return altered(self, sources=self.sources.over(features))

    def retrieve(self, requests: Requests, k: int, store: FeatureStore) -> Ranking:
        """The sources' best by quota, each video once. Scores are minus the place: comparable within a request only."""
        recent = self.sources.features.recent(requests, store)
        return merge(self.sources.calls(recent, k), k)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        parts = [self._rerank(part, candidates.ids[at], store) for at, part in blocks(requests)]
        return Ranking(
            ids=np.concatenate([part.ids for part in parts]), scores=np.concatenate([part.scores for part in parts])
        )

    def _rerank(self, requests: Requests, ids: Ints, store: FeatureStore) -> Ranking:
        scores = self.ranker.score(self.sources.dense(requests, ids, store)).reshape(ids.shape)
        scores = np.where(ids >= 0, scores, -np.inf)
        return Ranking.best_first(ids, scores)

    def save(self, folder: Path) -> None:
        self.sources.co_watch.save(folder)
        self.sources.towers.save(folder)
        self.sources.factors.save(folder)
        self.sources.light.save(folder)
        self.ranker.save(folder)


def merge(found: Mapping[str, Ranking], k: int, quotas: Mapping[str, float] = QUOTAS) -> Ranking:
    """Candidates of several sources [n, any] -> [n, k], interleaved by quota: a source of quota .5 gives five of the first ten."""
    ids = np.concatenate([ranking.ids for ranking in found.values()], axis=1)
    turn = np.concatenate([(np.arange(ranking.ids.shape[1]) + 1) / quotas[name] for name, ranking in found.items()])
    order = np.argsort(turn, kind="stable")
    merged = np.full((len(ids), k), -1)
    for row in range(len(ids)):
        mine = ids[row, order]
        mine = mine[mine >= 0]
        _, first = np.unique(mine, return_index=True)
        kept = mine[np.sort(first)][:k]
        merged[row, : len(kept)] = kept
    scores = np.where(merged >= 0, -np.arange(k, dtype=float), -np.inf)
    return Ranking(ids=merged, scores=scores)


def lessons(
    rows: Rows, sources: Sources, store: FeatureStore, config: Config
) -> tuple[Requests, Ints, dict[str, Floats]]:
    """What the ranker learns from: each labelled row, and (with num_negatives) behind each clicked one candidates taken as not clicked."""
    requests = Requests(user_id=rows.user_id, event_time=rows.event_time, moment=rows.moment)
    ids = rows.video_id[:, None]
    labels = {task: label[:, None] for task, label in rows.labels.items()}
    num_negatives = config.num_negatives or (NEGATIVES if (rows.labels["clicked"] > 0).all() else 0)
    if num_negatives:
        found = merge(
            sources.calls(sources.features.recent(requests, store), config.num_candidates), config.num_candidates
        )
        # a positive the sources missed would teach that a low score is a good sign: at work every candidate was found by one
        among = (found.ids == ids).any(axis=1) & (rows.labels["clicked"] > 0)
        rng = np.random.default_rng([config.seed, 9])
        # drawn evenly over places: were the first drawn more often, a low score would be a good sign again
        drawn = found.ids[:, rng.permutation(found.ids.shape[1])[:num_negatives]][among]
        requests, ids = requests.take(among), ids[among]
        drawn = np.where(drawn == ids, -1, drawn)
        ids = np.concatenate([ids, drawn], axis=1)
        labels = {
            task: np.concatenate([label[among], np.full(drawn.shape, np.nan)], axis=1) for task, label in labels.items()
        }
        labels["clicked"][:, 1:] = np.where(drawn >= 0, 0.0, np.nan)
    return requests, ids, {task: label.reshape(-1) for task, label in labels.items()}


def blocks(requests: Requests) -> list[tuple[slice, Requests]]:
    cuts = [slice(start, start + BLOCK) for start in range(0, len(requests), BLOCK)]
    return [(cut, requests.take(cut)) for cut in cuts]


def _rows(requests: Requests, ids: Ints) -> Rows:
    k = ids.shape[1]
    return Rows(
        user_id=np.repeat(requests.user_id, k),
        video_id=ids.reshape(-1),
        event_time=np.repeat(requests.event_time, k),
        moment=np.repeat(requests.moment, k),
        labels={},
    )
