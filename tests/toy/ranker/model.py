"""People who read this also read that.

In:     the training rows: who read what.
Out:    a Ranker: books that go with the last ten the person read.
Choice: cosine of books over people, a little popularity to break silence; nothing to train.
Else:   embeddings, once books are too many for a square table.
Breaks: the table lost on the way to disk: the check that reloads every part compares scores bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Floats, Ranking
from tests.toy.ranker import baseline
from tests.toy.ranker.config import Config
from tests.toy.ranker.features import Features
from tests.toy.ranker.features import load as load_features
from tests.toy.ranker.schema import Dataset, Requests


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    train, num_books = dataset.train, features.num_books
    read = np.zeros((int(train.user_id.max()) + 1, num_books))
    read[train.user_id[train.label == 1], train.book_id[train.label == 1]] = 1
    size = np.sqrt(read.sum(axis=0)) + 1
    popular = np.array(baseline.fit(dataset, features, config).share)
    return Model(features, (read.T @ read) / np.outer(size, size), popular)


def load(folder: Path) -> Model:
    saved = json.loads((folder / "model.json").read_text())
    return Model(load_features(folder), np.array(saved["together"]), np.array(saved["popular"]))


@dataclass(frozen=True, eq=False)
class Model:
    features: Features
    together: Floats  # [num_books, num_books]
    popular: Floats  # [num_books]

    def retrieve(self, requests: Requests, k: int, store: FeatureStore) -> Ranking:
        return baseline.top(self._scores(requests, store), k)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        return baseline.reorder(candidates, self._scores(requests, store))

    def save(self, folder: Path) -> None:
        self.features.save(folder)
        weights = {"together": self.together.tolist(), "popular": self.popular.tolist()}
        (folder / "model.json").write_text(json.dumps(weights))

    def _scores(self, requests: Requests, store: FeatureStore) -> Floats:
        """[n, num_books]. A left fold over the ten books, so that one request and many agree bit for bit."""
        recent = self.features.inputs(requests, store)
        scores = np.tile(self.popular, (len(requests), 1))
        for column in recent.T:
            scores = scores + np.where(column[:, None] < 0, 0.0, self.together[column])
        return scores
