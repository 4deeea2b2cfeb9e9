"""The queue at three loads; automatic action against review, by how many reviewers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart
from common.eval.report import Interval
from harmful_content import policy
from harmful_content.config import Config
from harmful_content.experiments import desk, drawn
from harmful_content.experiments.desk import ORACLE, Desk, bill, nobody, order, pace, work
from harmful_content.policy.enforcement import ALLOW, DEMOTE, QUEUE, REMOVE
from harmful_content.policy.queue import ORDERS, Shares

WORLDS = 24
DOUBTFUL_POSTS = 320  # violations a world, so that a rarer harm means more posts and not fewer reviews
LOADS = {"ample": 0.5, "even": 1.0, "scarce": 2.0}  # flagged posts a review there is time for
NO_SHARES = Shares(oldest_every=0, lot_every=0)
ALL_BY_LOT = Shares(oldest_every=0, lot_every=1)
LEAST_GAP = 0.01  # of what the oracle prevents
FIFO, SERVED, CHANCE, UNSEEN, LOT = "first in, first out", "as served", "by chance", "views unknown", "labels by lot"
REVIEWERS_A_POST = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


@lru_cache(maxsize=8)
def solved(config: Config, off: tuple[str, ...] = ()) -> policy.Policy:
    """The rules, from the labelled posts of a world of their own."""
    scores, labels = drawn.labelled(config, np.random.default_rng([config.seed, 0]))
    return policy.solved(scores, labels, config, off)


def posts(config: Config, world: int) -> drawn.Posts:
    rng = np.random.default_rng([config.seed, 1 + world])
    return drawn.draw(config, rng, round(DOUBTFUL_POSTS / config.harm_share))


def queue(config: Config) -> Table:
    """In which order should reviewers look? Harm they prevent, and of the gap between first in, first out and an oracle the share that each order closes.

    The oracle knows every truth and every view to come, and takes the greatest harm a minute first: an oracle, not a bound. `as served` has the shares
    of the config for the oldest and by lot. Foils: by score, by reports, by views, and the same order blind to views. Controls: the queue in an order by
    chance, and reviews that are all drawn by lot from all posts. Intervals over worlds."""
    return compared([Desk.of(config, posts(config, world), solved(config)) for world in range(WORLDS)])


def compared(desks: Sequence[Desk]) -> Table:
    """Every order at every load, over these desks. A load at which the oracle prevents hardly more than first in, first out has no gap to close, and no
    row: whatever the order, everything is seen at once."""
    named, table = [*ORDERS, UNSEEN, SERVED, CHANCE, LOT, ORACLE], []
    for name, load in LOADS.items():
        found = {by: np.array([_prevented(one, by, load) for one in desks]) for by in named}
        gap = found[ORACLE] - found[FIFO]
        if gap.mean() < LEAST_GAP * found[ORACLE].mean():
            continue
        for by in named:
            share = ratio(found[by] - found[FIFO], gap)
            table.append({"load": name, "order": by, "prevented": float(found[by].mean()), "share_of_gap": share.value, "low": share.low, "high": share.high})  # fmt: skip
    return table


def _prevented(one: Desk, by: str, load: float) -> float:
    """Harm of flagged posts, per 1,000 posts, that the reviews prevent: what a lot finds among the others is luck, and beside the point here."""
    rng = np.random.default_rng(5)  # the same luck for all orders
    by_order = {CHANCE: _by_chance, UNSEEN: _views_unknown}.get(by) or order(
        "prevented harm" if by in (SERVED, LOT) else by
    )
    shares = {SERVED: Shares.of(one.config), LOT: ALL_BY_LOT}.get(by, NO_SHARES)
    reviewed = work(one, by_order, pace(one, load), shares, rng)
    spared = bill(one, nobody(one)).harm - bill(one, reviewed).harm
    return 1000 * float(np.where(one.flagged, spared, 0.0).mean())


def _by_chance(one: Desk, which: Ints, hour: float) -> Floats:
    return np.random.default_rng(int(3600 * hour)).random(len(which))


def _views_unknown(one: Desk, which: Ints, hour: float) -> Floats:
    """Prevented harm, had every post the same views: only its age says how many are to come."""
    left: Floats = 0.5 ** ((hour - one.posts.arrived[which]) / one.config.view_half_life)
    return one.harm[which] * left / one.minutes[which]


def ratio(top: Floats, bottom: Floats) -> Interval:
    """mean(top) / mean(bottom) over worlds, its interval by the slope of a ratio (the delta method)."""
    whole, mean = float(top.mean() / bottom.mean()), float(bottom.mean())
    return intervals.mean(whole + (top - whole * bottom) / mean, np.arange(len(top)))


def review_or_act(config: Config) -> Table:
    """From how many reviewers on should people look, and not a machine alone? Cost of 1,000 posts, less that of acting on all of them by machine.

    All automatic: the cheapest of allow, demote and remove, without a floor and without a reviewer. All review: what is flagged waits for a reviewer, and the
    machine does nothing itself. Solved mix: the policy. Reviewers are counted in reviews they have time for, per flagged post. Intervals over worlds."""
    rules, table = solved(config), []
    worlds = [Desk.of(config, posts(config, world), rules) for world in range(WORLDS)]
    automatic = np.array([_cost(_all_automatic(one), one, 0.0) for one in worlds])
    ways = {"all review": [_all_review(one) for one in worlds], "solved mix": worlds}
    for reviewers in REVIEWERS_A_POST:
        for name, acted in ways.items():
            cost = np.array([_cost(one, like, reviewers) for one, like in zip(acted, worlds, strict=True)])
            found = intervals.mean(cost - automatic, np.arange(WORLDS))
            table.append({"way": name, "reviewers": reviewers, "difference": found.value, "low": found.low, "high": found.high, "cost": float(cost.mean()), "all_automatic": float(automatic.mean())})  # fmt: skip
    return table


def _all_automatic(one: Desk) -> Desk:
    """For every policy the cheapest of allow, demote and remove; the hardest of them is done."""
    probability = one.rules.calibration.apply(one.posts.score)
    cost = np.delete(one.rules.costs.expected(probability), QUEUE, axis=-1)
    action = np.array([ALLOW, DEMOTE, REMOVE])[cost.argmin(axis=-1).max(axis=1)]
    return desk.acting(one, action, action == DEMOTE)


def _all_review(one: Desk) -> Desk:
    """What the policy would act on in any way waits for a reviewer, and is seen as before until one comes."""
    flagged = one.actions.action > ALLOW
    return desk.acting(one, np.where(flagged, QUEUE, ALLOW), np.zeros(len(flagged), dtype=bool))


def _cost(one: Desk, like: Desk, reviewers: float) -> float:
    """Of 1,000 posts. There are as many reviewers as `reviewers` per flagged post of `_all_review(like)`, whatever is flagged here."""
    if not reviewers:
        return 1000 * float(bill(one, nobody(one)).total.mean())
    hours = pace(_all_review(like), 1 / reviewers)
    reviewed = work(one, order("prevented harm"), hours, Shares.of(one.config), np.random.default_rng(5))
    return 1000 * float(bill(one, reviewed).total.mean())


EXPERIMENTS: Mapping[str, Experiment] = {"queue": queue, "review_or_act": review_or_act}
CHARTS: Mapping[str, Chart] = {
    "review_or_act": Chart(
        title="People or a machine alone, by how many reviewers there are",
        x="reviewers",
        y="difference",
        series="way",
        x_label="reviews there is time for, per flagged post",
        y_label="cost of 1,000 posts, less all automatic (below zero: people pay)",
        log_x=True,
    )
}
