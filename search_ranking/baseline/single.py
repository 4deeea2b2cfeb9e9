"""Where a data set gives features and no text: the one feature that orders the training lists best, up or down.

In sets that hold BM25 it is BM25 or something better; which it is stands in the artifact. Chosen by NDCG@10 on training queries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from common.contract import FeatureStore, Floats, Ints, Ranking
from common.data import columns
from common.errors import InputError
from common.eval.ranking import ndcg
from common.training.progress import say
from search_ranking.features.among import EachAmong
from search_ranking.schema import Dataset, Requests

FILE, COLUMN, K = "single.json", "single.parquet", 10


def fit(dataset: Dataset) -> Single:
    rows, numbers = dataset.train, dataset.catalog.numbers
    _, query, sizes = np.unique(rows.request_id, return_inverse=True, return_counts=True)
    grade, place = rows.labels["grade"], np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    worth = {
        (name, sign): _mean_ndcg(sign * column[rows.doc_id], grade, query, place)
        for name, column in numbers.items()
        for sign in (1, -1)
    }
    name, sign = max(worth, key=worth.__getitem__)
    say(
        f"baseline: feature {name}, {'highest' if sign > 0 else 'lowest'} first: ndcg@{K} {worth[name, sign]:.4f} on train"
    )
    return Single(name, sign, sign * numbers[name])


@dataclass(frozen=True, eq=False)
class Single:
    """score [num_docs]: the feature, times sign."""

    feature: str
    sign: int
    score: Floats

    def retrieve(
        self, requests: Requests, k: int, store: FeatureStore | None = None, among: EachAmong | None = None
    ) -> NoReturn:
        raise InputError("Rows of given features hold no text to search: only the lists of the data set can be ranked.")

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore | None = None) -> Ranking:
        """Of equals the earlier of the list stands first."""
        scores = np.where(candidates.ids >= 0, self.score[candidates.ids], -np.inf)
        return Ranking.best_first(candidates.ids, scores)

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps({"feature": self.feature, "sign": self.sign}))
        columns.write(folder / COLUMN, {"score": self.score})


def _mean_ndcg(score: Floats, grade: Floats, query: Ints, place: Ints) -> float:
    """place [n]: of each row in its list. Equals stay in the order of the list, which the reader has drawn by lot."""
    order = np.lexsort((place, -score, query))
    shape = int(query.max()) + 1, int(place.max()) + 1
    found, ideal = np.zeros(shape), np.zeros(shape)
    found[query, place], ideal[query, place] = grade[order], grade
    counted = ideal.max(axis=1) > 0
    return float(ndcg(found[counted], ideal[counted], K).mean()) if counted.any() else 0.0
