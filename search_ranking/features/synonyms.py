"""Synonyms learned from clicks: two words of different queries are alike if people who ask either open the same documents.

In:     tokens of distinct queries; clicks as pairs (query, document) with counts.
Out:    Synonyms.expand(tokens) -> other words for it, each with a weight below 1; .save and load.
Choice: a word is the clicks its queries led to, over documents. Two words are compared by the cosine of what exceeds chance, so a popular
        document or a busy word makes no pair by itself. Words asked together are company, not synonyms (guitar lesson), and are left out.
Else:   word vectors from documents (they also find antonyms and siblings: red, blue); a thesaurus; a dense encoder, which the
        retrieval has beside this. Other words are features of the ranker here; the inverted index does not ask for them.
Breaks: few clicks (a word needs MIN_CLICKS, and a pair must still be one without its LOUDEST documents: two rare words that met on one
        rare document by chance have a cosine of 0.5); position bias, where everybody opens whatever stands first; a word
        with two senses brings both. Shuffled clicks must find nothing: that control is in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.data import columns
from common.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MIN_CLICKS = 10  # of a word
LOUDEST = 2  # documents that add most to a cosine are not heard, and half of MIN_COSINE must be left
MIN_COSINE = 0.3
MOST_TOGETHER = 0.1  # of the rarer word's queries that hold the other too
BLOCK = 512  # words compared at once


@dataclass(frozen=True, eq=False)
class Synonyms:
    """Pairs [n], each both ways round: word, what else to ask for, how alike they are (0..1); by word, the most alike first."""

    word: NDArray[np.str_]
    other: NDArray[np.str_]
    weight: Floats

    def expand(self, tokens: Sequence[str], k: int = 3) -> dict[str, float]:
        """Up to k words for each token, none the query already holds; a word that two tokens suggest keeps the greater weight."""
        found: dict[str, float] = {}
        for token in tokens:
            new = [(other, weight) for other, weight in self._of.get(token, ()) if other not in tokens]
            for other, weight in new[:k]:
                found[other] = max(weight, found.get(other, 0.0))
        return found

    def save(self, path: Path) -> None:
        columns.save_dataclass(path, self)

    @cached_property
    def _of(self) -> dict[str, list[tuple[str, float]]]:
        found: dict[str, list[tuple[str, float]]] = {}
        for word, other, weight in zip(self.word.tolist(), self.other.tolist(), self.weight.tolist(), strict=True):
            found.setdefault(word, []).append((other, weight))
        return found


def load(path: Path) -> Synonyms:
    """What `save` wrote; a torn or foreign file is an InputError."""
    return columns.load_dataclass(path, Synonyms)


def learn(
    queries: Sequence[Sequence[str]], query: Ints, document: Ints, clicks: Ints, min_cosine: float = MIN_COSINE
) -> Synonyms:
    """queries [q]: tokens of each distinct query; query, document, clicks [n]: how often that query led to that document (index from 0)."""
    _refuse(len(queries), query, document, clicks)
    words, holds = _holds(queries)
    led = _led(holds, query, document, clicks)
    busy = np.flatnonzero(led.sum(axis=1) >= MIN_CLICKS)
    words, holds, led = words[busy], holds[busy], led[busy]
    chance = np.asarray(led.sum(axis=0), dtype=np.float64) / max(float(led.sum()), 1.0)
    first, second, weight = _alike(led, holds, chance, min_cosine)
    order = np.lexsort((words[second], -weight, words[first]))
    return Synonyms(words[first][order], words[second][order], weight[order])


def _refuse(num_queries: int, query: Ints, document: Ints, clicks: Ints) -> None:
    if not len(query) == len(document) == len(clicks):
        raise InputError(
            f"{len(query)} queries, {len(document)} documents, {len(clicks)} counts; expected as many of each."
        )
    if len(query) and (query.min() < 0 or query.max() >= num_queries or document.min() < 0 or clicks.min() < 0):
        raise InputError(
            f"An index below 0, a query beyond the {num_queries} given or a negative count of clicks. Drop such rows."
        )


def _holds(queries: Sequence[Sequence[str]]) -> tuple[NDArray[np.str_], csr_array]:
    """-> words [w], sorted; [w, q] 1 where the query holds the word."""
    from scipy.sparse import csr_array

    pairs = [(token, at) for at, tokens in enumerate(queries) for token in sorted(set(tokens))]
    words, row = np.unique(np.array([token for token, _ in pairs], dtype=np.str_), return_inverse=True)
    column = np.array([at for _, at in pairs], dtype=np.int64)
    return words, csr_array((np.ones(len(pairs)), (row, column)), shape=(len(words), len(queries)))


def _led(holds: csr_array, query: Ints, document: Ints, clicks: Ints) -> csr_array:
    """[w, d] clicks that queries with the word led to."""
    from scipy.sparse import csr_array

    num_documents = int(document.max(initial=-1)) + 1
    by_query = csr_array((clicks.astype(float), (query, document)), shape=(holds.shape[1], num_documents))
    led: csr_array = (holds @ by_query).tocsr()
    return led


def _alike(led: csr_array, holds: csr_array, chance: Floats, min_cosine: float) -> tuple[Ints, Ints, Floats]:
    """Pairs of rows whose clicks exceed chance on the same documents, and the cosine. chance [d]: each document's share of all clicks.

    Row i is to have r_i chance_j = e clicks on j, r its sum. Over the residuals (n - e) / sqrt(e), as in correspondence analysis
    (Greenacre 2017, chapter 4), the product of rows i and k is sum_j n_ij n_kj / chance_j / sqrt(r_i r_k) - sqrt(r_i r_k): a sparse product
    less a number, though the residuals themselves are dense. Independent rows have cosine about 0; of bare counts it is that of popularity.
    """
    from scipy.sparse import diags_array

    total = led.sum(axis=1)
    scaled = (diags_array(1 / np.sqrt(total)) @ led @ diags_array(1 / np.sqrt(np.maximum(chance, 1e-300)))).tocsr()
    norm = np.sqrt(np.maximum(scaled.multiply(scaled).sum(axis=1) - total, 1e-9))
    asked = holds.sum(axis=1)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for start in range(0, len(total), BLOCK):
        block = slice(start, start + BLOCK)
        product = (scaled[block] @ scaled.T).toarray() - np.sqrt(total[block, None] * total)
        cosine = product / (norm[block, None] * norm)
        together = (holds[block] @ holds.T).toarray() / np.minimum(asked[block, None], asked)
        row, column = np.nonzero((cosine >= min_cosine) & (together <= MOST_TOGETHER))
        found.append((row + start, column, np.minimum(cosine[row, column], 1.0)))
    first, second, weight = (np.concatenate(part) for part in zip(*found, strict=True))
    left = weight - _loudest(led, chance, first, second) / (norm[first] * norm[second])
    heard = left >= min_cosine / 2
    return first[heard], second[heard], weight[heard]


def _loudest(led: csr_array, chance: Floats, first: Ints, second: Ints) -> Floats:
    """What the LOUDEST documents of each pair [p] of rows add to the product of their residuals."""
    opened, total = led.astype(bool).astype(float), led.sum(axis=1)
    one, two = led[first].multiply(opened[second]).tocsr(), led[second].multiply(opened[first]).tocsr()
    one.sort_indices()
    two.sort_indices()  # the same documents in the same order
    row = np.repeat(np.arange(len(first)), np.diff(one.indptr))
    by_first, by_second = total[first][row] * chance[one.indices], total[second][row] * chance[one.indices]
    part = (one.data - by_first) * (two.data - by_second) / np.sqrt(by_first * by_second)
    order = np.lexsort((-part, row))
    place = np.arange(len(row)) - one.indptr[row]
    loud = place < LOUDEST
    added: Floats = np.bincount(row[order][loud], weights=part[order][loud], minlength=len(first)).astype(np.float64)
    return added
