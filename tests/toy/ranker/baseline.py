"""What everybody reads.

In:     the training rows.
Out:    a Ranker: the books read most often, the same for everyone.
Choice: popularity; it needs no person, so it is the last step of the fallback ladder.
Else:   popularity of the last days, where fashions change.
Breaks: one list for all: the page of a person with rare tastes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Floats, Ranking
from tests.toy.ranker.config import Config
from tests.toy.ranker.features import Features
from tests.toy.ranker.schema import Dataset, Requests


def fit(dataset: Dataset, features: Features, config: Config) -> Baseline:
    read = dataset.train.book_id[dataset.train.label == 1]
    return Baseline(tuple((np.bincount(read, minlength=features.num_books) / len(dataset.train)).tolist()))


def load(folder: Path) -> Baseline:
    return Baseline(tuple(json.loads((folder / "baseline.json").read_text())["share"]))


@dataclass(frozen=True)
class Baseline:
    share: tuple[float, ...]

    def retrieve(self, requests: Requests, k: int, store: FeatureStore | None = None) -> Ranking:
        return top(np.tile(np.array(self.share), (len(requests), 1)), k)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore | None = None) -> Ranking:
        return reorder(candidates, np.tile(np.array(self.share), (len(requests), 1)))

    def save(self, folder: Path) -> None:
        (folder / "baseline.json").write_text(json.dumps({"share": self.share}))


def top(scores: Floats, k: int) -> Ranking:
    """scores [n, num_books] -> the k best of each row; the smaller id wins a tie."""
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Ranking(ids=ids, scores=np.take_along_axis(scores, ids, axis=1))


def reorder(candidates: Ranking, scores: Floats) -> Ranking:
    """The same candidates, ordered by these scores [n, num_books]; padding stays last."""
    given = np.where(candidates.ids < 0, -np.inf, np.take_along_axis(scores, np.maximum(candidates.ids, 0), axis=1))
    order = np.argsort(-given, axis=1, kind="stable")
    ids = np.take_along_axis(candidates.ids, order, axis=1)
    return Ranking(ids=ids, scores=np.take_along_axis(given, order, axis=1))
