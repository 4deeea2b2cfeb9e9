"""What each action costs in expectation, and the probabilities at which one gets cheaper than the other.

Of a post with `views` still to come that violates a policy with probability p, severity s a view (all in config, each with its reason):

    allow    p s views
    demote   p s views kept + (1 - p) demotion
    queue    minutes minute + waited (demote or allow, the cheaper at that p) + error (p s views (1 - waited) + (1 - p) removal)
    remove   (1 - p) removal

Each is a line in p (the queue two), so the cheapest action changes only where two lines cross (Elkan 2001, the foundations of cost-sensitive learning).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from common.contract import Floats
from harmful_content.config import Config
from harmful_content.schema import ACTIONS, POLICIES

NEVER = 2.0
"""A threshold that no probability reaches; JSON has no infinity."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """By policy: severity of a view, minutes of a review. The rest as config says, in views of a hateful post."""

    severity: tuple[float, ...]
    minutes: tuple[float, ...]
    views: float
    removal: float
    demotion: float
    minute: float
    kept: float
    waited: float
    error: float

    @classmethod
    def of(cls, config: Config, num_policies: int) -> Costs:
        """The config's. As many policies as ours are ours; any other number are somebody's own, and a view under each is as bad."""
        ours = num_policies == len(POLICIES)
        names = [f"_{policy}" for policy in POLICIES] if ours else [""] * num_policies
        return cls(
            severity=tuple(float(getattr(config, f"severity{name}")) for name in names),
            minutes=tuple(float(getattr(config, f"minutes{name}")) for name in names),
            views=config.typical_views,
            removal=config.removal_cost,
            demotion=config.demotion_cost,
            minute=config.minute_cost,
            kept=config.demoted_views,
            waited=config.waited_views,
            error=config.reviewer_error,
        )

    def expected(self, probability: Floats, demoting: bool = True) -> Floats:
        """probability [n, num_policies] -> [n, num_policies, actions] harm units, in the order of ACTIONS. `demoting`: whether a post may be
        demoted while it waits."""
        harm = probability * np.array(self.severity) * self.views
        fine = 1 - probability
        demote = harm * self.kept + fine * self.demotion
        waiting = np.minimum(harm, demote) if demoting else harm
        wrong = self.error * (harm * (1 - self.waited) + fine * self.removal)
        queue = np.array(self.minutes) * self.minute + self.waited * waiting + wrong
        return np.stack([harm, demote, queue, fine * self.removal], axis=-1)

    def waits_demoted(self) -> Floats:
        """[num_policies] the probability from which a post is better demoted while it waits: where demote costs less than allow."""
        spared = np.array(self.severity) * self.views * (1 - self.kept)
        found: Floats = self.demotion / np.maximum(self.demotion + spared, 1e-12)
        return found

    def bands(self, demoting: bool = True) -> Floats:
        """[num_policies, 3] the least probability for demote, queue, remove: from there up nothing milder is ever cheaper; NEVER where something is.

        Rising along each row; equal where an action is nowhere the cheapest."""
        pieces = self._pieces(demoting)
        middle = (
            pieces[1:] + pieces[:-1]
        ) / 2  # [m, num_policies]: between neighbours one action is cheapest throughout
        best = self.expected(middle, demoting).argmin(axis=-1)
        found = np.full((len(self.severity), len(ACTIONS) - 1), NEVER)
        for action in range(1, len(ACTIONS)):
            milder = best < action
            last = len(best) - 1 - milder[::-1].argmax(axis=0)  # the last piece where something milder wins
            last = np.where(milder.any(axis=0), last, -1)
            edge = np.take_along_axis(pieces, last[None] + 1, axis=0)[0]
            found[:, action - 1] = np.where(last + 1 < len(best), edge, NEVER)
        return found

    def _pieces(self, demoting: bool) -> Floats:
        """[m, num_policies] 0, every probability at which two lines cross, 1; rising. On each side of the bend of the queue's line by itself."""
        bend = np.clip(self.waits_demoted(), 0, 1)
        ends = [np.zeros_like(bend), bend, np.ones_like(bend)]
        cuts = list(ends)
        for low, high in pairwise(ends):
            inner = (low + (high - low) * np.array([[1 / 3], [2 / 3]])).reshape(2, -1)  # two points make a line
            cost = self.expected(inner, demoting)
            slope = (cost[1] - cost[0]) / np.maximum(inner[1] - inner[0], 1e-12)[:, None]
            at_zero = cost[0] - slope * inner[0][:, None]
            for one in range(len(ACTIONS)):
                for other in range(one):
                    gap = slope[:, one] - slope[:, other]
                    cross = (at_zero[:, other] - at_zero[:, one]) / np.where(gap == 0, np.inf, gap)
                    cuts.append(np.clip(cross, low, high))
        return np.sort(np.stack(cuts), axis=0)
