"""The planted truth: which videos please whom, what the old recommender showed them, and what they did.

In:     a Config.
Out:    make(config) -> World: catalogue, event log, shown videos with their outcomes, the true gain of any (user, moment, video); ceiling(config).
Choice: a video is a function of (seed, id) alone, as a person is, but for its time of upload, which the days of the log bound; the log is
        drawn in blocks of six hours, so tiredness has a history.
Else:   replaying a real log: it cannot say what a video would have gained that nobody was shown.
Breaks: a feature that equals a latent (data/ takes the catalogue and the log, and the gain for the key alone; test_world.py).

Gain in [0, 1] is how satisfied the viewer would be. It is not what draws the click: a catchy thumbnail does, and says nothing about the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from common.contract import Events, Floats, Ints, Ranking
from video_rec.config import Config
from video_rec.schema import Catalog, Requests
from video_rec.world.history import Shown, Simulated, simulate
from video_rec.world.nature import LANGUAGES, START, Videos, Viewers, gains, videos, viewers
from video_rec.world.titles import NAMES, tags, titles

__all__ = ["START", "Ceiling", "Shown", "World", "ceiling", "described", "make"]


def make(config: Config) -> World:
    """The world of this config; kept, because data, judgments and ceiling all look at the same one."""
    return _make(
        config.seed, config.num_users, config.num_videos, config.num_impressions, config.days, config.taste_spread
    )


def ceiling(config: Config) -> Ceiling:
    return Ceiling(make(config))


@dataclass(frozen=True, kw_only=True)
class World:
    """The platform as it is."""

    seed: int
    days: int
    spread: float
    catalog: Catalog
    truth: Videos  # of catalog.video_id, in its order
    log: Simulated

    @property
    def events(self) -> Events:
        return self.log.events

    @property
    def shown(self) -> Shown:
        return self.log.shown

    def gain(self, requests: Requests, ids: Ints) -> Floats:
        """requests [n], ids [n, k] -> [n, k] in [0, 1]; 0 for id -1."""
        rows, places = np.nonzero(ids >= 0)
        viewer = viewers(self.seed, requests.user_id, requests.event_time, spread=self.spread)
        tired = self.log.tired(requests.user_id, requests.event_time)
        values = np.zeros(ids.shape)
        values[rows, places] = gains(viewer.take(rows), videos(self.seed, ids[rows, places], self.days), tired[rows])
        return values


@dataclass(frozen=True)
class Ceiling:
    """Ranks by the true gain. It knows moods and qualities no model can observe: an oracle, not a bound."""

    world: World

    def rank(self, requests: Requests, k: int) -> Ranking:
        """The k videos of greatest true gain for each request, before any rule."""
        viewer = viewers(self.world.seed, requests.user_id, requests.event_time, spread=self.world.spread)
        tired = self.world.log.tired(requests.user_id, requests.event_time)
        k = min(k, len(self.world.catalog))
        ids, scores = np.empty((len(requests), k), np.int64), np.empty((len(requests), k))
        for row in range(len(requests)):
            every = gains(_one(viewer, row), self.world.truth, tired[[row]])
            best = np.argpartition(-every, k - 1)[:k]
            best = best[np.argsort(-every[best], kind="stable")]
            ids[row], scores[row] = self.world.catalog.video_id[best], every[best]
        return Ranking(ids=ids, scores=scores)


def _one(viewer: Viewers, row: int) -> Viewers:
    return viewer.take(np.array([row]))


@lru_cache(maxsize=2)
def _make(seed: int, num_users: int, num_videos: int, num_impressions: int, days: int, spread: float) -> World:
    ids = np.arange(num_videos)
    truth = videos(seed, ids, days)
    log = simulate(seed, num_users, num_impressions, days, truth, spread)
    return World(seed=seed, days=days, spread=spread, catalog=described(seed, ids, truth), truth=truth, log=log)


def described(seed: int, ids: Ints, truth: Videos) -> Catalog:
    """What a platform would know of these videos, in blocks of any size."""
    languages: NDArray[np.str_] = np.array(LANGUAGES)
    return Catalog(
        video_id=ids,
        creator_id=truth.creator_id,
        title=titles(seed, ids, truth),
        tags=tags(seed, ids, truth),
        explicit=truth.explicit,
        min_age=truth.min_age,
        barred_in=truth.barred_in,
        fingerprint=truth.fingerprint,
        numbers={"length_seconds": np.round(truth.length), "uploaded": truth.uploaded.astype(float)},
        categories={"language": languages[truth.language], "topic": np.array(NAMES)[truth.topic]},
    )
