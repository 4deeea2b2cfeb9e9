"""What each rule of enforcement costs, and what it is for; and what ten thousand reports from new accounts move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from harmful_content.config import Config
from harmful_content.experiments.desk import Desk, Order, Reviewed, bill, nobody, order, pace, work
from harmful_content.experiments.drawn import Posts
from harmful_content.experiments.review import posts, solved
from harmful_content.policy import Policy, Reports
from harmful_content.policy.enforcement import ALLOW, QUEUE, REMOVE
from harmful_content.policy.queue import Shares
from harmful_content.schema import POLICIES

WORLDS = 24
LOADS = {"even": 1.0, "scarce": 2.0}  # flagged posts a review there is time for
ATTACKED = 2.0  # where every review that is wasted is missed
DAY = 24.0
BEST = order("prevented harm")
BOMBED, REPORTERS = 20, 10_000  # harmless popular posts, and the new accounts that report each of them


@dataclass(frozen=True)
class Side:
    """One world under one set of rules. cost, harm: per 1,000 posts, in views of a hateful post. precision: of what a machine removed alone (1 where it
    removed nothing). longest_wait: hours, of those still waiting until now. by_lot: labels a day."""

    cost: float
    harm: float
    precision: float
    longest_wait: float
    by_lot: float


def rules(config: Config) -> Table:
    """What does each rule cost, and what does it buy? With the rule minus without it, on the same worlds, reviewers and luck, per 1,000 posts.

    `cost` below zero: the rule pays for itself. What it is for stands beside: `measure`, with the rule and without. Foil: a deadline in place of the share
    for the oldest: whoever has waited a day goes first; where reviewers are scarce that is first in, first out again. Intervals over worlds."""
    shares, whole = Shares.of(config), solved(config)
    without = {
        "precision floor": ("precision", solved(config, ("floor",)), shares),
        "demotion while waiting": ("harm", solved(config, ("demotion while waiting",)), shares),
        "places for the oldest": ("longest_wait", whole, replace(shares, oldest_every=0)),
        "places by lot": ("by_lot", whole, replace(shares, lot_every=0)),
    }
    desks = [Desk.of(config, posts(config, world), whole) for world in range(WORLDS)]
    table: Table = []
    for load in LOADS:
        full = [_side(one, one, shares, load) for one in desks]
        for name, (measure, other, shared) in without.items():
            sides = [_side(Desk.of(config, one.posts, other), one, shared, load) for one in desks]
            table.append(_row(load, name, measure, full, sides))
        late = [_side(one, one, replace(shares, oldest_every=0), load, _deadline) for one in desks]
        table.append(_row(load, "a share, but a deadline", "longest_wait", full, late))
    return table


def _row(load: str, name: str, measure: str, full: list[Side], sides: list[Side]) -> dict[str, str | float]:
    cost = intervals.mean(np.array([one.cost - other.cost for one, other in zip(full, sides, strict=True)]), np.arange(len(full)))  # fmt: skip
    row: dict[str, str | float] = {"load": load, "without": name, "cost": cost.value, "low": float(cost.low or 0), "high": float(cost.high or 0)}  # fmt: skip
    means = {key: float(np.mean([getattr(one, measure) for one in of])) for key, of in (("with_rule", full), ("without_rule", sides))}  # fmt: skip
    return row | {"measure": measure} | means


def _side(one: Desk, like: Desk, shares: Shares, load: str, by: Order = BEST) -> Side:
    """`like` sets the reviewers' pace, so that both sides have as many."""
    reviewed = work(one, by, pace(like, LOADS[load]), shares, np.random.default_rng(5))
    billed, removed, end = bill(one, reviewed), one.actions.action == REMOVE, one.posts.arrived[-1]
    waited = np.minimum(reviewed.at, end) - one.posts.arrived
    return Side(
        cost=1000 * float(billed.total.mean()),
        harm=1000 * float(billed.harm.mean()),
        precision=float(one.posts.truth[removed].any(axis=1).mean()) if removed.any() else 1.0,
        longest_wait=float(waited[one.flagged].max()),
        by_lot=float((reviewed.chosen == "lot").sum() / (end / DAY)),
    )


def _deadline(one: Desk, which: Ints, hour: float) -> Floats:
    """Prevented harm, but whoever has waited a day goes before everybody else."""
    value = one.waiting(which, hour).prevented()
    late = hour - one.posts.arrived[which] > DAY
    return np.where(late, value.max() + 1 + hour - one.posts.arrived[which], value)


def report_bomb(config: Config) -> Table:
    """What do ten thousand reports from new accounts move? They report BOMBED popular posts that nobody would flag, in every world, the moment these come.

    `moved`: cost of 1,000 posts under attack minus without, in views of a hateful post. `bound`: what is promised, that a bombed post costs at most one
    review: the worth of as many of the best reviews as were spent on them, the reviewers' time, and their errors. `removed`: bombed posts that were removed by
    the machine, `reviews` that looked at one. Foil: the bound is off, and reports count as they come. Intervals over worlds."""
    whole, desks = solved(config), [posts(config, world) for world in range(WORLDS)]
    trusting = replace(
        whole, off=("report bound",), trust=replace(whole.trust, push=1.0, untested_most=float(REPORTERS))
    )
    table: Table = []
    for name, rules_ in (("bounded", whole), ("as they come", trusting)):
        found = np.array([_attacked(config, one, whole, rules_) for one in desks])
        moved = intervals.mean(found[:, 0], np.arange(WORLDS))
        row = {"reports": name, "moved": moved.value, "low": moved.low, "high": moved.high}
        table.append(row | dict(zip(("bound", "removed", "reviews"), found[:, 1:].mean(axis=0).tolist(), strict=True)))
    return table


def _attacked(config: Config, found: Posts, quiet: Policy, rules_: Policy) -> tuple[float, float, float, float]:
    """-> moved, bound (per 1,000 posts), bombed posts removed, bombed posts reviewed."""
    before = Desk.of(config, found, quiet)
    calm = (before.actions.action == ALLOW) & ~found.truth.any(axis=1)
    bombed = np.flatnonzero(calm)[np.argsort(-found.expected[calm])[:BOMBED]]
    push = np.zeros(found.score.shape)
    push[bombed] = rules_.trust.pushes(_new_accounts(), len(POLICIES))
    after = Desk.of(config, found, rules_, push)
    hours, shares = pace(before, ATTACKED), Shares.of(config)
    then, now = (work(one, BEST, hours, shares, np.random.default_rng(5)) for one in (before, after))
    cost = [1000 * bill(one, reviewed).total for one, reviewed in ((before, then), (after, now))]
    reviewed = bombed[(now.at[bombed] < np.inf) & (after.actions.action[bombed] == QUEUE)]
    bound = _bound(before, then, after, bombed)
    removed = (after.actions.action[bombed] == REMOVE).sum()
    return float((cost[1] - cost[0]).mean()), 1000 * bound / len(found), float(removed), float(len(reviewed))


def _bound(before: Desk, then: Reviewed, after: Desk, bombed: Ints) -> float:
    """What one review of each of these posts costs at most: the worth of the best of the reviews without an attack, as many minutes of them; time; errors."""
    costs, spent = before.rules.costs, float(after.minutes[bombed].sum())
    worth = bill(before, nobody(before)).harm - bill(before, then).harm
    best = np.argsort(-worth / before.minutes)
    within = np.cumsum(before.minutes[best]) <= spent + before.minutes.max()
    errors = costs.removal * (after.posts.luck[bombed] < costs.error).sum()
    return float(worth[best][within].sum() + spent * costs.minute + errors)


def _new_accounts() -> Reports:
    """Of today, without a past, all of one mind."""
    nothing = np.zeros(REPORTERS, dtype=np.int64)
    return Reports(reporter_id=np.arange(REPORTERS), policy=nothing, upheld=nothing, rejected=nothing, account_days=nothing.astype(float))  # fmt: skip


EXPERIMENTS: Mapping[str, Experiment] = {"rules": rules, "report_bomb": report_bomb}
