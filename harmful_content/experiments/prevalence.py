"""How many hand labels does it take to say how much harm stands?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval import intervals
from common.eval.chart import Chart
from common.eval.report import Interval
from common.events import key_column
from harmful_content import baseline, data, features
from harmful_content.config import Config
from harmful_content.evaluate.prevalence import INTERVALS, PERFECT, Raters, binomial, estimate
from harmful_content.evaluate.sampling import Frame, Sample, draw, neyman, proportional, unstratified
from harmful_content.experiments.platform import Posts, label, make

WORLDS = 40
BUDGET = 2_400  # labels, where coverage, width and error are told
BUDGETS = (600, BUDGET, 7_200)
SAMPLED, LEAST = 8, 200  # one post in so many is labelled in the world of the case, and at least so many
WIDTH = 0.01  # of the interval that is wanted: 3 % to within half a point
RATERS = {"always right": PERFECT, "2 % wrong": Raters(sensitivity=0.98, specificity=0.98)}
SPREADS = (0.5, 1.0, 1.5, 2.0, 3.0)

Design = Callable[[Posts, Frame, int, float, np.random.Generator], tuple[Frame, Sample]]
"""Of these posts, with the weights that are asked about, a budget and the share of wrong labels: the frame to estimate by, and the sample."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to come by an interval. `settle`: posts with more of the weight than one label's part are judged by a panel. `naive`: labels are taken for truth.
    `asks`: what it is tried on; `always_right`: also with raters that never err."""

    design: Design
    interval: str = "wilson"
    settle: bool = False
    naive: bool = False
    asks: tuple[str, ...] = ("posts", "views")
    always_right: bool = True


def at_random(posts: Posts, asked: Frame, budget: int, error: float, rng: np.random.Generator) -> tuple[Frame, Sample]:
    """Every post at the same chance, whatever it weighs."""
    rows = rng.choice(len(asked.weight), budget, replace=False)
    return unstratified(asked), _as_if_random(asked, rows)


def _as_if_random(asked: Frame, rows: Ints) -> Sample:
    return Sample(rows=rows, chance=np.full(len(rows), len(rows) / len(asked.weight)))


def by_views(posts: Posts, asked: Frame, budget: int, error: float, rng: np.random.Generator) -> tuple[Frame, Sample]:
    """Views at random: the chance of a post grows with them."""
    frame = unstratified(asked)
    labels = np.zeros(len(frame.size), np.int64)
    labels[0] = budget
    return frame, draw(frame, labels, rng)


def by_share(posts: Posts, asked: Frame, budget: int, error: float, rng: np.random.Generator) -> tuple[Frame, Sample]:
    return asked, draw(asked, proportional(asked, budget), rng)


def by_neyman(posts: Posts, asked: Frame, budget: int, error: float, rng: np.random.Generator) -> tuple[Frame, Sample]:
    return asked, draw(asked, neyman(asked, budget, error), rng)


def of_queue(posts: Posts, asked: Frame, budget: int, error: float, rng: np.random.Generator) -> tuple[Frame, Sample]:
    """A foil: what reviewers were given anyway, reported posts first, then by score, taken for a random sample."""
    rows = np.lexsort((-posts.probability, ~posts.reported))[:budget]
    return unstratified(asked), _as_if_random(asked, rows)


def lost(posts: Posts, asked: Frame, budget: int, error: float, rng: np.random.Generator) -> tuple[Frame, Sample]:
    """A foil: Neyman's sample, whose strata and chances nobody kept."""
    return unstratified(asked), _as_if_random(asked, by_neyman(posts, asked, budget, error, rng)[1].rows)


SIMPLE = {"posts": "posts at random", "views": "views at random"}
WAYS: Mapping[str, Way] = {
    "posts at random": Way(design=at_random),
    "views at random": Way(design=by_views, asks=("views",)),
    "strata, in proportion": Way(design=by_share),
    "strata, Neyman": Way(design=by_neyman),
    "strata, Neyman, the most seen settled by a panel": Way(
        design=by_neyman, settle=True, asks=("views",), always_right=False
    ),
    "strata, Neyman, bootstrap": Way(design=by_neyman, interval="bootstrap"),
    "strata, Neyman, Wald": Way(design=by_neyman, interval="wald"),
    "foil: labels of the review queue": Way(design=of_queue, asks=("posts",)),
    "foil: Neyman's sample without its weights": Way(design=lost, asks=("posts",)),
    "foil: Neyman, labels taken for truth": Way(design=by_neyman, naive=True, always_right=False),
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """[WORLDS] each: the interval's width, whether it holds the truth, value minus truth, posts a panel judged."""

    width: Floats
    covers: Floats
    error: Floats
    settled: Floats


def prevalence(config: Config) -> Table:
    """Labels for an interval WIDTH wide, over WORLDS platforms of 20,000 posts of which 3 % are harmful, each with its own sample and labels.

    `asks`: for the share of posts or of views. `labels_needed`: where the mean width over worlds passes WIDTH, between BUDGETS in logarithms; none
    where no budget does, and not asked of foils and of the other intervals. At BUDGET labels: `times_fewer` labels than `posts at random` (posts) or `views at random` (views) with the same raters,
    as the square of the widths, with `low` and `high` over worlds; `covers`, the share of worlds whose interval holds the truth, `covers_low`
    and `covers_high`; `width`; `error`, the mean of value minus truth in points of a hundred; `settled`, posts judged by a panel. The foils are
    sure of something else."""
    worlds = [make(config.seed + world) for world in range(WORLDS)]
    table: Table = []
    for asks, simple in SIMPLE.items():
        for raters in RATERS.values():
            usual = _told(worlds, WAYS[simple], asks, raters, BUDGET).width
            for name, way in WAYS.items():
                if asks in way.asks and (way.always_right or raters != PERFECT):
                    row: dict[str, Any] = {"asks": asks, "raters": _name(raters), "way": name, "labels_needed": None}
                    told = _told(worlds, way, asks, raters, BUDGET)
                    if way.interval == "wilson" and not name.startswith("foil"):
                        widths = [_told(worlds, way, asks, raters, budget).width.mean() for budget in BUDGETS]
                        row["labels_needed"] = needed(widths)
                    table.append(row | _row(usual, told))
    return table


def prevalence_case(config: Config) -> Table:
    """The same ways in the world of the case: its test posts, the baseline's scores (learnt from natural labels, so not calibrated), the reports
    of its log, and WORLDS samples of one post in SAMPLED. Columns as in `prevalence`, over samples; the truth is what the panel said."""
    posts = of_case(config)
    budget = max(LEAST, len(posts.views) // SAMPLED)
    table: Table = []
    for asks, simple in SIMPLE.items():
        for raters in RATERS.values():
            usual = _told([posts] * WORLDS, WAYS[simple], asks, raters, budget).width
            for name, way in WAYS.items():
                if asks in way.asks and (way.always_right or raters != PERFECT):
                    row = {"asks": asks, "raters": _name(raters), "way": name, "labels": budget}
                    table.append(row | _row(usual, _told([posts] * WORLDS, way, asks, raters, budget)))
    return table


def of_case(config: Config) -> Posts:
    """The test posts of which the panel said something, harmful under any policy; views if nobody acts; reported by anybody so far."""
    dataset, judgments = data.load(config), data.judgments(config)
    fitted = features.fit(dataset, config)
    score = baseline.fit(dataset, fitted, config).score(fitted.inputs(dataset.test, dataset.history)).max(axis=1)
    events = dataset.history.events
    reported = np.isin(dataset.test.post_id, key_column(events, "post_id")[events.kind == "report"])
    told = ~np.isnan(judgments.label).all(axis=1)
    return Posts(
        harmful=np.nansum(judgments.label, axis=1)[told] > 0,
        probability=score[told],
        views=np.rint(judgments.views[told]).astype(np.int64),
        reported=reported[told],
    )


def score_worth(config: Config) -> Table:
    """What strata save over how much the score knows: `times_fewer` of `prevalence` for the share of posts, minus 1, as `saved`. Below zero they cost labels.

    `spread`: standard deviation of the log odds of harm, all of which the score knows."""
    table: Table = []
    for raters in RATERS.values():
        for spread in SPREADS:
            worlds = [make(config.seed + world, spread=spread) for world in range(WORLDS)]
            width, usual = (_told(worlds, WAYS[name], "posts", raters, BUDGET).width for name in ("strata, Neyman", "posts at random"))  # fmt: skip
            row: dict[str, Any] = {"raters": _name(raters), "spread": spread}
            times = _times(usual, width)
            row["saved"] = times["times_fewer"] - 1
            table.append(row | {"low": times["low"] - 1, "high": times["high"] - 1})
    return table


def tell(posts: Posts, way: Way, asks: str, raters: Raters, budget: int, seed: int) -> tuple[Interval, float, int]:
    """-> (the interval, the truth, how many posts a panel settled): one sample drawn, labelled and estimated from."""
    rng = np.random.default_rng([seed, 41, budget])
    asked = posts.posts if asks == "posts" else posts.seen
    frame, sample = way.design(posts, asked, budget, 1 - raters.specificity, rng)
    truth = posts.harmful[sample.rows]
    settled: Bools = (asked.weight[sample.rows] * budget > asked.weight.sum()) & way.settle
    labels = np.where(settled, truth, label(truth, raters, rng))
    found = estimate(frame, sample, labels, PERFECT if way.naive else raters, settled, INTERVALS[way.interval], seed)
    return found.share, posts.share(asked), int(settled.sum())


def needed(width: Sequence[float]) -> float | None:
    """Widths at BUDGETS -> labels for WIDTH."""
    if not width[-1] <= WIDTH <= width[0]:
        return None
    return float(np.exp(np.interp(-np.log(WIDTH), -np.log(width), np.log(BUDGETS))))


def _told(worlds: list[Posts], way: Way, asks: str, raters: Raters, budget: int) -> Told:
    told = [tell(posts, way, asks, raters, budget, seed) for seed, posts in enumerate(worlds)]
    low, high, value = (
        np.array([getattr(found, end) for found, _, _ in told], float) for end in ("low", "high", "value")
    )
    truth, settled = np.array([truth for _, truth, _ in told]), np.array([settled for _, _, settled in told], float)
    covers = ((low <= truth) & (truth <= high)).astype(float)
    return Told(width=high - low, covers=covers, error=value - truth, settled=settled)


def _row(usual: Floats, told: Told) -> dict[str, float | None]:
    held = binomial(int(told.covers.sum()), len(told.covers))
    return {
        **_times(usual, told.width),
        "covers": held.value,
        "covers_low": held.low,
        "covers_high": held.high,
        "width": float(told.width.mean()),
        "error": 100 * float(told.error.mean()),
        "settled": float(told.settled.mean()),
    }


def _times(usual: Floats, width: Floats) -> dict[str, float]:
    found = intervals.mean(2 * np.log(usual / width), np.arange(len(width)))
    assert found.low is not None and found.high is not None
    return {
        "times_fewer": float(np.exp(found.value)),
        "low": float(np.exp(found.low)),
        "high": float(np.exp(found.high)),
    }


def _name(raters: Raters) -> str:
    return next(name for name, one in RATERS.items() if one == raters)


EXPERIMENTS: Mapping[str, Experiment] = {
    "prevalence": prevalence,
    "prevalence_case": prevalence_case,
    "score_worth": score_worth,
}
CHARTS: Mapping[str, Chart] = {
    "score_worth": Chart(
        title="What strata save when prevalence is estimated, by how much the score knows",
        x="spread",
        y="saved",
        series="raters",
        x_label="standard deviation of the log odds of harm that the score knows",
        y_label="labels of a simple sample over labels of a stratified one, minus 1",
    )
}
