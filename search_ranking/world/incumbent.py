"""The old search engine: words of the query found in titles, weighted by rarity, plus popularity, plus a shake. Nothing else.

It spells nothing right, knows no synonym, no description, tag or image. What it cannot fill it fills with what is popular.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from search_ranking.world.nature import Documents

SHOWN = 10  # results a request
POOL = 40  # candidates a query
COMMON = 0.05  # words in more than this share of the titles say nothing
LEXICAL, POPULAR, SHAKE = 0.6, 0.35, 0.7  # weight of the rarity matched, of log popularity, of the chance in every list
FEEDBACK = 20.0  # views a click counts for


class Incumbent:
    """Candidates of every query once; their order anew for every request, by the popularity so far."""

    def __init__(self, of: Documents, titles: NDArray[np.str_], query_texts: NDArray[np.str_]) -> None:
        self.of, self.popularity = of, of.views.astype(float)
        prior = np.log1p(self.popularity)
        allowed = of.explicit == 0
        popular = np.argsort(-np.where(allowed, prior, -1.0), kind="stable")[:POOL]
        postings = _postings(titles, allowed)
        self.pool = np.empty((len(query_texts), min(POOL, len(of))), np.int64)
        self.lexical = np.zeros(self.pool.shape)
        for row, text in enumerate(query_texts.tolist()):
            ids, match = _matches(text, postings, len(of))
            best = np.argsort(-(LEXICAL * match + POPULAR * prior[ids]), kind="stable")[: self.pool.shape[1]]
            self.pool[row, : len(best)] = ids[best]
            if len(best) < self.pool.shape[1]:
                rest = popular[~np.isin(popular, ids[best])]
                self.pool[row, len(best) :] = rest[: self.pool.shape[1] - len(best)]
            self.lexical[row, : len(best)] = match[best]

    def answer(self, asked: Ints, times: Ints, age: Ints, country: Ints, rng: np.random.Generator) -> Ints:
        """[n, SHOWN] documents, -1 pads: the best by match, popularity and a Gumbel shake, so any order of the pool can happen."""
        pool, of = self.pool[asked], self.of
        lawful = (of.min_age[pool] <= age[:, None]) & ((of.barred_in[pool] >> country[:, None]) & 1 == 0)
        lawful &= (of.uploaded[pool] <= times[:, None]) & (of.explicit[pool] == 0)
        score = LEXICAL * self.lexical[asked] + POPULAR * np.log1p(self.popularity)[pool]
        score = np.where(lawful, score + SHAKE * rng.gumbel(size=score.shape), -np.inf)
        best = np.argsort(-score, axis=1, kind="stable")[:, :SHOWN]
        return np.where(np.take_along_axis(lawful, best, axis=1), np.take_along_axis(pool, best, axis=1), -1)

    def learn(self, clicked: Ints) -> None:
        """Popularity feeds itself: what was shown is clicked on, and shown again."""
        np.add.at(self.popularity, clicked, FEEDBACK)


def _postings(titles: NDArray[np.str_], allowed: NDArray[np.bool_]) -> dict[str, Ints]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(allowed).tolist():
        for word in set(str(titles[row]).lower().split()):
            found[word].append(row)
    return {word: np.array(rows) for word, rows in found.items() if len(rows) <= COMMON * len(titles)}


def _matches(text: str, postings: dict[str, Ints], num_docs: int) -> tuple[Ints, Floats]:
    """Documents with a word of the query in the title, and the sum of log(N / df) of those words."""
    lists = [postings[word] for word in dict.fromkeys(text.lower().split()) if word in postings]
    if not lists:
        return np.empty(0, np.int64), np.empty(0)
    ids, place = np.unique(np.concatenate(lists), return_inverse=True)
    rarity = np.repeat([np.log(num_docs / len(rows)) for rows in lists], [len(rows) for rows in lists])
    return ids, np.bincount(place, rarity).astype(np.float64)
