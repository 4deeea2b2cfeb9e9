"""The planted truth: what people post, how it harms, who sees it and who complains; and the log an imperfect incumbent left behind.

In:     a Config (seed, sizes, days, and the knobs harm_share, cross_share, trend, hand_share).
Out:    make(config) -> World (posts, what happened to them, their pictures), ceiling(config) -> the truth as a Scorer over Rows.
Choice: harm in the text, in the picture, or in both together and in neither alone (a warm greeting under an arrow that points down); a panel
        that disagrees on the borderline; natural labels that are late, biased by dialect and bombed; a kind of harm that training never saw.
Else:   a public set of hateful memes: real, but without a truth to be compared with, and nothing that should stand on a page.
Breaks: wording that gives a policy away by its length or its spelling alone (tests), a model that beats the ceiling (a leak).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from harmful_content.config import DEFAULT, Config
from harmful_content.schema import Images, Rows
from harmful_content.world import people, pictures
from harmful_content.world.lexicon import DIALECT_POLICIES, FRAMES, GROUPS, TERMS, TREND_POLICY, TREND_TERMS
from harmful_content.world.people import START
from harmful_content.world.posts import FORMS, MODALITY, Posts, plant, truth
from harmful_content.world.reach import TICKS, History, expected_views, history, tick
from harmful_content.world.wording import language_names

__all__ = ["DIALECT_POLICIES", "FORMS", "FRAMES", "GROUPS", "KEYWORD_PARTS", "MODALITY", "START", "TERMS", "TREND_POLICY", "Ceiling", "History", "Posts", "World", "ceiling", "drawn", "expected_views", "language_names", "make", "plant", "profile", "tick", "tick_times"]  # fmt: skip

KEYWORD_PARTS = frozenset(
    word
    for common, own in (*TERMS.values(), TREND_TERMS)
    for term in (*common, *own)
    for word in term.split()
    if len(word) > 3
)
"""The words of which violations in the first language are made: what somebody who hides one disguises."""

KNOBS = ("seed", "num_users", "num_posts", "days", "harm_share", "cross_share", "trend", "hand_share")
"""What the world depends on. Configs that differ in anything else share one world."""


def make(config: Config) -> World:
    """`num_posts` posts over `days`, and what the incumbent and the platform's people did with them. Same config, same bytes."""
    return _make(_knobs(config))


def ceiling(config: Config) -> Ceiling:
    """The truth as a scorer: the planted chance of each policy for any Rows of this world. It knows which words are disguised, which jokes are
    borderline and what the new kind of harm means; what the panel said of a borderline post it does not know, and nobody does."""
    return Ceiling(_knobs(config))


@dataclass(frozen=True)
class World:
    config: Config
    posts: Posts
    history: History

    @property
    def end(self) -> int:
        return people.boundary(self.config, 1.0)

    def cuts(self) -> tuple[int, int]:
        """The seconds at which validation and test begin."""
        return people.boundary(self.config, people.TRAIN), people.boundary(self.config, people.VALID)

    @cached_property
    def images(self) -> Images:
        """Of the posts that have one, in their order."""
        return Images(drawn(self.config, self.posts))

    @cached_property
    def truth(self) -> Floats:
        """[num_posts, num_policies] 0/1: what the panel said."""
        return truth(self.config, self.posts)

    @cached_property
    def views(self) -> Floats:
        """[num_posts] expected if nobody acts."""
        return expected_views(self.config, self.posts)


@dataclass(frozen=True)
class Ceiling:
    config: Config

    def score(self, rows: Rows) -> Floats:
        """[n, num_policies]"""
        age = rows.numbers["age_hours"].astype(np.int64) * 3600
        return plant(self.config, rows.post_id, rows.event_time - age).chance


@lru_cache(maxsize=2)
def _make(config: Config) -> World:
    post_id = np.arange(config.num_posts)
    made = plant(config, post_id, people.times(config, post_id))
    return World(config, made, history(config, made))


def tick_times() -> tuple[int, ...]:
    """Seconds after a post was written at which its reactions are counted."""
    return tuple(TICKS.tolist())


def drawn(config: Config, made: Posts) -> NDArray[np.uint8]:
    """[num_with_picture, SIDE, SIDE, 3]"""
    return pictures.draw(config.seed, made.sketches())


def profile(config: Config, user_id: Ints) -> dict[str, Floats]:
    """What the platform's account service says of authors."""
    return {
        "account_days": people.account_days(config.seed, user_id),
        "followers": people.followers(config.seed, user_id),
    }


def _knobs(config: Config) -> Config:
    return replace(DEFAULT, **{name: getattr(config, name) for name in KNOBS})
