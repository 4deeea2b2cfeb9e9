"""The planted truth: who reads what.

In:     config.
Out:    World (books shown, and whether they were read); ceiling(config), which ranks by the truth.
Choice: a book has a topic and a quality, a person a taste for topics; the incumbent showed what is good for everybody.
Else:   real reading, once there is some.
Breaks: a truth the model class holds exactly, which flatters the model: no model here sees a taste, only what was read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints, Ranking
from common.population import Population, uniform
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Requests

START = 1_700_000_000


@dataclass(frozen=True)
class World:
    """Books shown, in time order, [n] each."""

    user_id: Ints
    book_id: Ints
    event_time: Ints
    label: Floats


def make(config: Config) -> World:
    rng = np.random.default_rng(config.seed)
    user_id = rng.integers(0, config.num_users, config.num_impressions)
    quality = _quality(config, np.arange(config.num_books))
    book_id = rng.choice(config.num_books, config.num_impressions, p=quality / quality.sum())
    event_time = START + np.sort(rng.integers(0, config.days * 86_400, config.num_impressions))
    read = rng.random(config.num_impressions) < probability(config, user_id, book_id)
    return World(user_id, book_id, event_time, read.astype(np.float64))


def probability(config: Config, user_id: Ints, book_id: Ints) -> Floats:
    """[n] chances that these people read these books."""
    people = Population(config.seed, num_topics=4)
    topic = people.creator_topic(book_id)
    taste = people.tastes(user_id)[np.arange(len(user_id)), topic]
    return np.asarray(_quality(config, book_id) * (0.05 + 0.9 * np.minimum(1, 2 * taste)), dtype=np.float64)


def _quality(config: Config, book_id: Ints) -> Floats:
    return 0.3 + 0.7 * uniform(config.seed, "quality", book_id)[:, 0]


@dataclass(frozen=True)
class Truth:
    config: Config

    def gain(self, requests: Requests, ids: Ints) -> Floats:
        users = np.repeat(requests.user_id, ids.shape[1])
        gains = probability(self.config, users, np.maximum(ids, 0).ravel()).reshape(ids.shape)
        return np.where(ids < 0, 0.0, gains)

    def rank(self, requests: Requests, k: int) -> Ranking:
        every = np.broadcast_to(np.arange(self.config.num_books), (len(requests), self.config.num_books))
        gains = self.gain(requests, every)
        best = np.argsort(-gains, axis=1, kind="stable")[:, :k]
        return Ranking(ids=best, scores=np.take_along_axis(gains, best, axis=1))


def ceiling(config: Config) -> Truth:
    return Truth(config)
