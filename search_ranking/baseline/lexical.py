"""BM25 over fields: for each field its own BM25, and their weighted sum. Documents come and go while it is asked.

Not BM25F (Robertson, Zaragoza and Taylor 2004), which adds the fields' counts before they saturate: bm25s keeps finished scores, so a weight
could not be changed without building anew, and the ranker wants each field's score as a feature of its own. The price: a word that stands in
title and tags is paid twice.

Three parts make a state: what bm25s built, a mask of what was deleted since, and a small overlay of what was put since, scored from its words.
How many documents hold a word is kept exact: bm25s' score of a word is multiplied by idf now over idf then. Only the average length is that
of the last build; DRIFT bounds how far it may be off, and with it every score. A state never changes: a writer makes the next one and swaps
it in, so a reader needs no lock and sees one moment. Building is the writer's wait, never a reader's.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints, Ranking
from common.data.durable import write_bytes
from common.errors import InputError
from search_ranking.baseline.postings import Documents, Field, Postings, Texts, idf, post, read, starts, words
from search_ranking.features.among import EachAmong

SHARE, AT_LEAST = 0.05, 64  # built anew when more than this share of the documents, and so many, came or went
DRIFT = 0.02  # or when the average length of a field is off by more: no score is then off by more than this

Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class State:
    built: Documents  # by ascending doc_id
    postings: tuple[Postings, ...]
    alive: Bools
    put: Documents
    frequency: tuple[Ints, ...]  # [num_words] of each field: how many of the documents there are now hold the word

    def __len__(self) -> int:
        return int(self.alive.sum()) + len(self.put)

    @property
    def due(self) -> bool:
        many = int((~self.alive).sum()) + len(self.put) > max(AT_LEAST, SHARE * len(self.built))
        return many or any(
            abs(self.average(at) - one.average) > DRIFT * one.average for at, one in enumerate(self.postings)
        )

    def average(self, at: int) -> float:
        """Length of a document of field `at` now."""
        return float(self.built.length(at)[self.alive].sum() + len(self.put.tokens[at])) / max(len(self), 1)

    def without(self, doc_id: Ints) -> State:
        gone, left = np.isin(self.built.doc_id, doc_id) & self.alive, ~np.isin(self.put.doc_id, doc_id)
        frequency = self.frequency
        for part in (self.built.keep(gone), self.put.keep(~left)):
            frequency = tuple(had - part.frequency(at, len(had)) for at, had in enumerate(frequency))
        return replace(self, alive=self.alive & ~gone, put=self.put.keep(left), frequency=frequency)

    def with_(self, new: Documents, num_words: int) -> State:
        grown = [np.pad(had, (0, num_words - len(had))) for had in self.frequency]
        frequency = tuple(had + new.frequency(at, num_words) for at, had in enumerate(grown))
        return replace(self, put=self.put.joined(new), frequency=frequency)

    def everything(self) -> Documents:
        return self.built.keep(self.alive).joined(self.put).ordered()


@dataclass(eq=False)
class Lexical:
    """`search` and `score` from any thread; `put`, `delete`, `rebuild` and `save` too, one after another."""

    fields: Mapping[str, Field]
    _number: dict[str, int]  # of a word. It only grows, so a reader of an older state may look into it
    _state: State
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self._state)

    def search(self, queries: Sequence[str], k: int, among: EachAmong | None = None) -> Ranking:
        """-> the k best of each query [n, k] among what may be answered to it, by score, then by id; -1 behind the last that holds a word of
        the query. What a word is worth is counted over all documents, whoever asks."""
        state = self._state
        doc_id, dead = np.concatenate([state.built.doc_id, state.put.doc_id]), np.flatnonzero(~state.alive)
        ids, scores = np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf)
        for row, query in enumerate(queries):
            total = np.zeros(len(doc_id), np.float32)
            self._add(state, query, [(total, one.weight) for one in self.fields.values()])
            total[dead] = 0
            if among is not None:
                total[~among(row).of(doc_id)] = 0
            found = best(total, doc_id, k)
            ids[row, : len(found)], scores[row, : len(found)] = doc_id[found], total[found]
        return Ranking(ids=ids, scores=scores)

    def score(self, queries: Sequence[str], ids: Ints) -> Floats:
        """ids [n, k] -> [n, k, num_fields], without the fields' weights; 0 for an id that is not there."""
        state = self._state
        scores = np.zeros((*ids.shape, len(self.fields)))
        for row, query in enumerate(queries):
            found = np.zeros((len(self.fields), len(state.alive) + len(state.put) + 1), np.float32)
            self._add(state, query, [(total[:-1], 1.0) for total in found])
            scores[row] = found[:, _places(state, ids[row])].T  # place -1 is the last column, which stays 0
        return scores

    def put(self, doc_id: Ints, texts: Texts) -> None:
        """Adds documents, or replaces those of the same id: texts[field] [n]. A field left out is empty."""
        with self._writing:
            new = read(doc_id, texts, self.fields, self._number)
            self._swap(self._state.without(new.doc_id).with_(new, len(self._number)))

    def delete(self, doc_id: Ints) -> None:
        """An id that is not there is no error: it is gone."""
        with self._writing:
            self._swap(self._state.without(doc_id))

    def rebuild(self) -> None:
        with self._writing:
            self._state = _built(self._state.everything(), self.fields, len(self._number))

    def save(self, folder: Path) -> None:
        """lexical.json (fields, words in order of their numbers) and lexical.safetensors. bm25s' own files would hold the scores and not
        the words they come from, without which nothing can be deleted; and it reads them without a look at their bounds."""
        from safetensors.numpy import save

        self.rebuild()
        state = self._state
        arrays: dict[str, NDArray[np.generic]] = {"doc_id": state.built.doc_id}
        for at, postings in enumerate(state.postings):
            arrays |= {f"{at}.tokens": state.built.tokens[at], f"{at}.start": state.built.start[at]}
            arrays |= {f"{at}.scores": postings.scores, f"{at}.rows": postings.rows}
        num = len(state.frequency[0])
        about = {
            "fields": {name: one._asdict() for name, one in self.fields.items()},
            "words": list(self._number)[:num],
        }
        write_bytes(folder / "lexical.safetensors", save(arrays))
        write_bytes(folder / "lexical.json", json.dumps(about).encode())

    def _swap(self, state: State) -> None:
        self._state = _built(state.everything(), self.fields, len(self._number)) if state.due else state

    def _add(self, state: State, query: str, into: Sequence[tuple[Scores, float]]) -> None:
        """Adds the query's score in each field, times the weight beside it, to a vector [num_built + num_put]."""
        asked = Counter(number for word in words(query) if (number := self._number.get(word)) is not None)
        split = len(state.built)
        for at, ((total, weight), settings) in enumerate(zip(into, self.fields.values(), strict=True)):
            for word, times in asked.items():
                if word >= len(state.frequency[at]) or not state.frequency[at][word]:
                    continue  # first read after this state, or in none of its documents any more
                now = weight * times * idf(len(state), int(state.frequency[at][word]))
                postings = state.postings[at]
                if word < len(postings.frequency) and postings.frequency[word]:
                    held = slice(postings.start[word], postings.start[word + 1])
                    then = idf(split, int(postings.frequency[word]))
                    total[postings.rows[held]] += np.float32(now / then) * postings.scores[held]
                if len(state.put):
                    total[split:] += now * _saturated(state.put, at, word, settings, postings.average)


def build(doc_id: Ints, texts: Texts, fields: Mapping[str, Field]) -> Lexical:
    """doc_id [n], each once; texts[field] [n]."""
    number: dict[str, int] = {}
    documents = read(doc_id, texts, fields, number)
    return Lexical(fields, number, _built(documents.ordered(), fields, len(number)))


def load(folder: Path) -> Lexical:
    """What `save` wrote, nothing of it executed; InputError where it is torn or points outside itself."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / "lexical.safetensors"
    try:
        about, arrays = json.loads((folder / "lexical.json").read_bytes()), load_file(path)
        fields = {name: Field(**one) for name, one in about["fields"].items()}
        number = {word: at for at, word in enumerate(about["words"])}
        tokens, start = ([arrays[f"{at}.{part}"] for at in range(len(fields))] for part in ("tokens", "start"))
        documents = Documents(arrays["doc_id"], tuple(tokens), tuple(start))
        frequency = _checked(documents, len(number))
        postings = [_posted(arrays, at, counts, documents) for at, counts in enumerate(frequency)]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole index ({str(error)[:120]}). Publish the model again.") from error
    return Lexical(fields, number, _fresh(documents, tuple(postings), frequency))


def best(scores: Scores, doc_id: Ints, k: int) -> Ints:
    """Places of the k greatest scores above 0, ties by ascending id."""
    found = np.flatnonzero(scores > 0)
    if len(found) > k > 0:
        least = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= least]
    order: Ints = found[np.lexsort((doc_id[found], -scores[found]))][:k]
    return order


def _saturated(documents: Documents, at: int, word: int, settings: Field, average: float) -> Floats:
    """[num_documents]: how much of the word's idf each of them earns, counted from its words."""
    count = np.bincount(documents.row(at)[documents.tokens[at] == word], minlength=len(documents))
    long = documents.length(at) / (average or 1.0)
    earned: Floats = count / (count + settings.k1 * (1 - settings.b + settings.b * long))
    return earned


def _places(state: State, doc_id: Ints) -> Ints:
    """Where in [built, put] each document stands, -1 if nowhere. What was put again is dead where it was built."""
    found = np.full(doc_id.shape, -1)
    if len(state.built):
        at = np.minimum(np.searchsorted(state.built.doc_id, doc_id), len(state.built) - 1)
        found = np.where((state.built.doc_id[at] == doc_id) & state.alive[at], at, -1)
    for place, one in enumerate(state.put.doc_id):
        found[doc_id == one] = len(state.built) + place
    return found


def _built(documents: Documents, fields: Mapping[str, Field], num_words: int) -> State:
    postings = tuple(post(documents, at, one, num_words) for at, one in enumerate(fields.values()))
    return _fresh(documents, postings, tuple(one.frequency for one in postings))


def _fresh(documents: Documents, postings: tuple[Postings, ...], frequency: tuple[Ints, ...]) -> State:
    none = np.zeros(len(documents), bool)
    return State(documents, postings, ~none, documents.keep(none), frequency)


def _checked(documents: Documents, num_words: int) -> tuple[Ints, ...]:
    """-> the frequency of each field's words. ValueError where an array does not fit the others."""
    if documents.doc_id.dtype != np.int64 or (np.diff(documents.doc_id) <= 0).any():
        raise ValueError("document ids are not whole numbers in ascending order")
    for at, (tokens, start) in enumerate(zip(documents.tokens, documents.start, strict=True)):
        if (
            start.shape != (len(documents) + 1,)
            or start[0] != 0
            or start[-1] != len(tokens)
            or (np.diff(start) < 0).any()
        ):
            raise ValueError(f"field {at}: documents do not cover its words")
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < num_words:
            raise ValueError(f"field {at}: a word beyond the {num_words} there are")
    return tuple(documents.frequency(at, num_words) for at in range(len(documents.tokens)))


def _posted(arrays: Mapping[str, NDArray[np.generic]], at: int, counts: Ints, documents: Documents) -> Postings:
    scores, rows = arrays[f"{at}.scores"].astype(np.float32), arrays[f"{at}.rows"].astype(np.int32)
    if not len(scores) == len(rows) == counts.sum() or not np.isfinite(scores).all():
        raise ValueError(f"field {at}: scores do not fit its words")
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(documents):
        raise ValueError(f"field {at}: a score for a document that is not there")
    return Postings(scores, rows, starts(counts), len(documents.tokens[at]) / max(len(documents), 1))
