"""Item-item co-watch: people who watched this also watched that. The simplest thing worth beating, and the first fallback.

In:     watched rows in each viewer's order.
Out:    CoWatch: the `num_neighbours` nearest videos of every video; retrieve, rerank.
Choice: pairs counted in the order they were watched (`backward` says how much what came before counts beside what came after), a gentle
        popularity exponent, viewers of few videos counting more; a share of plain popularity on top.
Else:   matrix factorisation, where histories are long and the catalogue small; nothing at all for a video nobody has watched.
Breaks: a popularity exponent of 0 (everything neighbours the hits: coverage falls), a new video (never retrieved: why the towers exist).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.contract import FeatureStore, Floats, Ints, Ranking
from common.data import columns
from video_rec import features as features_stage
from video_rec.config import Config
from video_rec.features import Features
from video_rec.schema import Dataset, Requests, Rows, find

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LONGEST = 100  # watches of one viewer that count: heavy viewers cost the square of theirs


def fit(dataset: Dataset, features: Features, config: Config) -> CoWatch:
    return count(features, [dataset.train, dataset.valid], config)


def load(folder: Path, features: Features | None = None) -> CoWatch:
    """The features stand beside it in the artifact, once; who has read them passes them on."""
    found, every = columns.read(folder / "neighbours.parquet"), columns.read(folder / "popularity.parquet")
    decay, usual = (float(every[name][0]) if len(every[name]) else 1.0 for name in ("decay", "usual"))
    return CoWatch(
        features=features or features_stage.load(folder.parent / "features"),
        watched=found["watched"].astype(np.int64),
        neighbours=found["neighbours"].astype(np.int32),
        weights=found["weights"].astype(np.float32),
        popularity=every["popularity"].astype(float),
        decay=decay,
        usual=usual,
    )


@dataclass(frozen=True)
class CoWatch:
    """`neighbours` [m, n] catalogue indices (-1 pads) of the `watched` [m] with their `weights`: of a large catalogue most videos have none,
    and take no row. `popularity` [num_videos] is what every score starts from, `usual` the mean weight over all places, above zero."""

    features: Features
    watched: Ints  # ascending
    neighbours: NDArray[np.int32]
    weights: NDArray[np.float32]
    popularity: Floats
    decay: float
    usual: float

    def retrieve(self, requests: Requests, k: int, store: FeatureStore) -> Ranking:
        return self.nearest(self.features.recent(requests, store), k)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        scores = self.weigh(self.features.recent(requests, store), find(self.features.video_id, candidates.ids))
        scores = np.where(candidates.ids >= 0, scores, -np.inf)
        return Ranking.best_first(candidates.ids, scores)

    def nearest(self, recent: Ints, k: int) -> Ranking:
        """recent [n, h] catalogue indices, newest first -> the k best videos for each."""
        k = min(k, len(self.popularity))
        ids, scores = np.empty((len(recent), k), np.int64), np.empty((len(recent), k))
        for row, (near, value) in enumerate(self._summed(recent)):
            popular = self._most_popular[:k]
            popular = popular[~np.isin(popular, near)]
            index = np.concatenate([near, popular])
            score = np.concatenate([value, self.popularity[popular]])
            best = np.lexsort((index, -score))[:k]
            ids[row], scores[row] = self.features.video_id[index[best]], score[best]
        return Ranking(ids=ids, scores=scores)

    def weigh(self, recent: Ints, index: Ints) -> Floats:
        """recent [n, h], index [n, k] -> [n, k]."""
        scores = np.empty(index.shape)
        for row, (near, value) in enumerate(self._summed(recent)):
            asked, back = np.unique(index[row], return_inverse=True)
            score, at = self.popularity[asked], np.minimum(np.searchsorted(asked, near), len(asked) - 1)
            is_asked = asked[at] == near
            score[at[is_asked]] = value[is_asked]
            scores[row] = np.where(index[row] >= 0, score[back], 0.0)
        return scores

    def total(self, recent: Ints) -> Floats:
        """recent [n, h] -> [n]: all the weight there is to give, so that `weigh` over it is a share."""
        at = find(self.watched, recent)
        rows, places = np.nonzero(at >= 0)
        given = self.weights[at[rows, places]].sum(axis=1) * np.power(self.decay, places.astype(float))
        total: Floats = np.bincount(rows, weights=given, minlength=len(recent)).astype(float)
        return total

    def _summed(self, recent: Ints) -> Iterator[tuple[Ints, Floats]]:
        """For each row the neighbours of its recent watches, and popularity plus their decayed sums."""
        for row in find(self.watched, recent):
            places = np.flatnonzero(row >= 0)
            near, weight = self.neighbours[row[places]], self.weights[row[places]]
            known = near >= 0
            value = (weight * np.power(self.decay, places.astype(float))[:, None])[known]
            index, back = np.unique(near[known], return_inverse=True)
            yield index, np.bincount(back, weights=value, minlength=len(index)) + self.popularity[index]

    @cached_property
    def _most_popular(self) -> Ints:
        return np.argsort(-self.popularity, kind="stable")

    def save(self, folder: Path) -> None:
        columns.write(
            folder / "neighbours.parquet",
            {"watched": self.watched, "neighbours": self.neighbours, "weights": self.weights},
        )
        same: dict[str, Floats] = {
            name: np.full(len(self.popularity), float(getattr(self, name))) for name in ("decay", "usual")
        }
        columns.write(folder / "popularity.parquet", {"popularity": self.popularity, **same})


def count(features: Features, parts: Sequence[Rows], config: Config) -> CoWatch:
    """Sum over viewers of 1 / sqrt(number watched) for each pair, divided by (popularity of both) ^ popularity_exponent."""
    user, index = _watches(features, parts)
    n = len(features.video_id)
    popularity = np.bincount(index, minlength=n).astype(float)
    damp = (popularity + 1.0) ** -config.popularity_exponent
    followed = _followed(user, index, n)
    pairs = (followed + config.backward * followed.T).tocsr()
    watched = np.flatnonzero(np.diff(pairs.indptr))
    neighbours = np.full((len(watched), min(config.num_neighbours, max(n - 1, 1))), -1, np.int32)
    weights = np.zeros(neighbours.shape, np.float32)
    for at, row in enumerate(watched.tolist()):
        span = slice(pairs.indptr[row], pairs.indptr[row + 1])
        other = pairs.indices[span]
        value = np.where(other == row, 0.0, pairs.data[span] * damp[other] * damp[row])
        best = np.lexsort((other, -value))[: neighbours.shape[1]]
        best = best[value[best] > 0]
        neighbours[at, : len(best)], weights[at, : len(best)] = other[best], value[best]
    given = float(weights[weights > 0].mean()) if (weights > 0).any() else 1.0
    share = config.popularity_blend * given * popularity / max(popularity.max(initial=1.0), 1.0)
    usual = float(weights.sum(dtype=float)) / max(n * neighbours.shape[1], 1)
    return CoWatch(features, watched, neighbours, weights, share, config.history_decay, max(usual, 1e-12))


def _followed(user: Ints, index: Ints, n: int) -> csr_array:
    """[n, n]: how often (weighted) the column was watched after the row by the same viewer."""
    _, viewer, lengths = np.unique(user, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(lengths)[viewer]
    first, second, value = [], [], []
    for apart in range(1, min(LONGEST, int(lengths.max(initial=0)))):
        at = np.flatnonzero(viewer[:-apart] == viewer[apart:])
        first.append(index[at])
        second.append(index[at + apart])
        value.append(weight[at])
    if not first:
        return _table(index[:0], index[:0], weight[:0], (n, n))
    return _table(np.concatenate(first), np.concatenate(second), np.concatenate(value), (n, n))


def _table(rows: Ints, columns_: Ints, values: Floats, shape: tuple[int, int]) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array((values, (rows, columns_)), shape=shape)


def _watches(features: Features, parts: Sequence[Rows]) -> tuple[Ints, Ints]:
    """-> (user, catalogue index) of everything clicked, viewer by viewer in order, each viewer's last LONGEST."""
    user = np.concatenate([rows.user_id[rows.labels["clicked"] > 0] for rows in parts])
    video = np.concatenate([rows.video_id[rows.labels["clicked"] > 0] for rows in parts])
    moment = np.concatenate([rows.moment[rows.labels["clicked"] > 0] for rows in parts])
    index = find(features.video_id, video)
    order = np.lexsort((moment, user))
    order = order[index[order] >= 0]
    left = np.searchsorted(user[order], user[order], side="right") - np.arange(len(order))
    order = order[left <= LONGEST]
    return user[order], index[order]
