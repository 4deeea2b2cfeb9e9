"""The planted truth: who opens what.

In:     config.
Out:    World (mails with their labels); ceiling(config), which scores rows by the truth.
Choice: people and letters differ, and each pair of them differs a little: what a model of rates can learn, plus what it cannot.
Else:   real mail, once there is some.
Breaks: a truth the model class holds exactly, which flatters the model: the pair term is there to prevent that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints
from common.population import normal
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Rows

START = 1_700_000_000


@dataclass(frozen=True)
class World:
    """Mails in time order, [n] each."""

    user_id: Ints
    letter_id: Ints
    event_time: Ints
    label: Floats


def make(config: Config) -> World:
    rng = np.random.default_rng(config.seed)
    user_id = rng.integers(0, config.num_users, config.num_mails)
    letter_id = rng.integers(0, config.num_letters, config.num_mails)
    event_time = START + np.sort(rng.integers(0, config.days * 86_400, config.num_mails))
    opened = rng.random(config.num_mails) < probability(config, user_id, letter_id)
    return World(user_id, letter_id, event_time, opened.astype(np.float64))


def probability(config: Config, user_id: Ints, letter_id: Ints) -> Floats:
    """[n] chances that these people open these letters."""
    pairs = user_id * 1_000_003 + letter_id
    person, letter = normal(config.seed, "opens", user_id)[:, 0], normal(config.seed, "letter", letter_id)[:, 0]
    logit = -0.5 + 1.2 * person + 0.8 * letter + 0.4 * normal(config.seed, "pair", pairs)[:, 0]
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float64)


@dataclass(frozen=True)
class Truth:
    config: Config

    def score(self, rows: Rows) -> Floats:
        return probability(self.config, rows.user_id, rows.letter_id)


def ceiling(config: Config) -> Truth:
    return Truth(config)
