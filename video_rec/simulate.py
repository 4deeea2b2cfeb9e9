"""The platform's viewers, from outside: they ask for a feed, watch, like, hide, tire, and come back less when it bores them.

In:     a Config and a stretch of time.
Out:    visits in order of time; each knows its request and how it will react to an answer. uploads: the videos that creators add meanwhile.
Choice: reactions by the planted truth for whatever is shown, so a new policy meets people who react to it.
Else:   a replay of the log, which knows nothing of videos it did not show.
Breaks: a feed full of one topic: it pleases once, then tires, and its viewers stay away; no log of single impressions shows that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Event, Floats
from common.errors import InputError, did_you_mean
from common.population import Population
from video_rec.config import Config
from video_rec.schema import SHOWN, Answer, Catalog, Item, Request, ShownVideo

if TYPE_CHECKING:
    from video_rec.world.nature import Videos

DRIFTS: Mapping[str, str] = {
    "none": "people go on as in the log",
    "taste_shift": "everyone's taste moves on to other topics overnight",
    "watches_lost": "two watches in three never arrive: the tracking is broken",
    "new_viewers": "half of the visits are by people who never came before",
}
COLD = 0.03  # share of visits by people who never came before
DAY = 86_400
UPLOADS = 100  # made at once
UPLOADED_DAYS = 40  # before the log begins the oldest video of the catalogue was uploaded
FADES = 4 * 3_600  # seconds in which tiredness halves


def visits(config: Config, since: int, until: int) -> Iterator[Visit]:
    """About as many a day as the log had, day by day, from `since` up to but without `until` (seconds UTC); fewer once people are bored."""
    if config.drift not in DRIFTS:
        raise InputError(f"drift={config.drift!r}. {did_you_mean(config.drift, DRIFTS)}")
    from video_rec.world.history import FEED

    people, memory = Population(config.seed), Memory()
    activity = people.activity(np.arange(config.num_users))
    for start in range(since, until, DAY):
        stretch = min(DAY, until - start)
        rng = np.random.default_rng([config.seed, 4, start])
        num_visits = rng.poisson(config.num_impressions / FEED / config.days * stretch / DAY)
        cold = rng.random(num_visits) < (0.5 if config.drift == "new_viewers" else COLD)
        usual = rng.choice(config.num_users, num_visits, p=activity / activity.sum())
        users = np.where(cold, config.num_users + rng.integers(0, 10**6, num_visits), usual)
        times = np.sort(start + rng.integers(0, stretch, num_visits))
        seeds, chance = rng.integers(0, 2**62, num_visits), rng.random(num_visits)
        for user_id, time, seed, u in zip(users.tolist(), times.tolist(), seeds.tolist(), chance.tolist(), strict=True):
            if u < memory.comes_back(user_id):
                yield Visit(time, user_id, seed, config, memory)


def uploads(config: Config, since: int, until: int) -> Iterator[tuple[int, Item]]:
    """(when, what) in order of time, from `since` up to but without `until`: as many a day as before training, evenly from where the catalogue
    ends, and ids that go on from its last. What a video is like is a function of (seed, id), as ever."""
    from video_rec import world
    from video_rec.world import nature

    began = nature.START + nature.TEST_FROM * config.days * DAY
    pace = DAY * (UPLOADED_DAYS + nature.TEST_FROM * config.days) / config.num_videos  # seconds from one to the next
    for first in count(max(0, int(np.ceil((since - began) / pace))), UPLOADS):
        place = first + np.arange(UPLOADS)
        when, ids = (began + place * pace).astype(np.int64), config.num_videos + place
        truth = replace(nature.videos(config.seed, ids, config.days), uploaded=when)
        yield from zip(when[when < until].tolist(), _items(world.described(config.seed, ids, truth)), strict=False)
        if when[-1] >= until:
            return


def _items(catalog: Catalog) -> list[Item]:
    whole = {**vars(catalog), **catalog.numbers, **catalog.categories}
    columns = {one.name: whole[one.name] for one in fields(Item)}
    columns |= {name: columns[name].astype(np.int64) for name in ("length_seconds", "uploaded")}
    columns["explicit"] = columns["explicit"] > 0
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [Item(**dict(zip(columns, row, strict=True))) for row in rows]


@dataclass
class Memory:
    """What viewers carry from visit to visit: how much of each topic they have just had, and how satisfied they were."""

    tired: dict[int, tuple[int, Floats]] = field(default_factory=dict)
    satisfied: dict[int, float] = field(default_factory=dict)

    def tiredness(self, user_id: int, time: int, num_topics: int) -> Floats:
        since, level = self.tired.get(user_id, (time, np.zeros(num_topics)))
        faded: Floats = level * 0.5 ** ((time - since) / FADES)
        return faded

    def comes_back(self, user_id: int) -> float:
        """P(a visit happens): 1 for the content, down to a half for the bored."""
        return float(np.clip(0.5 + 2.0 * self.satisfied.get(user_id, 0.25), 0.5, 1.0))


@dataclass(frozen=True)
class Visit:
    """One viewer, one feed. `seed` decides everything that chance decides."""

    event_time: int
    user_id: int
    seed: int
    config: Config
    memory: Memory

    def request(self) -> Request:
        people, user_id = Population(self.config.seed), np.array([self.user_id])
        return Request(
            user_id=self.user_id,
            feed_size=self.config.feed_size,
            age=int(people.age(user_id)[0]),
            country=int(people.country(user_id)[0]),
        )

    def react(self, answer: Answer) -> list[Event]:
        """Goes down the feed. A watch is reported when it ends, a like or a hide a second later."""
        from video_rec.world import nature

        if not answer.videos:
            return []
        rng = np.random.default_rng(self.seed)
        shown = nature.videos(self.config.seed, np.array([video.video_id for video in answer.videos]), self.config.days)
        gain = self._gain(shown)
        slot = np.arange(len(gain))
        did = nature.react(gain, shown, slot, rng.random((len(gain), nature.DRAWS)))
        self._remember(gain, shown, did.clicked)
        reported = did.clicked * (rng.random(len(gain)) < (1 / 3 if self.config.drift == "watches_lost" else 1))
        events, time = [], self.event_time
        for place, video in enumerate(answer.videos):
            time += 1 + int(did.watch_seconds[place])
            values = {"watch_seconds": int(did.watch_seconds[place]), "completed": int(did.completed[place])}
            if reported[place]:
                events.append(self._event("watch", answer.request_id, video, time, values))
            if did.liked[place]:
                events.append(self._event("like", answer.request_id, video, time + 1, {}))
            if did.shared[place]:
                events.append(self._event("share", answer.request_id, video, time + 1, {}))
            if did.hidden[place]:
                events.append(self._event("hide", answer.request_id, video, time + 1, {}))
        return events

    def _gain(self, shown: Videos) -> Floats:
        """The planted satisfaction of each video shown, as tired as this viewer is of the topics of his last visits."""
        from video_rec.world import nature

        viewer = nature.viewers(
            self.config.seed, np.array([self.user_id]), np.array([self.event_time]), spread=self.config.taste_spread
        )
        if self.config.drift == "taste_shift":
            viewer = replace(viewer, taste=np.roll(viewer.taste, 5, axis=1))
        tired = self.memory.tiredness(self.user_id, self.event_time, shown.mix.shape[1])
        return nature.gains(viewer, shown, tired[None])

    def _remember(self, gain: Floats, shown: Videos, clicked: Floats) -> None:
        tired = self.memory.tiredness(self.user_id, self.event_time, shown.mix.shape[1])
        self.memory.tired[self.user_id] = (self.event_time, tired + clicked @ shown.mix)
        before = self.memory.satisfied.get(self.user_id, 0.25)
        self.memory.satisfied[self.user_id] = 0.7 * before + 0.3 * float(gain.mean())

    def _event(self, kind: str, request_id: int, video: ShownVideo, time: int, values: Mapping[str, int]) -> Event:
        return Event(
            event_id=f"{kind}-{request_id}-{video.slot}",
            kind=kind,
            event_time=time,
            keys=dict(zip(SHOWN, (request_id, self.user_id, video.video_id, video.creator_id), strict=True)),
            values=values,
        )
