"""Light policies for weeks that are played hundreds of times: the incumbent, co-watch, and a linear ranker with any label.

In:     a small world, a log of it.
Out:    Incumbent, Ranked(scores), Exploring(policy): policies for online.play; cowatch, fit: what scores a whole catalogue for many viewers.
Choice: the ranker is linear in a few comparisons of a viewer with a video, each an inner product of two sides, so that a catalogue is scored by
        one matrix product and a fortnight of a small platform takes a second. Co-watch is the case's own baseline.
Else:   the two-stage model of the case: minutes a world, and twenty worlds say more about a gap than one well-fitted model.
Breaks: a comparison that sees its own row: `fit` describes viewers and videos by what came before `since` and learns from what came after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from video_rec import baseline, data, features, world
from video_rec.config import Config
from video_rec.experiments import online
from video_rec.experiments.online import DAY, Log, Policy, Seen, State
from video_rec.schema import Rows
from video_rec.world import START, World, history

Scores = Callable[[Seen, Ints], NDArray[np.floating]]
"""(what is known, users [n]) -> [n, num_videos]"""
USERS, VIDEOS, IMPRESSIONS, DAYS = 500, 800, 50_000, 14
PULL = 20.0  # impressions a rate starts with


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
    return [replace(config, **small, days=DAYS, seed=config.seed + number) for number in range(num_worlds)]


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
        lawful = (catalog.explicit == 0) & (catalog.numbers["uploaded"] <= times.min())
        popular = lawful * (self.watches + 1.0) / (lawful * (self.watches + 1.0)).sum()
        last = seen.recent[users, 0]
        same = np.where(last >= 0, (1 - self.chance) / 2, 0.0)[:, None]
        kind, u, anything = rng.random(shape), rng.random(shape), np.flatnonzero(lawful)
        fellow = self.order[self.first[last][:, None] + (u * self.size[last][:, None]).astype(np.int64)]
        ids = np.minimum(np.searchsorted(popular.cumsum(), u), len(popular) - 1)
        ids = np.where(kind < self.chance, anything[(u * len(anything)).astype(np.int64)], ids)
        ids = np.where(kind >= 1 - same, fellow, ids)
        of_same = (self.creator[ids] == self.creator[last][:, None]) / self.size[last][:, None]
        propensity = self.chance / len(anything) + (1 - self.chance - same) * popular[ids] + same * of_same
        keep = lawful[ids] & ~seen.watched[users[:, None], ids] & (online.repeats(ids) == 0)
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
    """Gives `share` of a policy's slots to chance, each allowed video alike."""

    lab: Lab
    policy: Policy
    share: float

    def feed(self, seen: Seen, users: Ints, times: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
        ids, propensity = self.policy.feed(seen, users, times, rng)
        may = online.allowed(self.lab.world, seen, users, times)
        drawn = _draw(may, ids.shape[1], rng)
        at_chance = rng.random(ids.shape) < self.share
        found = np.where(at_chance, drawn, ids)
        by_chance = self.share / may.sum(axis=1)[:, None]
        lawful = (found >= 0) & (online.repeats(found) == 0)
        return np.where(lawful, found, -1), by_chance + np.where(at_chance, 0.0, (1 - self.share) * propensity)


def _draw(may: Bools, k: int, rng: np.random.Generator) -> Ints:
    """[n, k] of the marked columns of each row, each alike."""
    number = (rng.random((len(may), k)) * may.sum(axis=1)[:, None]).astype(np.int64)
    places = np.argsort(~may, axis=1, kind="stable")
    return np.take_along_axis(places, number, 1)


def cowatch(lab: Lab, log: Log) -> Scores:
    """The case's baseline, over the whole catalogue at once."""
    from scipy.sparse import csr_array

    rows = Rows(
        user_id=log.user,
        video_id=log.video,
        event_time=log.time,
        moment=np.arange(len(log.user)),
        labels={"clicked": log.clicked},
    )
    counted = baseline.count(lab.features, [rows], lab.config)
    n = len(counted.popularity)
    at, place = np.nonzero(counted.neighbours >= 0)
    weights = np.zeros((n, n), np.float32)
    weights[at, counted.neighbours[at, place]] = counted.weights[at, place]

    def scores(seen: Seen, users: Ints) -> NDArray[np.floating]:
        row, place = np.nonzero(seen.recent[users] >= 0)
        ids = seen.recent[users[row], place]
        watched = csr_array((np.ones(len(row), np.float32), (row, ids)), shape=(len(users), n))
        found: NDArray[np.floating] = watched @ weights + counted.popularity
        return found

    return scores


@dataclass(frozen=True)
class Known:
    """Videos as a log shows them: `rates` [num_videos, num_rates], pulled to those of the creator and to the usual while they are few."""

    features: features.Features
    rates: Floats

    @cached_property
    def videos(self) -> list[Floats]:
        """One [num_videos, d] for each comparison, in the order of `viewers`."""
        found = self.features
        length, title, who = found.length[:, None], found.title.astype(float), _one_hot(found.creator_id)
        alone = [self.rates[:, [j]] for j in range(self.rates.shape[1])]
        square = np.hstack([length**2, length, np.ones_like(length)])
        return [title, title, who, who, _one_hot(found.language), square, length, *alone]

    def viewers(self, seen: Seen, users: Ints) -> list[Floats]:
        """One [n, d] each: titles, creators, languages and lengths of what they watched and of what pleased them; 1 where the video counts alone."""
        found, recent, pleased = self.features, seen.recent[users], seen.pleased[users]
        title, who, spoken = self.videos[0], self.videos[2], self.videos[4]
        length = _mean(pleased, found.length[:, None], usual=float(found.length.mean()))
        gap = np.hstack([-np.ones_like(length), 2 * length, -(length**2)])  # minus the square of the difference
        tastes = [_mean(recent, title), _mean(pleased, title), _mean(recent, who), _mean(pleased, who)]
        return [*tastes, _mean(recent, spoken), gap, *[np.ones((len(users), 1))] * (1 + self.rates.shape[1])]

    def table(self, seen: Seen, users: Ints) -> Floats:
        """[n, num_videos, num_comparisons]: for a small catalogue."""
        return np.stack([a @ b.T for a, b in zip(self.viewers(seen, users), self.videos, strict=True)], axis=2)

    def compare(self, seen: Seen, users: Ints, ids: Ints) -> Floats:
        """[n, num_comparisons] of each viewer with one video."""
        who, at = np.unique(users, return_inverse=True)
        sides = zip(self.viewers(seen, who), self.videos, strict=True)
        return np.stack([np.einsum("nd,nd->n", a[at], b[ids]) for a, b in sides], axis=1)


def known(lab: Lab, log: Log) -> Known:
    n = len(lab.features.video_id)
    creator = np.unique(lab.features.creator_id, return_inverse=True)[1]
    shown = np.bincount(log.video, minlength=n).astype(float)
    rates = [np.log1p(shown)]
    for did in (log.clicked, log.completed, log.liked, log.hidden, log.watch_seconds):
        count, usual = np.bincount(log.video, did, n), float(did.mean())
        of_creator = (np.bincount(creator, count) + PULL * usual) / (np.bincount(creator, shown) + PULL)
        rates += [(count + PULL * of_creator[creator]) / (shown + PULL), of_creator[creator]]
    return Known(lab.features, np.stack(rates, axis=1))


@dataclass(frozen=True)
class Linear:
    """`weights` one a comparison; `constant` makes a score of them."""

    known: Known
    weights: Floats
    constant: float

    def __call__(self, seen: Seen, users: Ints) -> NDArray[np.floating]:
        viewers = [side * weight for side, weight in zip(self.known.viewers(seen, users), self.weights, strict=True)]
        found: NDArray[np.floating] = np.hstack(viewers).astype(np.float32) @ self._side.T
        return found

    @cached_property
    def _side(self) -> NDArray[np.float32]:
        return np.hstack(self.known.videos).astype(np.float32)


def fit(lab: Lab, log: Log, label: Floats, since: int, negatives: int = 0) -> Linear:
    """Ridge regression of a label [n] (NaN: not asked) of what was shown from `since` on, on what was known before; it serves with all there is.

    With `negatives` the rows that are not shown positives are left out, and so many videos of the whole catalogue are drawn for each positive
    instead: what is often done where only watches are kept. Such a model learns what was shown as much as what pleases.
    """
    before, asked = log.take(log.time < since), (log.time >= since) & np.isfinite(label)
    user, video, y = log.user[asked], log.video[asked], label[asked]
    if negatives:
        user, video = user[y > 0], video[y > 0]
        drawn = np.random.default_rng([lab.config.seed, 13]).integers(0, lab.config.num_videos, len(user) * negatives)
        y = np.repeat([1.0, 0.0], [len(user), len(drawn)])
        user, video = np.concatenate([user, np.repeat(user, negatives)]), np.concatenate([video, drawn])
    x = known(lab, before).compare(Seen.of(before, lab.config.num_users, lab.config.num_videos), user, video)
    weights, constant = ridge(x, y)
    return Linear(known(lab, log), weights, constant)


def ridge(x: Floats, y: Floats, strength: float = 1e-3) -> tuple[Floats, float]:
    """-> (weights, constant) over standardised columns, `strength` a row."""
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    z = (x - mean) / scale
    weights: Floats = np.linalg.solve(z.T @ z + strength * len(z) * np.eye(z.shape[1]), z.T @ (y - y.mean())) / scale
    return weights, float(y.mean() - mean @ weights)


def _mean(ids: Ints, of: Floats, usual: float = 0.0) -> Floats:
    """ids [n, h], of [num_videos, d] -> [n, d], `usual` where nothing is known."""
    real = ids >= 0
    total = np.einsum("nh,nhd->nd", real.astype(float), of[ids])
    count = real.sum(axis=1)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), usual)


def _one_hot(codes: Ints) -> Floats:
    found: Floats = np.eye(int(codes.max()) + 1)[codes]
    return found
