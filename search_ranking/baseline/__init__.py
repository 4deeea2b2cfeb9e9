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
from search_ranking.features.among import EachAmong
from search_ranking.schema import Dataset, Requests

FIELDS = ("title", "description", "tags")
NOBODY = -1.0
"""Score of the first document that stands where nobody found one: a sum of BM25 and cosines never begins so low."""


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

    def retrieve(
        self, requests: Requests, k: int, store: FeatureStore | None = None, among: EachAmong | None = None
    ) -> Ranking:
        """Behind what the words find stands what is watched most: a page is never empty."""
        queries = [" ".join(one.corrected) for one in self.features.understand(requests.query.tolist())]
        found = self.search(queries, k, among)
        return filled(found, np.flatnonzero((found.ids < 0).any(axis=1)), self.features.popular, among)

    def search(self, queries: Sequence[str], k: int, among: EachAmong | None = None) -> Ranking:
        """What the words find, and no more."""
        return self.index.search(queries, k, among)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore | None = None) -> Ranking:
        queries = [" ".join(one.corrected) for one in self.features.understand(requests.query.tolist())]
        weights = np.array([field.weight for field in self.index.fields.values()])
        scores = np.where(candidates.ids >= 0, self.index.score(queries, candidates.ids) @ weights, -np.inf)
        return Ranking.best_first(candidates.ids, scores)

    def save(self, folder: Path) -> None:
        self.index.save(folder)


def filled(found: Ranking, rows: Ints, popular: Ints, among: EachAmong | None) -> Ranking:
    """Empty places at the end of these rows get what is popular, may be answered and is not there yet. Its scores begin at NOBODY and fall."""
    ids, scores = found.ids.copy(), found.scores.copy()
    for row in rows.tolist():
        missing = np.flatnonzero(ids[row] < 0)
        may = popular if among is None else popular[among(row).of(popular)]
        more = may[~np.isin(may, ids[row])][: len(missing)]
        ids[row, missing[: len(more)]] = more
        scores[row, missing[: len(more)]] = NOBODY - np.arange(len(more))
    return Ranking(ids=ids, scores=scores)
