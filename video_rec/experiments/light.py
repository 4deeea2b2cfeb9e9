"""Light models for weeks that are played hundreds of times: co-watch, and a linear ranker with any label.

In:     a small world, a log of it.
Out:    cowatch, fit: what scores a whole catalogue for many viewers at once.
Choice: the ranker is linear in a few comparisons of a viewer with a video, each an inner product of two sides, so that a catalogue is scored by
        one matrix product and a fortnight of a small platform takes a second. Co-watch is the case's own baseline.
Else:   the two-stage model of the case: minutes a world, and twenty worlds say more about a gap than one well-fitted model.
Breaks: a comparison that sees its own row: `fit` describes viewers and videos by what came before `since` and learns from what came after.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from video_rec import baseline
from video_rec.experiments.online import Log, Seen
from video_rec.experiments.policies import Lab, Scores
from video_rec.features import Features
from video_rec.schema import Rows

PULL = 20.0  # impressions a rate starts with


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
    weights[counted.watched[at], counted.neighbours[at, place]] = counted.weights[at, place]

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

    features: Features
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
