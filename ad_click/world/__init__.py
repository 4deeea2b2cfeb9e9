"""The planted truth: how these users really react to an ad, and the log an imperfect incumbent left behind.

In:     a Config (seed, sizes, days, and the knobs trend, interaction, delays).
Out:    make(config) -> World (the tables a platform would have), ceiling(config) -> the truth as a Scorer over Rows.
Choice: a logit with rank-one interactions (device x topic, hour x topic, age x topic), so one-hot logistic regression is wrong and
        trees can be right; latent taste, quality and mood, so that nobody can be perfect.
Else:   replaying a public log: real, but without a truth to be compared with and without users who react to a new policy.
Breaks: a feature equal to a latent variable (tests/ad_click/test_world.py), a model that beats the ceiling (a leak).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ad_click.config import DEFAULT, Config
from ad_click.schema import Catalog, Rows
from ad_click.world import nature
from ad_click.world.history import Impressions, simulate
from ad_click.world.nature import DAY, EXAMINED, NUM_TOPICS, START, Truth, country_names
from common.contract import Floats

__all__ = ["DAY", "EXAMINED", "NUM_TOPICS", "START", "Ceiling", "Impressions", "Truth", "World", "ceiling", "country_names", "make", "plant"]  # fmt: skip

KNOBS = ("seed", "num_users", "num_ads", "num_advertisers", "num_impressions", "days", "trend", "interaction", "delays")
"""What the world depends on. Configs that differ in anything else share one world."""


def make(config: Config) -> World:
    """The truth and `num_impressions` (about) logged by the incumbent over `days`. Same config, same bytes."""
    return _make(_knobs(config))


def ceiling(config: Config) -> Ceiling:
    """The truth as a scorer: P(click within the window) of any Rows. It knows tastes and moods no model can observe."""
    return Ceiling(plant(config), config.click_window_hours * 3600)


def plant(config: Config) -> Truth:
    """The truth alone, without a log: what `ceiling` and the simulated users need."""
    return nature.plant(_knobs(config))


@dataclass(frozen=True)
class World:
    truth: Truth
    impressions: Impressions

    @property
    def catalog(self) -> Catalog:
        return self.truth.catalog

    @property
    def end(self) -> int:
        return START + self.truth.config.days * DAY


@dataclass(frozen=True)
class Ceiling:
    truth: Truth
    window: int  # seconds

    def score(self, rows: Rows) -> Floats:
        slot = rows.numbers["slot"].astype(np.int64)
        clicks = self.truth.click_probability(
            rows.user_id, rows.ad_id, rows.event_time, slot, rows.categories["device"]
        )
        return clicks * self.truth.arrives_within(rows.ad_id, rows.event_time, self.window)


@lru_cache(maxsize=2)
def _make(config: Config) -> World:
    truth = nature.plant(config)
    return World(truth, simulate(truth))


def _knobs(config: Config) -> Config:
    return replace(DEFAULT, **{name: getattr(config, name) for name in KNOBS})
