"""Correcting words by what documents and queries hold: no dictionary from outside, so names and new words are as right as any other.

In:     words of documents, words of logged queries with how often each was asked.
Out:    Spelling.correct: a word -> the word meant; .save and load.
Choice: symmetric deletes (Garbe 2012, SymSpell): two words within d edits agree after at most d deletions from each, so deletions of the first
        PREFIX letters, hashed, find every candidate; the true distance then decides (restricted Damerau-Levenshtein, bit-parallel, Hyyrö 2003).
        The choice is a noisy channel (Kernighan et al. 1990): log count of the word meant minus PRICE for each slip.
Else:   a channel of single letters learned from corrections users made themselves; context of the neighbouring words, when queries are long.
Breaks: a query log is full of typos, and a frequent one would be a known word: a word that only queries hold must beat its neighbours by the
        same sum. A rare right word no document holds is taken for a slip. A word that is known is never touched: "form" for "from" stays.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from operator import neg
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Ints
from common.data import columns

REACH = 2  # edits
PREFIX = 7  # letters that are indexed: fewer make more false candidates, more make more keys
PRICE = 3.0  # of an edit, in log counts: a word one slip further off must be 20 times as frequent


@dataclass(frozen=True, eq=False)
class Spelling:
    """Known words [n] and their counts [n], the most frequent first, ties by alphabet."""

    word: NDArray[np.str_]
    count: Ints

    @classmethod
    def fit(
        cls,
        documents: Iterable[Iterable[str]],
        queries: Mapping[str, int],
        min_documents: int = 2,
        min_queries: int = 5,
    ) -> Spelling:
        """documents: the words of each; queries: word -> how often asked. A word is known from min_documents documents on, or from
        min_queries queries on unless a known neighbour explains it as a slip."""
        seen = Counter(word for words in documents for word in set(words))
        told = {word: seen[word] + queries.get(word, 0) for word in seen if seen[word] >= min_documents}
        asked = {word: count for word, count in queries.items() if word not in told and count >= min_queries}
        every = cls.of(told | asked)
        return cls.of(told | {word: count for word, count in asked.items() if every._best(word, at_home=count) == word})

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Spelling:
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return cls(
            np.array([word for word, _ in ordered], dtype=np.str_), np.array([n for _, n in ordered], dtype=np.int64)
        )

    def correct(self, word: str) -> str:
        """The word itself if it is known, too short or holds a digit, or if nothing is near; else the likeliest word meant."""
        return word if word in self._rank else self._best(word)

    def save(self, path: Path) -> None:
        columns.save_dataclass(path, self)

    def _best(self, word: str, at_home: int = 0) -> str:
        """at_home: how often the word itself was asked, which is what a correction has to beat. Of one distance the most frequent wins, so
        the first found ends the search, and words too rare to win are not even measured."""
        best, value = word, math.log(at_home) if at_home else -math.inf
        for most in range(1, reach(word) + 1):
            worth = bisect_left(self._logs, -value - PRICE * most, key=neg)  # words before here are frequent enough
            for at, distance in self._near(word, most, worth):
                if distance:
                    best, value = self._words[at], self._logs[at] - PRICE * most
                    break
        return best

    def _near(self, word: str, most: int, end: int | None = None) -> Iterator[tuple[int, int]]:
        """(index, distance) of the known words within `most` edits, in order of index, up to index `end`."""
        keys = np.fromiter(map(hash, deletions(word[:PREFIX], most)), dtype=np.int64)
        low, high = np.searchsorted(self._index[0], keys), np.searchsorted(self._index[0], keys, "right")
        found = np.unique(np.concatenate([self._index[1][a:b] for a, b in zip(low, high, strict=True)]))
        found = found[: np.searchsorted(found, len(self.word) if end is None else end)]
        found = found[np.abs(self._lengths[found] - len(word)) <= most]
        measure = Distance(word)
        for at in found.tolist():
            distance = measure.to(self._words[at])
            if distance <= most:
                yield at, distance

    @cached_property
    def _words(self) -> list[str]:
        return [str(word) for word in self.word]

    @cached_property
    def _rank(self) -> dict[str, int]:
        return {word: at for at, word in enumerate(self._words)}

    @cached_property
    def _logs(self) -> list[float]:
        return [math.log(max(count, 1)) for count in self.count.tolist()]

    @cached_property
    def _lengths(self) -> Ints:
        return np.array([len(word) for word in self._words], dtype=np.int64)

    @cached_property
    def _index(self) -> tuple[Ints, NDArray[np.int32]]:
        """Hashes of deletions, ascending, and whose each is: 12 bytes a key where a dict of lists takes 200. hash() differs between
        processes, so the index is never saved; a false meeting is thrown out by the distance."""
        deleted = [deletions(word[:PREFIX], REACH) for word in self._words]
        total = sum(map(len, deleted))
        keys = np.fromiter((hash(rest) for rests in deleted for rest in rests), dtype=np.int64, count=total)
        owner = np.repeat(np.arange(len(deleted), dtype=np.int32), [len(rests) for rests in deleted])
        order = np.argsort(keys, kind="stable")
        return keys[order], owner[order]


def load(path: Path) -> Spelling:
    """What `save` wrote; a torn or foreign file is an InputError."""
    return columns.load_dataclass(path, Spelling)


def reach(word: str) -> int:
    """Edits that are forgiven: none to short words and to numbers, where a slip is another word (Elasticsearch's AUTO, 3 letters included)."""
    if len(word) <= 3 or any(letter.isdigit() for letter in word):
        return 0
    return 1 if len(word) <= 5 else REACH


def deletions(word: str, most: int) -> set[str]:
    """The word and all it becomes with up to `most` letters left out."""
    return {
        "".join(kept)
        for left_out in range(min(most, len(word)) + 1)
        for kept in combinations(word, len(word) - left_out)
    }


class Distance:
    """Restricted Damerau-Levenshtein distances from one word: insert, delete, replace, swap neighbours, each 1, no letter edited twice.

    Column by column the differences of the textbook's table are +1, 0 or -1; held as bits of one integer a whole column is a dozen
    operations (Hyyrö 2003, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances")."""

    def __init__(self, word: str) -> None:
        self._length = len(word)
        self._places: dict[str, int] = {}
        for at, letter in enumerate(word):
            self._places[letter] = self._places.get(letter, 0) | 1 << at

    def to(self, other: Sequence[str]) -> int:
        if not self._length:
            return len(other)
        full, last = (1 << self._length) - 1, 1 << (self._length - 1)
        rises, falls, same, before, distance = full, 0, 0, 0, self._length
        for letter in other:
            places = self._places.get(letter, 0)
            swapped = ((~same & places) << 1) & before
            same = (((places & rises) + rises) ^ rises) | places | falls | swapped
            right, left = falls | ~(same | rises), same & rises
            distance += bool(right & last) - bool(left & last)
            right, left = right << 1 | 1, left << 1
            rises, falls, before = (left | ~(same | right)) & full, right & same & full, places
        return distance
