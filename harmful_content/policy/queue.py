"""Which post a reviewer sees next: the one whose review prevents most harm a minute, but for the few places that are not for the best score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Floats
from harmful_content.config import Config


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """[n] posts that wait. `harm`: sum over policies of probability x severity, of a view; `minutes` a review takes; `to_come`: views a post still has,
    with demotion if it is demoted; `score`: the highest probability; `reports` so far; `since`: when it came."""

    harm: Floats
    minutes: Floats
    to_come: Floats
    score: Floats
    reports: Floats
    since: Floats

    def prevented(self) -> Floats:
        """[n] the harm that a review would prevent, a minute (Smith's rule: worth over time)."""
        found: Floats = self.harm * self.to_come / self.minutes
        return found


ORDERS: Mapping[str, Callable[[Waiting], Floats]] = {
    "first in, first out": lambda waiting: -waiting.since,
    "score": lambda waiting: waiting.score,
    "reports": lambda waiting: waiting.reports,
    "views to come": lambda waiting: waiting.to_come,
    "prevented harm": Waiting.prevented,
}
"""The highest value is seen first."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Which reviews are not for the best: every `oldest_every`-th is for whoever waited longest, so that nobody waits for ever; every `lot_every`-th is drawn
    from all posts of the day, flagged or not, so that somebody knows what nobody flagged. 0: none. Up to `lot_patience` draws are put off until nobody
    waits: where there are hours without a queue, labels cost next to nothing."""

    oldest_every: int
    lot_every: int
    lot_patience: int = 0

    @classmethod
    def of(cls, config: Config) -> Shares:
        return cls(oldest_every=config.oldest_every, lot_every=config.lot_every, lot_patience=config.lot_patience)

    def kind(self, turn: int, lots: int, anybody_waits: bool) -> str:
        """What the turn-th review is for, of which `lots` so far went by lot: lot, oldest or priority."""
        owed = (turn + 1) // self.lot_every - lots if self.lot_every else 0
        if owed > (self.lot_patience if anybody_waits else 0):
            return "lot"
        return "oldest" if self.oldest_every and turn % self.oldest_every == 0 else "priority"


def take(kind: str, value: Floats, since: Floats, chance: float) -> tuple[int, float]:
    """-> (place among those that can be had, the propensity of that, NaN where it was no matter of chance).

    value, since [n] of the posts that wait; for the lot, of all posts of the day. chance in [0, 1). Ties go to the older post."""
    if kind == "lot":
        return int(chance * len(since)), 1 / len(since)
    if kind == "oldest":
        return int(np.argmin(since)), float("nan")
    best = np.flatnonzero(value == value.max())
    return int(best[np.argmin(since[best])]), float("nan")
