"""The platform's people: a person, creator or item is a function of (seed, id) alone, so user 42 is the same in every preset and case."""

from __future__ import annotations

from dataclasses import dataclass

from common.contract import Floats, Ints


def uniform(seed: int, stream: str, ids: Ints, k: int = 1) -> Floats:
    """[n, k] numbers in (0, 1), a function of (seed, stream, id, column) alone: no generator state, any order, any block size."""
    raise NotImplementedError


def normal(seed: int, stream: str, ids: Ints, k: int = 1) -> Floats:
    """[n, k] standard normal numbers, as `uniform`."""
    raise NotImplementedError


@dataclass(frozen=True)
class Population:
    """Users with tastes over `num_topics` topics, an age, a country, a language, an activity; creators with a home topic."""

    seed: int
    num_topics: int = 16

    def tastes(self, user_ids: Ints) -> Floats:
        """[n, num_topics], rows sum to 1: a few loved topics each, some people broad, some narrow."""
        raise NotImplementedError

    def activity(self, user_ids: Ints) -> Floats:
        """[n], mean 1, heavy-tailed: how often this person comes by, relative to the average."""
        raise NotImplementedError

    def age(self, user_ids: Ints) -> Ints:
        """[n] years, 13..90."""
        raise NotImplementedError

    def country(self, user_ids: Ints) -> Ints:
        """[n] 0..9, unequal shares."""
        raise NotImplementedError

    def creator_topic(self, creator_ids: Ints) -> Ints:
        """[n] the topic a creator mostly makes."""
        raise NotImplementedError

    def trend(self, event_times: Ints, strength: float = 1.0) -> Floats:
        """[n, num_topics] log-multipliers of topic interest: the slow drift of taste, a smooth function of time."""
        raise NotImplementedError

    def daily(self, event_times: Ints) -> Floats:
        """[n] relative traffic by hour of day, mean 1."""
        raise NotImplementedError
