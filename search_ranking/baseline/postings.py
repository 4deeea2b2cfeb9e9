"""Texts as numbered words, and one field's BM25 over them as bm25s builds it: who holds a word, and at what score.

    score(d, t) = idf(t) * tf / (tf + k1 (1 - b + b length / average)),  idf(t) = log(1 + (N - df + .5) / (df + .5))

Lucene's form (Kamphuis et al. 2020, "Which BM25 do you mean?"). bm25s computes all of it when it builds, so a query adds rows of numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Ints
from common.errors import InputError
from common.features import text as spelled

Tokens = NDArray[np.int32]
Texts = Mapping[str, Sequence[str]]

_local = threading.local()  # a stemmer is not to be shared between threads


class Field(NamedTuple):
    """k1: how soon a word said again stops counting. b: how much a long text is held against it, 0 to 1."""

    weight: float = 1.0
    k1: float = 1.2
    b: float = 0.75


@dataclass(frozen=True, eq=False)
class Documents:
    """Their words in numbers, field by field: document i of a field holds tokens[start[i] : start[i + 1]]."""

    doc_id: Ints
    tokens: tuple[Tokens, ...]
    start: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.doc_id)

    def row(self, at: int) -> Ints:
        """Which document each token of field `at` is in."""
        return np.repeat(np.arange(len(self)), np.diff(self.start[at]))

    def length(self, at: int) -> Ints:
        return np.diff(self.start[at])

    def frequency(self, at: int, num_words: int) -> Ints:
        """[num_words]: how many of these documents hold the word in field `at`."""
        pairs = np.unique(self.row(at) * max(num_words, 1) + self.tokens[at])
        return np.bincount(pairs % max(num_words, 1), minlength=num_words)

    def keep(self, mask: Bools) -> Documents:
        tokens = [part[mask[self.row(at)]] for at, part in enumerate(self.tokens)]
        return Documents(self.doc_id[mask], tuple(tokens), tuple(starts(np.diff(part)[mask]) for part in self.start))

    def joined(self, more: Documents) -> Documents:
        tokens = tuple(np.concatenate(pair) for pair in zip(self.tokens, more.tokens, strict=True))
        lengths = [np.concatenate([self.length(at), more.length(at)]) for at in range(len(tokens))]
        return Documents(np.concatenate([self.doc_id, more.doc_id]), tokens, tuple(starts(each) for each in lengths))

    def ordered(self) -> Documents:
        """By ascending doc_id."""
        order, tokens = np.argsort(self.doc_id), []
        for at, start in enumerate(self.start):
            length = np.diff(start)[order]
            first = np.repeat(start[order] - starts(length)[:-1], length)
            tokens.append(self.tokens[at][first + np.arange(length.sum())])
        return Documents(self.doc_id[order], tuple(tokens), tuple(starts(np.diff(part)[order]) for part in self.start))


@dataclass(frozen=True, eq=False)
class Postings:
    """Word t is in documents rows[start[t] : start[t + 1]], at those scores."""

    scores: NDArray[np.float32]
    rows: Tokens
    start: Ints
    average: float  # length of a document of this field

    @cached_property
    def frequency(self) -> Ints:
        return np.diff(self.start)


def split(text: str) -> list[str]:
    """In the spelling a query arrives in, once it is understood: an accent kept here alone would never be found."""
    return spelled.words(text, spelled.DOCUMENT_CHARS)


def words(text: str) -> list[str]:
    """`split`, no English stop words, Porter's second stemmer."""
    from bm25s.stopwords import STOPWORDS_EN

    if not hasattr(_local, "stemmer"):
        import Stemmer

        _local.stemmer = Stemmer.Stemmer("english")
    said = [word for word in split(text) if word not in STOPWORDS_EN]
    stems: list[str] = _local.stemmer.stemWords(said)
    return stems


def read(doc_id: Ints, texts: Texts, fields: Mapping[str, Field], number: dict[str, int]) -> Documents:
    """texts[field] [n]; a field left out is empty. Words not in `number` yet are given the next ones."""
    if len(np.unique(doc_id)) != len(doc_id):
        raise InputError("A document id stands twice in one call. Give each document once.")
    tokens, start = [], []
    for name in fields:
        said = [words(text) for text in texts.get(name, [""] * len(doc_id))]
        assert len(said) == len(doc_id), f"{name}: {len(said)} texts for {len(doc_id)} documents"
        flat = [number.setdefault(word, len(number)) for text in said for word in text]
        tokens.append(np.array(flat, np.int32))
        start.append(starts(np.array([len(text) for text in said], np.int64)))
    return Documents(np.asarray(doc_id, np.int64), tuple(tokens), tuple(start))


def post(documents: Documents, at: int, field: Field, num_words: int) -> Postings:
    """Field `at` of the documents, built by bm25s."""
    if not len(documents.tokens[at]):
        return Postings(np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(num_words + 1, np.int64), 0.0)
    import bm25s

    index = bm25s.BM25(k1=field.k1, b=field.b, method="lucene", csc_backend="scipy")
    tokens = [part.tolist() for part in np.split(documents.tokens[at], documents.start[at][1:-1])]
    built = index.build_index_from_ids(range(num_words), tokens, show_progress=False)
    average = len(documents.tokens[at]) / len(documents)
    return Postings(built["data"], built["indices"].astype(np.int32), built["indptr"].astype(np.int64), average)


def idf(num: int, frequency: int) -> float:
    return float(np.log1p((num - frequency + 0.5) / (frequency + 0.5)))


def starts(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
