"""Small worlds, and the policies that play them: the incumbent, the best of any scores, a share left to chance.

In:     a small world; scores of its catalogue.
Out:    Incumbent, Ranked(scores), Exploring(policy): policies for online.play, each with the probability of what it drew; logged: a log and its viewers.
Choice: the rules of the case in arrays: allowed, not watched, at most so many a creator.
Else:   policy.Policy, request by request, which knows more rules.
Breaks: a propensity that is not the frequency with which a video is drawn (test_gap.py counts).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from video_rec import data, features, world
from video_rec.config import Config
from video_rec.experiments import online
from video_rec.experiments.online import DAY, Log, Policy, Seen, State
from video_rec.world import START, World, history

Scores = Callable[[Seen, Ints], NDArray[np.floating]]
"""(what is known, users [n]) -> [n, num_videos]"""
USERS, VIDEOS, IMPRESSIONS, DAYS = 500, 800, 50_000, 14


@dataclass(frozen=True)
class Lab:
    """One small world."""

    config: Config
    world: World
    features: features.Features

    @property
    def end(self) -> int:
        return START + self.config.days * DAY


def labs(config: Config, num_worlds: int, **sizes: int) -> list[Config]:
    """As many small worlds, no larger than the config's."""
    wanted = {"num_users": USERS, "num_videos": VIDEOS, "num_impressions": IMPRESSIONS} | sizes
    small = {name: min(size, getattr(config, name)) for name, size in wanted.items()}
    return [
        replace(config, **small, data="world", days=DAYS, seed=config.seed + number) for number in range(num_worlds)
    ]


def opened(config: Config) -> Lab:
    return Lab(config, world.make(config), features.fit(data.load(config), config))


class Incumbent:
    """The old recommender of world/history, with a knob: `chance` of the slots show anything; the rest is in halves popular and by the creator
    watched last (popular where there is none). A draw that is not allowed leaves its slot empty."""

    def __init__(self, lab: Lab, chance: float) -> None:
        self.lab, self.chance = lab, chance
        self.creator = lab.world.catalog.creator_id
        self.watches = np.zeros(len(self.creator))
        self.order = np.argsort(self.creator, kind="stable")
        self.first = np.searchsorted(self.creator[self.order], self.creator)
        self.size = np.bincount(self.creator)[self.creator]

    def feed(self, seen: Seen, users: Ints, times: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
        catalog, shape = self.lab.world.catalog, (len(users), history.FEED)
        there = (catalog.explicit == 0) & (catalog.numbers["uploaded"] <= times.min())
        popular = there * (self.watches + 1.0) / (there * (self.watches + 1.0)).sum()
        last = seen.recent[users, 0]
        same = np.where(last >= 0, (1 - self.chance) / 2, 0.0)[:, None]
        kind, u, anything = rng.random(shape), rng.random(shape), np.flatnonzero(there)
        fellow = self.order[self.first[last][:, None] + (u * self.size[last][:, None]).astype(np.int64)]
        ids = np.minimum(np.searchsorted(popular.cumsum(), u), len(popular) - 1)
        ids = np.where(kind < self.chance, anything[(u * len(anything)).astype(np.int64)], ids)
        ids = np.where(kind >= 1 - same, fellow, ids)
        of_same = (self.creator[ids] == self.creator[last][:, None]) / self.size[last][:, None]
        propensity = self.chance / len(anything) + (1 - self.chance - same) * popular[ids] + same * of_same
        may = there[ids] & online.lawful(self.lab.world, users, ids) & ~seen.watched[users[:, None], ids]
        keep = may & (online.repeats(ids) == 0)
        return np.where(keep, ids, -1), np.where(keep, propensity, 0.0)

    def learn(self, log: Log) -> None:
        self.watches += np.bincount(log.video, log.clicked, len(self.watches))


def logged(lab: Lab, chance: float) -> tuple[Log, State]:
    """The days of the log under an incumbent, in order of viewer, time and slot; and the viewers as they are afterwards."""
    config = lab.config
    incumbent, state = Incumbent(lab, chance), online.fresh(config.num_users, config.num_videos)
    visits, rng = online.schedule(config, START, lab.end, 0), np.random.default_rng([config.seed, 12])
    found, before = [], 0
    for day in range(config.days):
        part = visits.between(START + day * DAY, START + (day + 1) * DAY)
        log = online.play(lab.world, incumbent, part, state, rng)
        incumbent.learn(log)
        found.append(replace(log, visit=log.visit + before))
        before += len(part.user)
    log = online.join(found)
    return log.take(np.lexsort((log.slot, log.time, log.user))), state


@dataclass(frozen=True)
class Ranked:
    """The best `size` of the whole catalogue that are allowed, at most `cap` by one creator."""

    lab: Lab
    scores: Scores
    cap: int
    size: int = 20

    def feed(self, seen: Seen, users: Ints, times: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
        may = online.allowed(self.lab.world, seen, users, times)
        ids = online.best(np.where(may, self.scores(seen, users), -np.inf), self.lab.features.creator_id, self.size, self.cap)  # fmt: skip
        return ids, np.ones(ids.shape)


@dataclass(frozen=True)
class Exploring:
    """Gives `share` of a policy's slots to chance, each allowed video alike; with `among` [num_videos], each of those. A viewer to whom none of
    them may be shown keeps the policy's."""

    lab: Lab
    policy: Policy
    share: float
    among: Bools | None = None

    def feed(self, seen: Seen, users: Ints, times: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
        ids, propensity = self.policy.feed(seen, users, times, rng)
        may = online.allowed(self.lab.world, seen, users, times)
        may &= True if self.among is None else self.among
        size = may.sum(axis=1)[:, None]
        share = np.where(size > 0, self.share, 0.0)
        found = np.where(rng.random(ids.shape) < share, _draw(may, ids.shape[1], rng), ids)
        by_chance = np.where(np.take_along_axis(may, found, 1), share / np.maximum(size, 1), 0.0)
        lawful = (found >= 0) & (online.repeats(found) == 0)
        told = by_chance + np.where(found == ids, (1 - share) * propensity, 0.0)
        return np.where(lawful, found, -1), np.where(lawful, told, 0.0)


def _draw(may: Bools, k: int, rng: np.random.Generator) -> Ints:
    """[n, k] of the marked columns of each row, each alike."""
    number = (rng.random((len(may), k)) * may.sum(axis=1)[:, None]).astype(np.int64)
    places = np.argsort(~may, axis=1, kind="stable")
    return np.take_along_axis(places, number, 1)
