"""What is known of a query, a document and the two together, as of a moment.

In:     queries asked and documents to score, a feature store, the catalogue as of training.
Out:    VIEWS; Features.inputs(rows, store) -> Inputs for the ranker; Features.understand for whoever searches.
Choice: words of each field against the words of the query (and their synonyms), what the query says of language, topic and name, and what
        people did with this pair, this document and this query before. Clicks are held against looks: a count of clicks alone says
        where a document stood. The same code reads the log offline and the live store online.
Else:   a cross-encoder over the two texts: the dear upper rung (model/cross.py), when milliseconds are there.
Breaks: a value read after the moment (the contract's parity check); a query whose text no table knows (its words match nothing, its
        counters hold); a document the catalogue lacks (its words match nothing, its counters hold).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from common.contract import Bools, FeatureStore, Floats, Ints
from common.data import columns
from common.features.copies import copies
from common.features.text import padded, stem, words
from common.features.views import Count, View, pair
from search_ranking.config import Config
from search_ranking.features import documents as catalogue
from search_ranking.features import shelf as shelves
from search_ranking.features import suggest, understanding
from search_ranking.features.documents import FIELDS, Documents, Names
from search_ranking.features.shelf import Shelf
from search_ranking.features.suggest import Suggestions
from search_ranking.features.understanding import Understanding, Understood
from search_ranking.schema import Dataset, Queries, Rows

QUERY_WORDS, OTHER_WORDS = 12, 8  # of a query; of what may stand for them

VIEWS: tuple[View, ...] = (
    View("query", ("query_id",), (Count("impression"),)),
    View(
        "doc",
        ("doc_id",),
        (Count("impression", "seen_ppm"), Count("click"), Count("click", "satisfied"), Count("click", buckets=72)),
    ),
    View(
        "query_doc",
        ("query_id", "doc_id"),
        (Count("impression", "seen_ppm"), Count("click"), Count("click", "satisfied")),
    ),
)
QUERY, DOC, QUERY_DOC = VIEWS


def fit(dataset: Dataset, config: Config) -> Features:
    catalog = dataset.catalog
    documents, names = catalogue.described(catalog)
    understood = understanding.fit(_texts(dataset), _log(dataset), understanding.Settings(mends=config.mends))
    return Features(documents, names, dataset.queries, understood, _suggestions(dataset))


def load(folder: Path) -> Features:
    documents, names = catalogue.load(folder)
    queries = columns.load_dataclass(folder / "queries.parquet", Queries)
    suggestions = suggest.load(folder / "suggestions.parquet")
    return Features(documents, names, queries, understanding.load(folder / "understanding"), suggestions)


@dataclass(frozen=True, eq=False)
class Inputs:
    """`dense` [n, num_features], one row a (query, document); `names` of its columns."""

    dense: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries as the features read them, [n] each: token ids of the words as meant [n, QUERY_WORDS], of other words for them
    [n, OTHER_WORDS] with their weights, and codes of what else the query says, -1 for nothing."""

    words: Ints
    others: Ints
    weights: Floats
    language: Ints
    topic: Ints
    name: Ints  # [n, 4] token ids of the name


@dataclass(frozen=True, eq=False)
class Known:
    """Stands for Understanding where there is one query, and it has been read."""

    one: Understood

    def understand(self, texts: Sequence[str]) -> list[Understood]:
        return [self.one] * len(texts)

    def save(self, folder: Path) -> None:
        raise NotImplementedError("features of one answer are not saved")


@dataclass(frozen=True, eq=False)
class Features:
    documents: Documents
    names: Names
    queries: Queries  # whose text is known by its hash
    understanding: Understanding | Known
    suggestions: Suggestions  # what to offer while a query is typed

    @cached_property
    def popular(self) -> Ints:
        """[num_docs] ids, what was watched most before the log began first."""
        return self.documents.doc_id[np.argsort(-self.documents.views, kind="stable")]

    @cached_property
    def groups(self) -> Ints:
        """[num_docs] copies share a number; -1 has no copy."""
        return copies(self.documents.fingerprint)

    def over(self, shelf: Shelf) -> Features:
        """The same over the documents of training and what was put and deleted since. Whoever waits for it is no reader: what is worked out
        once (`popular`, `groups`) is worked out here."""
        documents, groups = shelves.joined(self.documents, self.groups, shelf)
        other = replace(self, documents=documents)
        vars(other)["groups"] = groups
        assert len(other.popular) == len(documents.doc_id)
        return other

    def having(self, understood: Understood) -> Features:
        """The same for one answer, whose query has been read: it is not read again, and reading that was late is not waited for twice."""
        other = copy.copy(self)  # with what is worked out
        object.__setattr__(other, "understanding", Known(understood))
        return other

    def find(self, ids: Ints) -> Ints:
        """Index of each document, -1 for one that the catalogue lacks."""
        known = self.documents.doc_id
        if ids is known:  # the whole catalogue is asked about, at every request
            return np.arange(len(known))
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, at, -1)

    def understand(self, texts: Sequence[str]) -> list[Understood]:
        return self.understanding.understand(texts)

    def asked(self, texts: Sequence[str]) -> Asked:
        found = self.understand(texts)
        ids = self.names.tokens.ids
        expanded = [dict(one.expansions) for one in found]
        return Asked(
            words=padded([ids([stem(word) for word in one.corrected]) for one in found], QUERY_WORDS),
            others=padded([ids([stem(word) for word in others]) for others in expanded], OTHER_WORDS),
            weights=_padded_floats([list(others.values()) for others in expanded], OTHER_WORDS),
            language=_codes([one.language for one in found], self.names.languages),
            topic=_codes([one.intent for one in found], self.names.topics),
            name=padded([ids([stem(word) for word in words(one.entity)]) for one in found], 4),
        )

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        """What the ranker sees of each row, as of its moment. A query is known by its hash."""
        query, back = np.unique(rows.query_id, return_inverse=True)
        at = np.minimum(np.searchsorted(self.queries.query_id, query), max(len(self.queries.query_id) - 1, 0))
        known = self.queries.query_id[at] == query if len(self.queries.query_id) else np.zeros(len(query), bool)
        texts = np.where(known, self.queries.text[at], "") if len(self.queries.query_id) else np.full(len(query), "")
        return self.of(
            self.asked(texts.tolist()), back, rows.query_id, rows.doc_id, rows.event_time, rows.moment, store
        )

    def of(
        self,
        asked: Asked,
        which: Ints,
        query_id: Ints,
        doc_id: Ints,
        event_time: Ints,
        moment: Ints,
        store: FeatureStore,
    ) -> Inputs:
        """Row i asks `asked[which[i]]` about document doc_id[i]. A log asks the same of a document again and again: texts are compared once."""
        index = self.find(doc_id)
        _, first, back = np.unique(
            which * (len(self.documents.doc_id) + 1) + index, return_index=True, return_inverse=True
        )
        texts = self._words(asked, which[first], index[first]) | self._said(asked, which[first], index[first])
        of_doc = store.read(DOC, doc_id, moment)
        found = {
            **{name: column[back] for name, column in texts.items()},
            **self._document(index, event_time),
            **_counted("doc", of_doc[:, :3]),
            "doc_lately": np.log1p(of_doc[:, 3]),
            **_counted("pair", store.read(QUERY_DOC, pair(query_id, doc_id), moment)),
            "query_asked": np.log1p(store.read(QUERY, query_id, moment)[:, 0]),
        }
        return Inputs(np.stack(list(found.values()), axis=1), tuple(found))

    def _words(self, asked: Asked, which: Ints, index: Ints) -> dict[str, Floats]:
        """Of each field: the idf of the query's words found there over that of all of them; the same of other words for them."""
        weight = self.names.weight
        mine, others = asked.words[which], asked.others[which]
        total = np.maximum(weight[mine].sum(axis=1), 1e-9)
        found: dict[str, Floats] = {"query_words": (mine > 0).sum(axis=1).astype(float), "query_idf": total}
        anywhere = np.zeros(mine.shape, bool)
        for name in FIELDS:
            field = getattr(self.documents, name)[index] * (index >= 0)[:, None]
            hit = _held(mine, field)
            anywhere |= hit
            found[f"{name}_match"] = (weight[mine] * hit).sum(axis=1) / total
            other = weight[others] * asked.weights[which] * _held(others, field)
            found[f"{name}_other"] = other.sum(axis=1) / total
        found["any_match"] = (weight[mine] * anywhere).sum(axis=1) / total
        return found

    def _said(self, asked: Asked, which: Ints, index: Ints) -> dict[str, Floats]:
        """1 where the document is what the query says, 0 where it is not, .5 where the query says nothing of it."""
        found = {}
        for name in ("language", "topic"):
            wanted, has = getattr(asked, name)[which], getattr(self.documents, name)[index]
            found[f"same_{name}"] = np.where(wanted < 0, 0.5, ((wanted == has) & (index >= 0)).astype(float))
        named = asked.name[which]
        title = np.concatenate([self.documents.title[index], self.documents.tags[index]], axis=1)
        held = _held(named, title)
        size = (named > 1).sum(axis=1)
        found["same_name"] = np.where(size == 0, 0.5, held.sum(axis=1) / np.maximum(size, 1) * (index >= 0))
        return found

    def _document(self, index: Ints, event_time: Ints) -> dict[str, Floats]:
        known = index >= 0
        age = np.where(known, (event_time - self.documents.uploaded[index]) / 86_400, 0.0)
        return {
            "length": np.where(known, self.documents.length[index], 0.0),
            "views": np.where(known, self.documents.views[index], 0.0),
            "age_days": np.log1p(np.maximum(np.nan_to_num(age), 0.0)),
        }

    def save(self, folder: Path) -> None:
        catalogue.save(self.documents, self.names, folder)
        columns.save_dataclass(folder / "queries.parquet", self.queries)
        self.understanding.save(folder / "understanding")
        self.suggestions.save(folder / "suggestions.parquet")


def _held(words: Ints, field: Ints) -> Bools:
    """words [n, w], 0 pads, 1 unknown -> [n, w] whether each stands in its row of the field [n, m]. Most queries have two words of the twelve
    there is room for: the others are not looked for."""
    hit = np.zeros(words.shape, bool)
    for at in np.flatnonzero((words > 1).any(axis=0)):
        hit[:, at] = (words[:, [at]] == field).any(axis=1) & (words[:, at] > 1)
    return hit


def _counted(name: str, counts: Floats) -> dict[str, Floats]:
    """Looks (in expected full looks), clicks and satisfied clicks -> rates pulled towards the usual while they are small. Clicks over expected
    looks is what is left of a click rate when the place is taken out of it (COEC; Zhang and Jones 2007)."""
    seen, clicks, satisfied = counts[:, 0] / 1e6, counts[:, 1], counts[:, 2]
    return {
        f"{name}_seen": np.log1p(seen),
        f"{name}_coec": (clicks + 0.9) / (seen + 3.0),
        f"{name}_satisfied": (satisfied + 0.3) / (clicks + 0.6),
    }


def _texts(dataset: Dataset) -> understanding.Documents:
    catalog, empty = dataset.catalog, np.full(len(dataset.catalog), "")
    languages, topics = (catalog.categories.get(name, empty).tolist() for name in ("language", "topic"))
    return understanding.Documents(
        catalog.title.tolist(),
        [text.split() for text in catalog.tags.tolist()],
        languages,
        topics,
        catalog.description.tolist(),
    )


def _log(dataset: Dataset) -> understanding.Log:
    """Of the training rows alone, the wording too. A judgment is no click: other words for a query's words, learnt from what was judged right for
    it, would hand the ranker the very label it is taught by.

    The ranker is taught by the clicks that synonyms and topics were learnt from, so it meets in them what it will not meet at work. That costs
    nothing to be seen: learnt from the earlier half of training, they are a fifth as many pairs and change gain at 10 by 0.0002
    [-0.0004, 0.0009]; with the later half alone left to the ranker, by -0.0022 [-0.0034, -0.0010] (4,500 validation requests, DEMO of three
    seeds)."""
    rows = dataset.train
    queries, query = np.unique(rows.query_id, return_inverse=True)
    first = np.unique(rows.request_id, return_index=True)[1]
    asked = np.bincount(query[first], minlength=len(queries))
    clicked = rows.labels["clicked"] > 0 if "clicked" in rows.labels else np.zeros(len(rows), bool)
    both = np.stack([query[clicked], np.searchsorted(dataset.catalog.doc_id, rows.doc_id[clicked])])
    (of, document), clicks = np.unique(both, axis=1, return_counts=True)
    return understanding.Log(dataset.queries.of(queries).tolist(), asked, of, document, clicks)


def _suggestions(dataset: Dataset) -> Suggestions:
    """Of the training rows alone, as the end of them sees it."""
    rows = dataset.train
    first = np.unique(rows.request_id, return_index=True)[1]
    texts = dataset.queries.of(rows.query_id[first]).tolist()
    return Suggestions.fit(texts, rows.user_id[first], rows.event_time[first], int(rows.event_time.max(initial=0)))


def _codes(values: Sequence[str], names: tuple[str, ...]) -> Ints:
    place = {name: at for at, name in enumerate(names)}
    return np.array([place.get(value, -1) for value in values], dtype=np.int64)


def _padded_floats(rows: Sequence[Sequence[float]], length: int) -> Floats:
    out = np.zeros((len(rows), length))
    for at, row in enumerate(rows):
        out[at, : len(row)] = row[:length]
    return out


__all__ = ["VIEWS", "Asked", "Features", "Inputs", "fit", "load"]
