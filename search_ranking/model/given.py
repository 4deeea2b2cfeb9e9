"""Where a data set gives each query its documents and their features as numbers (LETOR), there is nothing to retrieve: the ranker alone.

In:     judged rows; the features, in the catalogue's numbers, a row a document.
Out:    a Ranker that reranks what it is given. No text says what the numbers stand for, so nobody can ask it anything: it is not served.
Choice: LambdaMART, as in the model beside it, all features free: who does not know them cannot say which way they point.
Else:   the ladder of ltr/, where one wants to know what each family wins on such a set.
Breaks: trees grown past their best on few queries: the validation queries stop them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from common.contract import FeatureStore, Floats, Ranking
from common.data import columns
from common.errors import InputError
from search_ranking.config import Config
from search_ranking.features.among import EachAmong
from search_ranking.model.ltr import Groups, trees
from search_ranking.model.ltr.trees import Trees
from search_ranking.schema import Catalog, Dataset, Requests, Rows

FILE = "given.parquet"


def fit(dataset: Dataset, config: Config) -> Given:
    table = features(dataset.catalog)
    setting = trees.Setting(
        num_trees=config.num_trees, learning_rate=config.tree_rate, num_leaves=config.num_leaves, min_leaf=config.min_leaf,
        seed=config.seed,
    )  # fmt: skip
    valid = lists(dataset.valid, table) if len(dataset.valid) else None
    return Given(table, trees.fit(lists(dataset.train, table), valid, setting))


def features(catalog: Catalog) -> Floats:
    """[num_docs, d], a document's id its row."""
    return np.stack([catalog.numbers[str(at)] for at in range(1, len(catalog.numbers) + 1)], axis=1)


def lists(rows: Rows, table: Floats) -> Groups:
    sizes = np.unique(rows.request_id, return_counts=True)[1]
    return Groups(features=table[rows.doc_id], grades=rows.labels["grade"], sizes=sizes)


@dataclass(frozen=True, eq=False)
class Given:
    """table [num_docs, d]."""

    table: Floats
    ranker: Trees

    def retrieve(
        self, requests: Requests, k: int, store: FeatureStore | None = None, among: EachAmong | None = None
    ) -> NoReturn:
        raise InputError("Rows of given features hold no text to search: only the lists of the data set can be ranked.")

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore | None = None) -> Ranking:
        there = candidates.ids >= 0
        scores = np.full(candidates.ids.shape, -np.inf)
        scores[there] = self.ranker.score(self.table[candidates.ids[there]])
        return Ranking.best_first(candidates.ids, scores)

    def save(self, folder: Path) -> None:
        columns.write(folder / FILE, {str(at): column for at, column in enumerate(self.table.T, start=1)})
        self.ranker.save(folder)
