"""Posts without words or pictures: how likely each violates a policy, whether it does, how it will be seen. What a desk of reviewers needs, and quick to draw.

The probabilities are right by construction, and the scores are those bent, as a network's are: what is measured is the policy, not a model. What the
policy cannot know: how often a post will be seen and how fast that ends differ from post to post around what is expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints
from harmful_content.config import Config
from harmful_content.schema import POLICIES

SHARES = np.array([0.14, 0.15, 0.07, 0.18, 0.12, 0.12, 0.22])  # of the doubtful posts, by policy
DOUBTFUL = 2.5  # posts that could violate a policy, for each that does
CLEAN = 0.0005  # chance of a violation of one policy among all others
BEND = (1.4, 0.5)  # slope and offset of the scores' logits on the true ones'
VIEWS, SPREAD = 42.0, 1.0  # median and log standard deviation of the expected views
SURPRISE = 1.2  # log standard deviation of the true ones around these
PACE = 0.5  # log standard deviation of a post's own half-life
REPORTED, MISREPORTED = 4e-3, 6e-4  # reports a view, of a violation and of a harmless post
POOL, SOME, HIGH = 300_000, 5_000, 0.9  # posts of validation; labelled by lot; scores above which all are labelled
TASTE = 1.0  # log standard deviation of that, from post to post


@dataclass(frozen=True, kw_only=True)
class Posts:
    """[n] each, in order of `arrived` (hours). score, truth [n, num_policies]; `views` in all if nobody acts; `luck` in [0, 1) decides whether a reviewer errs."""

    arrived: Floats
    score: Floats
    truth: Floats
    views: Floats
    expected: Floats
    half_life: Floats
    reports_a_view: Floats
    luck: Floats

    def __len__(self) -> int:
        return len(self.arrived)

    def left(self, at: Floats | float, which: Ints | slice = slice(None)) -> Floats:
        """Views still to come at those hours (inf: none)."""
        age = np.maximum(at - self.arrived[which], 0.0)
        left: Floats = self.views[which] * 0.5 ** (age / self.half_life[which])
        return left


def draw(config: Config, rng: np.random.Generator, n: int, days: float = 3.0) -> Posts:
    """n posts over so many days, more of them in the evening."""
    doubtful = np.flatnonzero(rng.random(n) < DOUBTFUL * config.harm_share)
    chance = np.full((n, len(POLICIES)), CLEAN)
    chance[doubtful, rng.choice(len(POLICIES), len(doubtful), p=SHARES)] = rng.beta(0.5, 0.75, len(doubtful))
    logits = np.log(np.clip(chance, 1e-6, 1 - 1e-6)) - np.log1p(-np.clip(chance, 1e-6, 1 - 1e-6))
    truth = (rng.random(chance.shape) < chance).astype(float)
    expected = VIEWS * np.exp(SPREAD * rng.normal(size=n))
    hours = np.sort(rng.uniform(0, 24 * days, 4 * n))
    evening = rng.random(4 * n) < 0.55 + 0.45 * np.sin(2 * np.pi * (hours - 13) / 24)  # thinning: most at 19 o'clock
    arrived = np.sort(rng.choice(hours[evening], n, replace=False))
    return Posts(
        arrived=arrived,
        score=1 / (1 + np.exp(-(BEND[0] * logits + BEND[1]))),
        truth=truth,
        views=expected * np.exp(SURPRISE * rng.normal(size=n) - SURPRISE**2 / 2),
        expected=expected,
        half_life=config.view_half_life * np.exp(PACE * rng.normal(size=n)),
        reports_a_view=np.where(truth.any(axis=1), REPORTED, MISREPORTED) * np.exp(TASTE * rng.normal(size=n)),
        luck=rng.random(n),
    )


def labelled(config: Config, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """-> scores, labels [POOL, num_policies] for Policy.solved. Labelled by hand are SOME by lot and, under each policy, all that score above HIGH: whether a
    floor is kept is asked of likely posts, of which a lot draws next to none. Chosen by score alone, so precision above a score is what it is."""
    posts = draw(config, rng, POOL)
    looked = (posts.score > HIGH) | (rng.random((POOL, 1)) < SOME / POOL)
    return posts.score, np.where(looked, posts.truth, np.nan)
