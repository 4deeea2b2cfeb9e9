"""The people, from outside: they ask for a page and read some of it.

In:     config and a stretch of time.
Out:    visits: each asks once, then reacts to the answer.
Choice: reading by the planted truth, whatever the platform scored.
Else:   a replay of logged reading, which cannot react to a new page.
Breaks: people who know the model: import-linter keeps this file away from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.contract import Event
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Answer, Request


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    rng = np.random.default_rng([config.seed, since])
    num_visits = max(1, (until - since) * config.num_impressions // (config.page * config.days * 86_400))
    event_time, user_id = np.sort(rng.integers(since, until, num_visits)), rng.integers(0, config.num_users, num_visits)
    for time, user, seed in zip(
        event_time.tolist(), user_id.tolist(), rng.integers(0, 2**31, num_visits).tolist(), strict=True
    ):
        yield Visit(time, user, seed, config)


@dataclass(frozen=True)
class Visit:
    event_time: int
    user_id: int
    seed: int
    config: Config

    def request(self) -> Request:
        return Request(user_id=self.user_id)

    def react(self, answer: Answer) -> list[Event]:
        from tests.toy.ranker import world

        books = np.array([book.book_id for book in answer.books], dtype=np.int64)
        chance = world.probability(self.config, np.full(len(books), self.user_id), books)
        read = books[np.random.default_rng(self.seed).random(len(books)) < chance]
        return [self._reads(answer.request_id, book) for book in read.tolist()]

    def _reads(self, request_id: int, book_id: int) -> Event:
        keys = {"request_id": request_id, "user_id": self.user_id, "book_id": book_id}
        at = self.event_time + self.config.read_after_seconds
        return Event(event_id=f"read-{request_id}-{book_id}", kind="read", event_time=at, keys=keys)
