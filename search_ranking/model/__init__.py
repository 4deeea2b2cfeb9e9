"""Two legs that fail apart, one list out of both, and a ranker that learnt from clicks what the place had no part in.

In:     the catalogue, training rows, features.
Out:    a Ranker: `retrieve` fuses words and meaning; `rerank` scores candidates by boosted trees over features and both legs' scores.
Choice: LambdaMART on grades from engagement (a click 1, a satisfied one 3), each click weighed by one over how often its place is looked at;
        that curve is measured on pages whose order was drawn by lot (clicks/intervention.py).
Else:   a cross-encoder over query and text, for the first ten and a hundred times the milliseconds.
Breaks: clicks taken at their word teach the old engine's order (`debias` in experiments); a page teaches only what it showed, so candidates
        that no page showed stand among the lessons as grade 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import FeatureStore, Floats, Ints, Ranking
from search_ranking import baseline
from search_ranking.baseline import Baseline
from search_ranking.config import Config
from search_ranking.features import Features
from search_ranking.model.clicks import intervention, weights
from search_ranking.model.ltr import Groups, trees
from search_ranking.model.ltr.trees import Trees
from search_ranking.model.retrieval import dense, encoder, fusion
from search_ranking.model.retrieval.dense import Dense
from search_ranking.model.retrieval.encoder import Hashed
from search_ranking.schema import Dataset, Requests, Rows

CLICKED, SATISFIED = 1.0, 3.0  # grades
NEGATIVES = 5  # candidates that were not shown, a page
BLOCK = 500  # requests whose features are made at once


def fit(dataset: Dataset, features: Features, config: Config) -> TwoStage:
    legs = Legs(baseline.fit(dataset, features, config), *meaning(dataset, features, config))
    examined = curve(dataset.train, config)
    lists = [lessons(rows, legs, features, dataset, examined, config) for rows in (dataset.train, dataset.valid)]
    setting = trees.Setting(num_trees=config.num_trees, seed=config.seed, num_leaves=15, min_leaf=50)
    return TwoStage(features, legs, trees.fit(lists[0], lists[1], setting), config.fusion_weight)


def load(folder: Path) -> TwoStage:
    simple = baseline.load(folder.parent / "baseline")
    own = encoder.load(folder)
    legs = Legs(simple, own, dense.load(folder, own.fingerprint))
    said = np.loadtxt(folder / "fusion.txt", ndmin=1)
    return TwoStage(simple.features, legs, trees.load(folder), float(said[0]))


def meaning(dataset: Dataset, features: Features, config: Config) -> tuple[Hashed, Dense]:
    """An encoder of our own, taught by what was clicked for which query in training, and the documents' vectors."""
    catalog, rows = dataset.catalog, dataset.train
    texts = [" ".join(parts) for parts in zip(catalog.title.tolist(), catalog.tags.tolist(), strict=True)]
    clicked = np.flatnonzero(rows.labels["clicked"] > 0)
    place = np.searchsorted(catalog.doc_id, rows.doc_id[clicked])
    queries = dataset.queries.of(rows.query_id[clicked]).tolist()
    settings = encoder.Settings(dim=config.dim, epochs=config.epochs, batch_size=config.batch_size, seed=config.seed)
    own = encoder.fit(queries, [texts[at] for at in place.tolist()], rows.doc_id[clicked], settings)
    return own, dense.build(catalog.doc_id, own.encode(texts), own.fingerprint)


def curve(rows: Rows, config: Config) -> Floats:
    """[num_slots] how often each place is looked at, beside the first; ones where nothing is to be done about it."""
    slot = rows.numbers["slot"].astype(np.int64)
    if config.debias == "none" or not rows.numbers["swapped"].any():
        return np.ones(int(slot.max(initial=0)) + 1)
    clicked, swapped = rows.labels["clicked"] > 0, rows.numbers["swapped"] > 0
    found = intervention.swaps(slot, clicked, swapped, rows.user_id, reps=0)
    examined: Floats = np.minimum.accumulate(np.clip(found.examination, 0.02, 1.0))
    return examined


def lessons(rows: Rows, legs: Legs, features: Features, dataset: Dataset, examined: Floats, config: Config) -> Groups:
    """The pages with a click, as lists: what was shown with its grade and weight, and candidates nobody was shown as grade 0."""
    clicked = rows.labels["clicked"] > 0
    _page, at, size = np.unique(rows.request_id, return_index=True, return_counts=True)
    taught = np.add.reduceat(clicked, at) > 0
    keep = np.repeat(taught, size)
    rows, clicked = rows.take(keep), clicked[keep]
    first = np.flatnonzero(np.diff(rows.request_id, prepend=-1))
    query = rows.query_id[first]
    asked, back = np.unique(query, return_inverse=True)
    texts = dataset.queries.of(asked).tolist()
    pools = legs.fused(features, texts, 100, config.fusion_weight).ids
    rng = np.random.default_rng([config.seed, 9])
    drawn = pools[back][:, rng.permutation(pools.shape[1])[:NEGATIVES]]
    sizes = np.diff(np.append(first, len(rows)))
    request = np.repeat(np.arange(len(first)), sizes)
    shown = (drawn[request] == rows.doc_id[:, None]).any(axis=1)
    drawn = np.where(_among(drawn, request[shown], rows.doc_id[shown]), -1, drawn)
    extra, column = np.nonzero(drawn >= 0)
    of = np.concatenate([request, extra])
    order = np.argsort(of, kind="stable")
    doc_id = np.concatenate([rows.doc_id, drawn[extra, column]])[order]
    grade = np.where(clicked, np.where(rows.labels["satisfied"] > 0, SATISFIED, CLICKED), 0.0)
    slot = rows.numbers["slot"].astype(np.int64)
    weight = weights.ips(slot, clicked, examined).weights
    padding = np.zeros(len(extra))
    of = of[order]
    dense_ = scored(
        features,
        legs,
        texts,
        back[of],
        query[of],
        doc_id,
        rows.event_time[first][of],
        rows.moment[first][of],
        dataset.history,
    )
    return Groups(
        features=dense_,
        grades=np.concatenate([grade, padding])[order],
        sizes=np.bincount(of),
        weights=np.concatenate([weight, padding + 1.0])[order],
    )


def scored(
    features: Features, legs: Legs, texts: Sequence[str], which: Ints, query_id: Ints, doc_id: Ints, event_time: Ints, moment: Ints,
    store: FeatureStore,
) -> Floats:  # fmt: skip
    """[n, d] of rows (query, document): the features, each field's BM25 and the cosine. Row i asks texts[which[i]]."""
    inputs = features.of(features.asked(texts), which, query_id, doc_id, event_time, moment, store)
    return np.column_stack([inputs.dense, legs.opinions(features, texts, which, doc_id)])


@dataclass(frozen=True, eq=False)
class Legs:
    """Where candidates come from."""

    words: Baseline
    encoder: Hashed
    vectors: Dense

    def lexical(self, queries: Sequence[str], k: int) -> Ranking:
        return self.words.search(queries, k)

    def dense(self, queries: Sequence[str], k: int) -> Ranking:
        return self.vectors.search(self.encoder.encode(queries), self.encoder.fingerprint, k)

    def fused(self, features: Features, texts: Sequence[str], k: int, weight: float) -> Ranking:
        queries = [" ".join(one.corrected) for one in features.understand(texts)]
        return fusion.rrf([self.lexical(queries, k), self.dense(queries, k)], k)

    def opinions(self, features: Features, texts: Sequence[str], which: Ints, doc_id: Ints) -> Floats:
        """[n, 4] of rows: BM25 of each field, and the cosine. Rows of one query are scored together."""
        queries = [" ".join(one.corrected) for one in features.understand(texts)]
        order = np.argsort(which, kind="stable")
        found = np.zeros((len(which), len(self.words.index.fields) + 1))
        vectors = self.encoder.encode(queries)
        for rows in np.split(order, np.flatnonzero(np.diff(which[order])) + 1):
            if not len(rows):
                continue
            query, ids = int(which[rows[0]]), doc_id[rows][None]
            found[rows, :-1] = self.words.index.score([queries[query]], ids)[0]
            found[rows, -1] = self.vectors.score(vectors[[query]], self.encoder.fingerprint, ids)[0]
        return found


@dataclass(frozen=True, eq=False)
class TwoStage:
    features: Features
    legs: Legs
    ranker: Trees
    fusion_weight: float

    def retrieve(self, requests: Requests, k: int, store: FeatureStore | None = None) -> Ranking:
        return self.legs.fused(self.features, requests.query.tolist(), k, self.fusion_weight)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        parts = [
            self._rerank(requests.take(slice(at, at + BLOCK)), candidates.ids[at : at + BLOCK], store)
            for at in range(0, len(requests), BLOCK)
        ]
        return Ranking(
            ids=np.concatenate([part.ids for part in parts]), scores=np.concatenate([part.scores for part in parts])
        )

    def _rerank(self, requests: Requests, ids: Ints, store: FeatureStore) -> Ranking:
        row, column = np.nonzero(ids >= 0)
        rows = scored(
            self.features, self.legs, requests.query.tolist(), row, requests.query_id[row], ids[row, column],
            requests.event_time[row], requests.moment[row], store,
        )  # fmt: skip
        scores = np.full(ids.shape, -np.inf)
        scores[row, column] = self.ranker.score(rows)
        order = np.argsort(-scores, axis=1, kind="stable")
        return Ranking(ids=np.take_along_axis(ids, order, 1), scores=np.take_along_axis(scores, order, 1))

    def save(self, folder: Path) -> None:
        self.legs.encoder.save(folder)
        self.legs.vectors.save(folder)
        self.ranker.save(folder)
        np.savetxt(folder / "fusion.txt", np.array([self.fusion_weight]))


def _among(drawn: Ints, request: Ints, doc_id: Ints) -> NDArray[np.bool_]:
    """[num_requests, k]: which drawn documents were shown on that page; (request, document) pairs."""
    shown = np.zeros(drawn.shape, bool)
    for column in range(drawn.shape[1]):
        hit = drawn[request, column] == doc_id
        shown[request[hit], column] = True
    return shown
