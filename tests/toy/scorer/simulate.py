"""The people, from outside: a letter reaches them, announced or not, and some open it.

In:     config and a stretch of time.
Out:    visits: each asks once, then reacts to the answer.
Choice: reactions by the planted truth, whatever the platform predicted; a notification changes nobody's mind.
Else:   a replay of logged mail, which cannot react to a new policy.
Breaks: people who know the model: import-linter keeps this file away from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.contract import Event
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Answer, Request


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    from tests.toy.scorer import world

    rng = np.random.default_rng([config.seed, since])
    num_visits = max(1, (until - since) * config.num_mails // (config.days * 86_400))
    event_time = np.sort(rng.integers(since, until, num_visits))
    user_id, letter_id = rng.integers(0, config.num_users, num_visits), rng.integers(0, config.num_letters, num_visits)
    opens = rng.random(num_visits) < world.probability(config, user_id, letter_id)
    for time, user, letter, opened in zip(
        event_time.tolist(), user_id.tolist(), letter_id.tolist(), opens.tolist(), strict=True
    ):
        yield Visit(time, user, letter, time + config.open_after_seconds if opened else None)


@dataclass(frozen=True)
class Visit:
    event_time: int
    user_id: int
    letter_id: int
    opens_at: int | None

    def request(self) -> Request:
        return Request(user_id=self.user_id, letter_id=self.letter_id)

    def react(self, answer: Answer) -> list[Event]:
        if self.opens_at is None:
            return []
        keys = {"request_id": answer.request_id, "user_id": self.user_id, "letter_id": self.letter_id}
        return [Event(event_id=f"open-{answer.request_id}", kind="open", event_time=self.opens_at, keys=keys)]
