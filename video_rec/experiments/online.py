"""Weeks of the platform under any policy, many viewers at once: they ask, watch, tire, and come back less when it bores them.

In:     a world, a policy, visits.
Out:    play(...) -> Log: everything shown, how much it pleased and what followed; the state moves on.
Choice: the rules of simulate.Visit and its Memory, round by round: in a round every viewer visits at most once, so a round is a few array
        operations. test_gap.py plays the same visits both ways and wants the same reactions and the same memory.
Else:   simulate.visits over HTTP: the same people through the real service, a thousand times slower.
Breaks: a policy that sees what only the planted truth knows: it is given `Seen`, never `Crowd`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from common.contract import Bools, Floats, Ints
from common.population import Population, uniform
from video_rec import simulate
from video_rec.config import Config
from video_rec.world import World, nature
from video_rec.world.nature import DRAWS

HISTORY = 20  # watches a viewer is described by
DAY, WEEK = 86_400, 7 * 86_400


class Policy(Protocol):
    def feed(self, seen: Seen, users: Ints, times: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """-> ids [n, k], -1 pads, and the probability with which each was drawn for its slot (1 where nothing was drawn)."""
        ...


@dataclass
class Seen:
    """What the platform knows of its viewers: `watched` [num_users, num_videos]; `recent` and `pleased` (watched to the end or liked)
    [num_users, HISTORY], newest first, -1 pads."""

    watched: Bools
    recent: Ints
    pleased: Ints

    @classmethod
    def of(cls, log: Log, num_users: int, num_videos: int) -> Seen:
        """What a log tells, whatever order it is in."""
        seen = fresh(num_users, num_videos).seen
        rows = log.take(np.lexsort((-log.slot, -log.time, log.user)))
        for which, into in ((rows.clicked > 0, seen.recent), (rows.pleased > 0, seen.pleased)):
            user, video = rows.user[which], rows.video[which]
            place = np.arange(len(user)) - np.searchsorted(user, user)
            kept = place < HISTORY
            into[user[kept], place[kept]] = video[kept]
        seen.watched[rows.user[rows.clicked > 0], rows.video[rows.clicked > 0]] = True
        return seen

    def note(self, users: Ints, ids: Ints, clicked: Bools, pleased: Bools) -> None:
        """users [n] distinct, the rest [n, k]: what they watched in the feed they were just shown."""
        rows, places = np.nonzero(clicked)
        self.watched[users[rows], ids[rows, places]] = True
        self.recent[users] = _newest(self.recent[users], ids, clicked)
        self.pleased[users] = _newest(self.pleased[users], ids, pleased)


@dataclass
class Crowd:
    """What only the viewers know: how much of each topic they have had and when, how satisfied they are. As simulate.Memory."""

    tired: Floats  # [num_users, num_topics]
    since: Ints
    satisfied: Floats

    def tiredness(self, users: Ints, times: Ints) -> Floats:
        faded: Floats = self.tired[users] * 0.5 ** ((times - self.since[users]) / simulate.FADES)[:, None]
        return faded

    def comes_back(self, users: Ints) -> Floats:
        chance: Floats = np.clip(0.5 + 2.0 * self.satisfied[users], 0.5, 1.0)
        return chance

    def remember(self, users: Ints, times: Ints, tired: Floats, had: Floats, pleased: Floats) -> None:
        self.tired[users], self.since[users] = tired + had, times
        self.satisfied[users] = 0.7 * self.satisfied[users] + 0.3 * pleased


@dataclass
class State:
    seen: Seen
    crowd: Crowd

    def copy(self) -> State:
        return deepcopy(self)


def fresh(num_users: int, num_videos: int, num_topics: int = Population.num_topics) -> State:
    """People of whom nobody knows anything."""
    nothing = np.full((num_users, HISTORY), -1)
    seen = Seen(np.zeros((num_users, num_videos), bool), nothing, nothing.copy())
    crowd = Crowd(np.zeros((num_users, num_topics)), np.zeros(num_users, np.int64), np.full(num_users, 0.25))
    return State(seen, crowd)


@dataclass(frozen=True)
class Visits:
    """[n] each, in order of time. A visit happens if `chance` is below its viewer's willingness to come back."""

    user: Ints
    time: Ints
    chance: Floats
    key: Ints  # what its reactions are drawn from: the same under every policy

    def between(self, since: int, until: int) -> Visits:
        keep = (self.time >= since) & (self.time < until)
        return Visits(self.user[keep], self.time[keep], self.chance[keep], self.key[keep])


def schedule(config: Config, since: int, until: int, seed: int) -> Visits:
    """As many a day as the world's log has, by how active people are."""
    from video_rec.world.history import FEED

    rng = np.random.default_rng([config.seed, 11, seed])
    n = rng.poisson(config.num_impressions / FEED / config.days * (until - since) / DAY)
    activity = Population(config.seed).activity(np.arange(config.num_users))
    user = rng.choice(config.num_users, n, p=activity / activity.sum())
    return Visits(user, np.sort(rng.integers(since, until, n)), rng.random(n), rng.integers(0, 2**62, n))


@dataclass(frozen=True)
class Log:
    """Everything shown, [n] each, and what followed. `pleased`: watched to the end or liked. `visit`: the place in Visits."""

    visit: Ints
    user: Ints
    video: Ints
    time: Ints
    slot: Ints
    propensity: Floats
    gain: Floats
    clicked: Floats
    completed: Floats
    liked: Floats
    hidden: Floats
    watch_seconds: Floats

    def take(self, rows: Ints | Bools) -> Log:
        return Log(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def pleased(self) -> Floats:
        return np.maximum(self.completed, self.liked)


def join(logs: list[Log]) -> Log:
    return Log(*(np.concatenate([getattr(log, f.name) for log in logs]) for f in fields(Log)))


def hashed(keys: Ints, width: int) -> Floats:
    """[n, width, DRAWS] numbers in (0, 1): chance, the same for a visit whoever makes its feed."""
    return uniform(0, "online", keys, width * DRAWS).reshape(len(keys), width, DRAWS)


def play(
    world: World,
    policy: Policy,
    visits: Visits,
    state: State,
    rng: np.random.Generator,
    draws: Callable[[Ints, int], Floats] = hashed,
) -> Log:
    """The visits of one stretch under one policy, which does not learn meanwhile. Moves `state` on."""
    found = []
    for expected in _rounds(visits.user):
        rows = expected[visits.chance[expected] < state.crowd.comes_back(visits.user[expected])]
        if len(rows):
            ids, propensity = policy.feed(state.seen, visits.user[rows], visits.time[rows], rng)
            found.append(_meet(world, visits, rows, ids, propensity, state, draws(visits.key[rows], ids.shape[1])))
    return join(found)


def _meet(world: World, visits: Visits, rows: Ints, ids: Ints, propensity: Floats, state: State, draws: Floats) -> Log:
    """Each of these viewers goes down the feed [n, k]."""
    user, time = visits.user[rows], visits.time[rows]
    tired = state.crowd.tiredness(user, time)
    at, slot = np.nonzero(ids >= 0)
    shown = take(world.truth, ids[at, slot])
    gain = nature.gains(nature.viewers(world.seed, user, time, spread=world.spread).take(at), shown, tired[at])
    did = nature.react(gain, shown, slot, draws[at, slot])
    clicked, had, sums = np.zeros(ids.shape, bool), np.zeros(tired.shape), np.zeros(len(rows))
    pleased = clicked.copy()
    clicked[at, slot], pleased[at, slot] = did.clicked > 0, did.completed + did.liked > 0
    np.add.at(had, at, did.clicked[:, None] * shown.mix)
    np.add.at(sums, at, gain)
    state.crowd.remember(user, time, tired, had, sums / np.maximum((ids >= 0).sum(axis=1), 1))
    state.seen.note(user, ids, clicked, pleased)
    return Log(
        visit=rows[at],
        user=user[at],
        video=ids[at, slot],
        time=time[at],
        slot=slot,
        propensity=propensity[at, slot],
        gain=gain,
        clicked=did.clicked,
        completed=did.completed,
        liked=did.liked,
        hidden=did.hidden,
        watch_seconds=did.watch_seconds,
    )


def satisfaction(log: Log, num_users: int, num_days: float) -> Floats:
    """[num_users] planted satisfaction a viewer has of the platform in a day: the mean gain of a visit's feed, summed over the visits there were."""
    per_row = log.gain / np.bincount(log.visit)[log.visit]
    return np.bincount(log.user, per_row, num_users) / num_days


def allowed(world: World, seen: Seen, users: Ints, times: Ints) -> Bools:
    """[n, num_videos]: uploaded, lawful for this viewer, not watched."""
    every = np.arange(len(world.catalog))[None]
    found: Bools = (world.catalog.numbers["uploaded"] <= times[:, None]) & lawful(world, users, every)
    return found & ~seen.watched[users]


def lawful(world: World, users: Ints, ids: Ints) -> Bools:
    """[n, k]: not explicit, and nothing that the viewer's age or country forbids."""
    catalog, people = world.catalog, Population(world.seed)
    old_enough = catalog.min_age[ids] <= people.age(users)[:, None]
    barred = (catalog.barred_in[ids] >> people.country(users)[:, None]) & 1
    found: Bools = (catalog.explicit[ids] == 0) & old_enough & (barred == 0)
    return found


def best(scores: Floats, creators: Ints, k: int, cap: int) -> Ints:
    """[n, num_videos] scores (-inf: barred) -> [n, k] ids, best first, at most `cap` by one creator; looks at the best 8 k."""
    m = min(8 * k, scores.shape[1])
    ids = np.argpartition(-scores, m - 1, axis=1)[:, :m]
    ids = np.take_along_axis(ids, np.argsort(-np.take_along_axis(scores, ids, 1), axis=1, kind="stable"), 1)
    keep = (repeats(creators[ids]) < cap) & np.isfinite(np.take_along_axis(scores, ids, 1))
    first = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(keep, first, 1), np.take_along_axis(ids, first, 1), -1)


def repeats(values: Ints) -> Ints:
    """[n, m]: how often the value stood before, in its row."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, 1)
    place = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    new = np.concatenate([np.ones((len(values), 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    found = np.empty_like(values)
    np.put_along_axis(found, order, place - np.maximum.accumulate(np.where(new, place, 0), axis=1), 1)
    return found


def _rounds(users: Ints) -> Iterator[Ints]:
    """Places of the visits, the first of every viewer, then the second of every viewer, and so on."""
    order = np.argsort(users, kind="stable")
    number = np.arange(len(users)) - np.searchsorted(users[order], users[order])
    by_number = order[np.argsort(number, kind="stable")]
    yield from np.split(by_number, np.cumsum(np.bincount(number))[:-1]) if len(users) else ()


def _newest(known: Ints, ids: Ints, which: Bools) -> Ints:
    """Puts the marked ids of a feed in front, the last of the feed first."""
    both = np.concatenate([np.where(which, ids, -1)[:, ::-1], known], axis=1)
    order = np.argsort(both < 0, axis=1, kind="stable")[:, : known.shape[1]]
    return np.take_along_axis(both, order, 1)


def take(truth: nature.Videos, ids: Ints) -> nature.Videos:
    return nature.Videos(**{f.name: getattr(truth, f.name)[ids] for f in fields(truth)})
