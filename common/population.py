"""The platform's people: a person, creator or item is a function of (seed, id) alone, so user 42 is the same in every preset and case.

There is no generator and so no generator state: a number is a hash of (seed, stream, id, column). Ten million items come in blocks of any
size, in any order. What is planted about people and time stands in the docstrings of `Population`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints

DAY = 86_400
_PERIODS = np.array(
    [9.0, 23.0, 61.0]
)  # days: coprime, so a log of weeks never sees the same mood of the platform twice
_AMPLITUDES = np.array([0.25, 0.30, 0.35])
_NUM_COUNTRIES = 10
_NUM_LANGUAGES = 6


def uniform(seed: int, stream: str, ids: Ints, k: int = 1) -> Floats:
    """[n, k] numbers in (0, 1), a function of (seed, stream, id, column) alone: no generator state, any order, any block size.

    splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") used as a hash, once a level: seed and stream,
    then id, then column. 52 bits, so neither 0 nor 1 can come out.
    """
    row = _mix(_key(seed, stream) + np.asarray(ids, np.int64).astype(np.uint64) * _GOLDEN)
    cell = _mix(row[:, None] + (np.arange(k, dtype=np.uint64) + np.uint64(1)) * _GOLDEN)
    numbers: Floats = ((cell >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return numbers


def normal(seed: int, stream: str, ids: Ints, k: int = 1) -> Floats:
    """[n, k] standard normal numbers, as `uniform`: its numbers through the inverse of the normal distribution function."""
    from scipy.special import ndtri

    numbers: Floats = ndtri(uniform(seed, stream, ids, k))
    return numbers


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser: every bit of the result depends on every bit of x. Overflow wraps, and is meant to."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _key(seed: int, stream: str) -> NDArray[np.uint64]:
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def choice(u: Floats, shares: Floats) -> Ints:
    """[n] category of each u in (0, 1), categories having those shares."""
    edges = np.cumsum(shares / shares.sum())[:-1]
    return np.searchsorted(edges, u, side="right").astype(np.int64)


@dataclass(frozen=True)
class Population:
    """Users with tastes over `num_topics` topics, an age, a country, a language, an activity; creators with a home topic.

    Planted: topics have unequal appeal (shares fall like 1 / sqrt(rank)); a person's taste is independent of age and country, so no
    profile field gives it away; the appeal of topics drifts slowly (`trend`); traffic follows the hour (`daily`).
    """

    seed: int
    num_topics: int = 16

    @property
    def topic_shares(self) -> Floats:
        """[num_topics], sum 1: how appealing a topic is on the whole. Topic 0 leads."""
        appeal: Floats = 1.0 / np.sqrt(np.arange(1, self.num_topics + 1))
        shares: Floats = appeal / appeal.sum()
        return shares

    def breadth(self, user_ids: Ints) -> Floats:
        """[n] in (0.4, 2.5), median 1: below 1 a person of one or two topics, above 1 one of many."""
        factor: Floats = np.exp(np.clip(0.4 * normal(self.seed, "user.breadth", user_ids)[:, 0], -0.9, 0.9))
        return factor

    def tastes(self, user_ids: Ints) -> Floats:
        """[n, num_topics], rows sum to 1: a few loved topics each, some people broad, some narrow.

        A softmax over (topic appeal + 2 / breadth x personal liking), liking standard normal and independent across topics.
        """
        liking = normal(self.seed, "user.tastes", user_ids, self.num_topics)
        logits = np.log(self.topic_shares) + 2.0 / self.breadth(user_ids)[:, None] * liking
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = weights / weights.sum(axis=1, keepdims=True)
        return shares

    def activity(self, user_ids: Ints) -> Floats:
        """[n], mean 1, heavy-tailed: how often this person comes by, relative to the average. Log-normal with sigma 1."""
        return np.exp(normal(self.seed, "user.activity", user_ids)[:, 0] - 0.5)

    def age(self, user_ids: Ints) -> Ints:
        """[n] years, 13..90, median 31."""
        years = 13 + np.floor(18.0 * np.exp(0.6 * normal(self.seed, "user.age", user_ids)[:, 0]))
        age: Ints = np.minimum(years, 90).astype(np.int64)
        return age

    def country(self, user_ids: Ints) -> Ints:
        """[n] 0..9, shares falling like 1 / rank."""
        return choice(uniform(self.seed, "user.country", user_ids)[:, 0], 1.0 / np.arange(1, _NUM_COUNTRIES + 1))

    def language(self, user_ids: Ints) -> Ints:
        """[n] 0..5: four in five speak their country's language (country modulo 6), the rest any."""
        u = uniform(self.seed, "user.language", user_ids, 2)
        anyone = (u[:, 1] * _NUM_LANGUAGES).astype(np.int64)
        return np.where(u[:, 0] < 0.8, self.country(user_ids) % _NUM_LANGUAGES, anyone)

    def creator_topic(self, creator_ids: Ints) -> Ints:
        """[n] the topic a creator mostly makes; creators go where the appeal is."""
        return choice(uniform(self.seed, "creator.topic", creator_ids)[:, 0], self.topic_shares)

    def trend(self, event_times: Ints, strength: float = 1.0) -> Floats:
        """[n, num_topics] log-multipliers of topic interest: the slow drift of taste, a smooth function of time.

        Three sinusoids a topic, of 9, 23 and 61 days with random phases, at strength 1 never beyond +-0.9 together. strength 0 is a
        world that stands still; past 1 it drifts harder: the knob of the drift experiments.
        """
        phases = 2 * np.pi * uniform(self.seed, "topic.trend", np.arange(self.num_topics), len(_PERIODS))
        days = np.asarray(event_times, np.float64)[:, None] / DAY
        drift = np.zeros((len(days), self.num_topics))
        for j, (period, amplitude) in enumerate(zip(_PERIODS, _AMPLITUDES, strict=True)):
            angle = (
                2 * np.pi * days / period
            )  # sin(angle + phase), the sine of the sum taken apart: n sines instead of n x topics
            drift += amplitude * (np.sin(angle) * np.cos(phases[:, j]) + np.cos(angle) * np.sin(phases[:, j]))
        scaled: Floats = strength * drift
        return scaled

    def daily(self, event_times: Ints) -> Floats:
        """[n] relative traffic by hour of day (UTC), mean 1: low before dawn (0.4), a noon shoulder, highest about 20:00 (1.7)."""
        hours = (np.asarray(event_times, np.int64) % DAY) / 3600.0
        first = 0.55 * np.cos(2 * np.pi * (hours - 18.5) / 24)
        second = 0.25 * np.cos(4 * np.pi * (hours - 21.0) / 24)
        curve: Floats = 1.0 + first + second
        return curve
