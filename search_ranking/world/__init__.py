"""The planted truth: what documents are about, what searchers need, what the old engine showed them, and what they clicked on.

In:     a Config.
Out:    make(config) -> World: documents with their texts and image embeddings, queries with theirs, the log, the true gain of any pair;
        ceiling(config).
Choice: documents and queries are functions of (seed, id), relevance of their meaning and never of their words; the log is drawn day by day.
Else:   a public click log: it cannot say what would have been relevant that nobody was shown.
Breaks: a text or number that gives the grade away, words deciding relevance, a click curve that is not the planted one: test_world.py.

Gain in [0, 1] is the worth of the grade times a bounded factor for quality. What draws the click is the grade, the place and a catchy title.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints, Ranking
from search_ranking.config import Config
from search_ranking.schema import Requests
from search_ranking.world.history import PLANTED, Behaviour, Log, Truth, simulate
from search_ranking.world.nature import START, TEST_FROM, Documents, documents, embeddings
from search_ranking.world.needs import Queries, gain, gains_of, queries, relevance
from search_ranking.world.wording import MISMATCH, Texts, query_texts, texts

__all__ = [
    "START",
    "TEST_FROM",
    "Behaviour",
    "Ceiling",
    "Documents",
    "Log",
    "Queries",
    "Texts",
    "World",
    "built",
    "ceiling",
    "make",
    "unshared",
]


def make(config: Config) -> World:
    """The world of this config; kept, because data, judgments and ceiling all look at the same one."""
    return built(
        seed=config.seed,
        num_docs=config.num_docs,
        num_queries=config.num_queries,
        num_sessions=config.num_sessions,
        days=config.days,
        num_users=config.num_users,
        mismatch=config.mismatch,
        behaviour=Behaviour(config.steepness, config.cascade, config.trust, config.swapped),
    )


def ceiling(config: Config) -> Ceiling:
    return Ceiling(make(config))


@dataclass(frozen=True, kw_only=True)
class World:
    """The platform as it is. Documents and queries have the ids 0, 1, ..."""

    seed: int
    days: int
    documents: Documents
    texts: Texts
    embedding: Floats  # [num_docs, DIM] of a frozen image encoder
    queries: Queries
    query_text: NDArray[np.str_]
    log: Log
    truth: Truth

    def meant(self, user_id: Ints, event_time: Ints) -> Ints:
        """[n] the query behind each search of the log: one text may stand for two needs, who asked it when is one search."""
        log, first = self.log, self.log.slot == 0
        keys = zip(log.user_id[first].tolist(), log.event_time[first].tolist(), strict=True)
        asked = dict(zip(keys, log.query_id[first].tolist(), strict=True))
        return np.array([asked[key] for key in zip(user_id.tolist(), event_time.tolist(), strict=True)], dtype=np.int64)

    def gain(self, query_ids: Ints, ids: Ints) -> Floats:
        """query_ids [n], ids [n, k] -> [n, k] in [0, 1]; 0 for id -1."""
        rows, places = np.nonzero(ids >= 0)
        values = np.zeros(ids.shape)
        found = self.documents.take(ids[rows, places])
        values[rows, places] = gains_of(self.queries.take(query_ids[rows]), found)
        return values


@dataclass(frozen=True)
class Ceiling:
    """Ranks by the true gain. It knows needs and qualities no model can observe; nothing can do better than it by `expected_gain`."""

    world: World

    def rank(self, requests: Requests, k: int) -> Ranking:
        """The k documents of greatest true gain for each search of the log, before any rule."""
        return self.of(self.world.meant(requests.user_id, requests.event_time), k)

    def of(self, query_ids: Ints, k: int, allowed: Bools | None = None) -> Ranking:
        """The k documents of greatest true gain for each query, before any rule; `allowed` [num_docs] leaves the others out."""
        world = self.world
        places = np.arange(len(world.documents)) if allowed is None else np.flatnonzero(allowed)
        among, k = world.documents.take(places), min(k, len(places))
        ids, scores = np.empty((len(query_ids), k), np.int64), np.empty((len(query_ids), k))
        for first in range(0, len(query_ids), 64):  # in blocks, for memory
            every = gain(world.queries.take(query_ids[first : first + 64]), among)
            for row, gains in enumerate(every, first):
                best = np.argpartition(-gains, k - 1)[:k]
                best = best[np.lexsort((best, -gains[best]))]
                ids[row], scores[row] = places[best], gains[best]
        return Ranking(ids=ids, scores=scores)


@lru_cache(maxsize=2)
def built(*, seed: int, num_docs: int, num_queries: int, num_sessions: int, days: int, num_users: int, mismatch: float = MISMATCH, behaviour: Behaviour = PLANTED) -> World:  # fmt: skip
    """The world of these numbers.

    `mismatch` in [0, 1]: how far makers and searchers use other words for the same. `behaviour`: how people read and click.
    """
    of, needs = documents(seed, np.arange(num_docs), days), queries(seed, np.arange(num_queries))
    written, typed = texts(seed, of, mismatch), query_texts(seed, needs, mismatch)
    log, truth = simulate(seed, num_users, num_sessions, days, of, written.title, needs, typed, behaviour)
    return World(
        seed=seed, days=days, documents=of, texts=written, embedding=embeddings(seed, of), queries=needs, query_text=typed, log=log, truth=truth
    )  # fmt: skip


def unshared(asked: Queries, typed: NDArray[np.str_], of: Documents, written: Texts, least: int = 3) -> tuple[Ints, Ints]:  # fmt: skip
    """Queries and their texts, documents and theirs -> [num_queries] each: how many documents have at least that grade, and how many of them
    share no word with the query, in lower case."""
    wanted = relevance(asked, of) >= least
    parts = zip(written.title.tolist(), written.description.tolist(), written.tags.tolist(), strict=True)
    has = [frozenset(" ".join(part).lower().split()) for part in parts]
    strange = []
    for text, row in zip(typed.tolist(), wanted, strict=True):
        words = frozenset(text.lower().split())
        strange.append(sum(words.isdisjoint(has[place]) for place in np.flatnonzero(row)))
    return wanted.sum(axis=1), np.array(strange)
