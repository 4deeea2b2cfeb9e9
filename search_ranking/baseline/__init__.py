"""The words alone: BM25 over title, description and tags.

In:     the catalogue; at work, queries whose spelling was mended.
Out:    a Ranker: documents by BM25; where no word is known, what was watched most.
Choice: BM25 with a stemmer, strong for fifty years and built in seconds; it is also the first fallback when the dense leg is late.
Else:   BM25F, where a title's word and a tag's word must not be paid twice.
Breaks: a document that says it in other words is never found: the slice "few shared" of evaluate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Ints, Ranking
from search_ranking.baseline import lexical
from search_ranking.baseline.lexical import Lexical
from search_ranking.baseline.postings import Field
from search_ranking.config import Config
from search_ranking.features import Features
from search_ranking.schema import Dataset, Requests

FIELDS = ("title", "description", "tags")


def fit(dataset: Dataset, features: Features, config: Config) -> Baseline:
    catalog = dataset.catalog
    texts = {name: getattr(catalog, name).tolist() for name in FIELDS}
    fields = {name: Field(getattr(config, f"weight_{name}"), config.k1, config.b) for name in FIELDS}
    return Baseline(features, lexical.build(catalog.doc_id, texts, fields))


def load(folder: Path) -> Baseline:
    from search_ranking import features

    return Baseline(features.load(folder.parent / "features"), lexical.load(folder))


@dataclass(frozen=True, eq=False)
class Baseline:
    features: Features
    index: Lexical

    def retrieve(self, requests: Requests, k: int, store: FeatureStore | None = None) -> Ranking:
        return self.search([" ".join(one.corrected) for one in self.features.understand(requests.query.tolist())], k)

    def search(self, queries: Sequence[str], k: int) -> Ranking:
        """Behind what the words find stands what is watched most: a page is never empty."""
        return _filled(self.index.search(queries, k), self.features.popular[:k])

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore | None = None) -> Ranking:
        queries = [" ".join(one.corrected) for one in self.features.understand(requests.query.tolist())]
        weights = np.array([field.weight for field in self.index.fields.values()])
        scores = np.where(candidates.ids >= 0, self.index.score(queries, candidates.ids) @ weights, -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")
        return Ranking(ids=np.take_along_axis(candidates.ids, order, 1), scores=np.take_along_axis(scores, order, 1))

    def save(self, folder: Path) -> None:
        self.index.save(folder)


def _filled(found: Ranking, popular: Ints) -> Ranking:
    """Empty places at the end of a row get what is popular and not there yet, at scores below all others."""
    ids, scores = found.ids.copy(), found.scores.copy()
    for row in np.flatnonzero((ids < 0).any(axis=1)):
        missing = np.flatnonzero(ids[row] < 0)
        more = popular[~np.isin(popular, ids[row])][: len(missing)]
        ids[row, missing[: len(more)]] = more
        scores[row, missing[: len(more)]] = -1.0 - np.arange(len(more))
    return Ranking(ids=ids, scores=scores)
