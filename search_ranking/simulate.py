"""The platform's searchers, from outside: they ask in their own words, read from the top, click, and come back less when they find nothing.

In:     a Config and a stretch of time.
Out:    visits in order of time; each knows its request and how it will react to an answer.
Choice: reactions by the planted truth for whatever is shown, so a new ranking meets people who react to it.
Else:   a replay of the log, which knows nothing of documents it did not show.
Breaks: a page that looks right and answers nothing: it is clicked once, and its searchers stay away; no log of single pages shows that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event, Floats
from common.errors import InputError, did_you_mean
from common.population import Population
from search_ranking.config import Config
from search_ranking.schema import SHOWN, Answer, Request, Result

if TYPE_CHECKING:
    from search_ranking.world.needs import Queries

DRIFTS: Mapping[str, str] = {
    "none": "people go on as in the log",
    "other_words": "overnight nobody says the plain word for a thing any more: all take to those of people who know about it",
    "clicks_lost": "two clicks in three never arrive: the tracking is broken",
    "new_needs": "half of the searches are for what nobody asked for before",
}
DAY = 86_400
NEW = 1_000_000  # ids of queries that no log has


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    """About as many searches a day as the log had, day by day, from `since` up to but without `until` (seconds UTC); fewer once people find
    nothing."""
    if config.drift not in DRIFTS:
        raise InputError(f"drift={config.drift!r}. {did_you_mean(config.drift, DRIFTS)}")
    from search_ranking.world import needs, wording

    people, memory = Population(config.seed), Memory()
    said_as = (
        (1.0, wording.CHANNEL_FORMS) if config.drift == "other_words" else (config.mismatch, wording.SEARCHER_FORMS)
    )
    known = needs.queries(config.seed, np.arange(config.num_queries))
    texts = wording.query_texts(config.seed, known, *said_as)
    activity = people.activity(np.arange(config.num_users))
    for start in range(since, until, DAY):
        stretch = min(DAY, until - start)
        rng = np.random.default_rng([config.seed, 4, start])
        num = rng.poisson(config.num_sessions / config.days * stretch / DAY)
        users = rng.choice(config.num_users, num, p=activity / activity.sum())
        asked = rng.choice(config.num_queries, num, p=known.traffic / known.traffic.sum())
        new = rng.random(num) < (0.5 if config.drift == "new_needs" else 0.0)
        other = needs.queries(config.seed, NEW + start // DAY * 10_000 + np.arange(num))
        said = np.where(new, wording.query_texts(config.seed, other, *said_as), texts[asked])
        times = np.sort(start + rng.integers(0, stretch, num))
        seeds, chance = rng.integers(0, 2**62, num), rng.random(num)
        for i in range(num):
            if chance[i] < memory.comes_back(int(users[i])):
                need = other.take(np.array([i])) if new[i] else known.take(asked[[i]])
                yield Visit(int(times[i]), int(users[i]), str(said[i]), need, int(seeds[i]), config, memory)


@dataclass
class Memory:
    """What searchers carry from visit to visit: how well they were answered."""

    answered: dict[int, float] = field(default_factory=dict)

    def comes_back(self, user_id: int) -> float:
        """P(a visit happens): 1 for the content, down to a half for those who find nothing."""
        return float(np.clip(0.5 + 2.0 * self.answered.get(user_id, 0.25), 0.5, 1.0))


@dataclass(frozen=True)
class Visit:
    """One person, one search. `need` [1] is what they mean by `query`; `seed` decides everything that chance decides."""

    event_time: int
    user_id: int
    query: str
    need: Queries
    seed: int
    config: Config
    memory: Memory

    def request(self) -> Request:
        people, user_id = Population(self.config.seed), np.array([self.user_id])
        return Request(
            user_id=self.user_id,
            query=self.query,
            page_size=self.config.page_size,
            age=int(people.age(user_id)[0]),
            country=int(people.country(user_id)[0]),
        )

    def react(self, answer: Answer) -> list[Event]:
        """Reads the page from the top. A click is reported when the person is back from it."""
        if not answer.results:
            self._remember(np.zeros(1))
            return []
        from search_ranking.world import history, nature, needs

        rng = np.random.default_rng(self.seed)
        ids = np.array([result.doc_id for result in answer.results])
        shown = nature.documents(self.config.seed, ids, self.config.days)
        wanted = self.need.take(np.zeros(len(ids), np.int64))
        grade, gain = needs.grades_of(wanted, shown).astype(float), needs.gains_of(wanted, shown)
        self._remember(gain)
        how = history.Behaviour(self.config.steepness, self.config.cascade, self.config.trust)
        clicky = history.clicky(self.config.seed, np.array([self.user_id]))
        _, clicked = history.react(rng, grade[None], shown.catchy[None], clicky, how)
        dwell = history.dwell(rng, gain, shown.length)
        lost = rng.random(len(ids)) < (2 / 3 if self.config.drift == "clicks_lost" else 0.0)
        events, time = [], self.event_time
        for place in np.flatnonzero(clicked[0]).tolist():
            time += 1 + int(dwell[place])
            if not lost[place]:
                long = dwell[place] >= min(30.0, 0.5 * shown.length[place])
                events.append(self._click(answer.request_id, answer.results[place], time, int(dwell[place]), int(long)))
        return events

    def _remember(self, gain: Floats) -> None:
        before = self.memory.answered.get(self.user_id, 0.25)
        self.memory.answered[self.user_id] = 0.7 * before + 0.3 * float(gain.mean())

    def _click(self, request_id: int, result: Result, time: int, dwell: int, satisfied: int) -> Event:
        from common.features.text import normalise
        from search_ranking.schema import query_id

        keys = (request_id, self.user_id, query_id(normalise(self.query)), result.doc_id)
        return Event(
            event_id=f"click-{request_id}-{result.slot}",
            kind="click",
            event_time=time,
            keys=dict(zip(SHOWN, keys, strict=True)),
            values={"dwell_seconds": dwell, "satisfied": satisfied},
        )
