"""Completing a query while it is typed, from what others asked: recent counts first, one slip forgiven, nobody's private question shown.

In:     the query log, a row an asking: text, user, time; the moment it is seen from.
Out:    Suggestions.suggest(prefix, k) -> texts; .save and load.
Choice: a sorted array and bisect: a prefix is a range, the best k of a range a partial sort, and nothing to build. A count halves every
        half_life seconds. A query fewer than min_users people asked is dropped before anything is written: it may hold a name or an address.
Else:   a trie with the best k kept at each node, from a million queries on; a language model, for tails nobody has asked twice.
Breaks: what is offered is asked more, so the popular stays popular; min_users counts accounts, which can be made; nothing
        holds back what many ask and nobody should be offered; prefixes are matched from the front only ("lessons" does not find "guitar lessons").
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.data import columns
from common.errors import InputError
from common.features.text import QUERY_CHARS, normalise

HALF_LIFE = 14 * 86_400  # seconds
MIN_USERS = 5
MIN_SLIP = 3  # letters of a last word below which no slip is forgiven: one edit of two letters is any word
_END = chr(0x10FFFF)


@dataclass(frozen=True, eq=False)
class Suggestions:
    """text [n], sorted by code point; score [n], the decayed count. `k` answers fall by score, ties by alphabet."""

    text: NDArray[np.str_]
    score: Floats

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        users: Ints,
        times: Ints,
        now: int,
        half_life: int = HALF_LIFE,
        min_users: int = MIN_USERS,
    ) -> Suggestions:
        """texts, users, times (seconds) [n], a row an asking; what is later than `now` is not seen. All users below 0, whom nobody can tell
        apart, count as one."""
        if not len(texts) == len(users) == len(times):
            raise InputError(f"{len(texts)} texts, {len(users)} users, {len(times)} times; expected as many of each.")
        if half_life <= 0 or min_users < 1:
            raise InputError(f"half_life {half_life} and min_users {min_users}; expected both above 0.")
        clean = np.array([normalise(text) for text in texts], dtype=np.str_)
        seen = (times <= now) & (clean != "")
        text, row = np.unique(clean[seen], return_inverse=True)
        score = np.bincount(row, weights=np.exp2(-(now - times[seen]) / half_life), minlength=len(text))
        asked = np.unique(np.stack([row, np.maximum(users[seen], -1)]), axis=1)[0]
        kept = np.bincount(asked, minlength=len(text)) >= min_users
        return cls(text[kept], score[kept].astype(np.float64))

    def suggest(self, prefix: str, k: int = 8) -> list[str]:
        """What begins with the prefix, the best first; if that is fewer than k, then what begins with it but for one slip in its last word."""
        typed = normalise(prefix) + " " * (prefix[:QUERY_CHARS][-1:].isspace())
        typed = typed if typed.strip() else ""
        found = self._best([self._range(typed)], k)
        if len(found) < k and len(typed) - typed.rfind(" ") - 1 >= MIN_SLIP:
            near = self._best([self._range(slip) for slip in self._slips(typed)], k + len(found))
            found += [at for at in near if at not in found][: k - len(found)]
        return [self._texts[at] for at in found]

    def save(self, path: Path) -> None:
        columns.save_dataclass(path, self)

    @cached_property
    def _texts(self) -> list[str]:
        return [str(text) for text in self.text]

    def _range(self, prefix: str) -> tuple[int, int]:
        return bisect_left(self._texts, prefix), bisect_left(self._texts, prefix + _END)

    def _best(self, ranges: Iterable[tuple[int, int]], k: int) -> list[int]:
        """Indices of the k best of all ranges: those as good as the k-th are all sorted, so ties do not hang on the partition."""
        parts = [np.arange(low, high) for low, high in sorted(set(ranges))]
        at = np.unique(np.concatenate([np.empty(0, np.int64), *parts]))
        if len(at) > k > 0:
            at = at[self.score[at] >= np.partition(self.score[at], len(at) - k)[len(at) - k]]
        return [int(index) for index in at[np.argsort(-self.score[at], kind="stable")][: max(k, 0)]]

    def _slips(self, typed: str) -> Iterator[str]:
        """Prefixes one edit of the last word away. Letters to put in are those the sorted texts go on with there: no alphabet is needed."""
        for at in range(typed.rfind(" ") + 1, len(typed)):
            before, here, rest = typed[:at], typed[at], typed[at + 1 :]
            yield before + rest
            if rest:
                yield before + rest[0] + here + rest[1:]
            for letter in self._next(before):
                yield before + letter + rest
                yield before + letter + here + rest

    def _next(self, prefix: str) -> Iterator[str]:
        """The letters that follow a prefix, each once, a jump from one to the next."""
        at, end = self._range(prefix)
        while at < end:
            if len(self._texts[at]) == len(prefix):
                at += 1
                continue
            letter = self._texts[at][len(prefix)]
            yield letter
            at = bisect_left(self._texts, prefix + letter + _END, at, end)


def load(path: Path) -> Suggestions:
    """What `save` wrote; a torn or foreign file is an InputError."""
    return columns.load_dataclass(path, Suggestions)
