"""A desk of reviewers, event by event: whoever is free takes the next post, and what happens to every post has its bill."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Bools, Floats, Ints
from harmful_content.config import Config
from harmful_content.experiments.drawn import Posts
from harmful_content.policy import Actions, Policy, queue
from harmful_content.policy.enforcement import QUEUE, REMOVE
from harmful_content.policy.queue import ORDERS, Shares, Waiting
from harmful_content.policy.views import to_come

REVIEWERS = 4
DAY = 24.0
ORACLE = "oracle"
Order = Callable[["Desk", Ints, float], Floats]
"""(desk, places of those who wait, the hour) -> what decides, the highest first."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the policy decided when the posts came, and what a review of each takes. harm [n]: sum of probability x severity, of a view."""

    config: Config
    posts: Posts
    rules: Policy
    actions: Actions
    harm: Floats
    minutes: Floats

    @classmethod
    def of(cls, config: Config, posts: Posts, rules: Policy, push: Floats | None = None) -> Desk:
        actions = rules.act(posts.score, push, posts.expected)
        severity = np.array(rules.costs.severity)
        minutes = np.array(rules.costs.minutes)[actions.policy]
        return cls(config=config, posts=posts, rules=rules, actions=actions, harm=actions.probability @ severity, minutes=minutes)  # fmt: skip

    @property
    def flagged(self) -> Bools:
        flagged: Bools = self.actions.action == QUEUE
        return flagged

    def waiting(self, which: Ints, hour: float) -> Waiting:
        """What a policy can know of these posts at that hour."""
        posts, kept = self.posts, np.where(self.actions.is_demoted[which], self.rules.costs.kept, 1.0)
        seen = (posts.views[which] - posts.left(hour, which)) * kept
        age = hour - posts.arrived[which]
        left = to_come(seen, age, posts.expected[which] * kept, self.config.view_half_life)
        return Waiting(
            harm=self.harm[which],
            minutes=self.minutes[which],
            to_come=left,
            score=self.actions.probability[which].max(axis=1),
            reports=np.floor(posts.reports_a_view[which] * seen + posts.luck[which]),
            since=posts.arrived[which],
        )

    def worth(self, which: Ints, hour: float) -> Floats:
        """What the oracle knows: the harm a review would truly prevent, a minute."""
        kept = np.where(self.actions.is_demoted[which], self.rules.costs.kept, 1.0)
        truly = self.posts.truth[which] @ np.array(self.rules.costs.severity)
        worth: Floats = truly * kept * self.posts.left(hour, which) / self.minutes[which]
        return worth


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """[n]: the hour of each post's review, inf where there was none; how it was chosen; with what propensity."""

    at: Floats
    chosen: np.ndarray[tuple[int], np.dtype[np.str_]]
    propensity: Floats


def order(name: str) -> Order:
    """By its name in ORDERS, or the oracle's."""
    if name == ORACLE:
        return Desk.worth
    return lambda desk, which, hour: ORDERS[name](desk.waiting(which, hour))


def pace(desk: Desk, load: float) -> float:
    """Hours for each minute of a review, so that there are `load` flagged posts for every review the reviewers have time for: at 2 they can look at half."""
    return REVIEWERS * float(desk.posts.arrived[-1]) * load / max(float(desk.minutes[desk.flagged].sum()), 1e-12)


def work(desk: Desk, by: Order, hours: float, shares: Shares, rng: np.random.Generator) -> Reviewed:
    """REVIEWERS work through the days of the posts, and stop when these are over. `hours` for each minute of a review: `pace`."""
    posts, flagged = desk.posts, desk.flagged
    n, end = len(posts), float(posts.arrived[-1])
    found = Reviewed(at=np.full(n, np.inf), chosen=np.full(n, "", dtype="<U8"), propensity=np.full(n, np.nan))
    free = [0.0] * REVIEWERS
    turn, lots, waits, next_post = 0, 0, np.zeros(n, dtype=bool), 0
    while free[0] < end:
        hour = heapq.heappop(free)
        arrived = int(np.searchsorted(posts.arrived, hour, side="right"))
        waits[next_post:arrived] = flagged[next_post:arrived]
        next_post = arrived
        kind = shares.kind(turn, lots, bool(waits.any()))
        pool = _of_the_day(desk, found, hour, arrived) if kind == "lot" else np.flatnonzero(waits)
        if not len(pool):
            heapq.heappush(free, float(posts.arrived[arrived]) if arrived < n else end)
            continue
        value = by(desk, pool, hour) if kind == "priority" else posts.arrived[pool]
        place, propensity = queue.take(kind, value, posts.arrived[pool], float(rng.random()))
        chosen = int(pool[place])
        found.at[chosen], found.chosen[chosen], found.propensity[chosen] = hour, kind, propensity
        waits[chosen] = False
        turn, lots = turn + 1, lots + (kind == "lot")
        heapq.heappush(free, hour + hours * float(desk.minutes[chosen]))
    return found


def _of_the_day(desk: Desk, found: Reviewed, hour: float, arrived: int) -> Ints:
    """Posts of the last day that nobody has looked at, flagged or not, but for those that are gone."""
    first = int(np.searchsorted(desk.posts.arrived, hour - DAY))
    open_ = (found.at[first:arrived] == np.inf) & (desk.actions.action[first:arrived] != REMOVE)
    return first + np.flatnonzero(open_)


@dataclass(frozen=True, kw_only=True)
class Bill:
    """[n] in views of a hateful post: harm that was seen, posts that were fine and suffered, reviewers' time."""

    harm: Floats
    wrong: Floats
    time: Floats

    @property
    def total(self) -> Floats:
        return self.harm + self.wrong + self.time


def bill(desk: Desk, reviewed: Reviewed) -> Bill:
    """What became of each post. Until its review a post is seen as its action allows; then it is gone, or restored, as the reviewer decides, who errs
    in `error` of all cases."""
    posts, costs, action = desk.posts, desk.rules.costs, desk.actions.action
    severity, fine = posts.truth @ np.array(costs.severity), ~posts.truth.any(axis=1)
    kept = np.where(desk.actions.is_demoted, costs.kept, 1.0)
    left, looked = posts.left(reviewed.at), reviewed.at < np.inf
    removed = looked & (fine == (posts.luck < costs.error))
    seen = kept * (posts.views - left) + np.where(looked & ~removed, left, 0.0)
    seen = np.where(action == REMOVE, 0.0, seen)
    lost = np.where(desk.actions.is_demoted, 1 - left / posts.views, 0.0)
    wrong = np.where(removed | (action == REMOVE), costs.removal, costs.demotion * lost)
    return Bill(harm=severity * seen, wrong=np.where(fine, wrong, 0.0), time=looked * desk.minutes * costs.minute)


def nobody(desk: Desk) -> Reviewed:
    """No reviewer comes."""
    n = len(desk.posts)
    return Reviewed(at=np.full(n, np.inf), chosen=np.full(n, ""), propensity=np.full(n, np.nan))


def acting(desk: Desk, action: Ints, is_demoted: Bools) -> Desk:
    """The same desk, had the policy decided so."""
    return replace(desk, actions=replace(desk.actions, action=action, is_demoted=is_demoted))
