"""What reviewers who misread one dialect do to measured gaps, and what finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval.report import Interval
from harmful_content.config import Config
from harmful_content.evaluate.prevalence import PERFECT, Raters, binomial, count, difference, estimate
from harmful_content.evaluate.sampling import Frame, Sample
from harmful_content.experiments.platform import make

WORLDS, POSTS, DIALECT = 40, 60_000, 0.3
MISSED = 0.1  # harmful posts that a reviewer calls fine, whoever wrote them
MISREAD = {"others": 0.02, "dialect": 0.08}  # fine posts that a reviewer calls harmful
SHARED = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the misreadings: every reviewer has them alike
LEARNT = 2.0  # log odds that a score trained on such labels gives too much to what everybody misreads
FLAGGED = 0.1  # probability from which the system acts
LOOKS, PANEL = 1_500, 500  # posts a group that are reviewed; of them, settled by a panel that knows the dialect


@dataclass(frozen=True, kw_only=True)
class Group:
    """Posts of one group [n]. `misread`: fine, and every reviewer calls it harmful; `alone`: the chance that one of them does so where not all do."""

    harmful: Bools
    probability: Floats
    misread: Bools
    alone: float

    def __len__(self) -> int:
        return len(self.harmful)

    def take(self, rows: Ints | Bools) -> Group:
        return Group(
            harmful=self.harmful[rows],
            probability=self.probability[rows],
            misread=self.misread[rows],
            alone=self.alone,
        )

    def review(self, rng: np.random.Generator) -> Bools:
        """One reviewer's labels [n]."""
        draw = rng.random(len(self))
        found: Bools = np.where(self.harmful, draw >= MISSED, self.misread | (draw < self.alone))
        return found

    def told(self, labels: Bools, raters: Raters) -> Interval:
        """The share that is harmful, from labels of all these posts, which were drawn at random from very many."""
        frame = Frame(
            stratum=np.zeros(len(self), np.int64), weight=np.ones(len(self)), probability=np.full(len(self), 0.5)
        )
        sample = Sample(rows=np.arange(len(self)), chance=np.full(len(self), 1e-9))
        return estimate(frame, sample, labels, raters).share


Pair = tuple[Group, Group]
Measure = Callable[[Pair, np.random.Generator], tuple[Interval, Interval]]


def one(pair: Pair, rng: np.random.Generator) -> tuple[Interval, Interval]:
    first, second = (group.told(group.review(rng), PERFECT) for group in pair)
    return first, second


def adjudicated(pair: Pair, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """Two reviewers; where they differ a panel decides."""
    first, second = (group.told(_adjudicated(group, rng), PERFECT) for group in pair)
    return first, second


def corrected(pair: Pair, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """One reviewer; PANEL of the posts of each group are settled, and the errors counted there are taken out of that group."""
    labels = [group.review(rng) for group in pair]
    first, second = (
        group.told(said, count(group.harmful[:PANEL], said[:PANEL])) for group, said in zip(pair, labels, strict=True)
    )
    return first, second


def alike(pair: Pair, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """A foil: the same panel, and one pair of error rates for everybody."""
    labels = [group.review(rng) for group in pair]
    settled = np.concatenate([group.harmful[:PANEL] for group in pair])
    raters = count(settled, np.concatenate([said[:PANEL] for said in labels]))
    first, second = (group.told(said, raters) for group, said in zip(pair, labels, strict=True))
    return first, second


MEASURES: Mapping[str, Measure] = {
    "one reviewer": one,
    "two reviewers, a panel where they differ": adjudicated,
    "one reviewer, a panel counts errors by group": corrected,
    "foil: one reviewer, a panel counts errors of all": alike,
}


def human_bias(config: Config) -> Table:
    """Share of harm among posts in a dialect minus that among others, as measured, in WORLDS platforms where the dialect is no more harmful.

    Reviewers misread fine posts of the dialect MISREAD times; a share `shared` of that every reviewer does alike, and the score, trained on their
    labels, has learnt it. `of`: all posts (a gap in prevalence, in truth 0) or flagged ones (a gap in precision, in truth below 0: the system
    wrongs the dialect). `gap` is the mean over worlds of what is measured, `truth` of what is; `covers` the share of intervals that hold the
    truth, with `low` and `high`. `width` of those intervals. `differ_dialect`, `differ_others`: how often two reviewers differ, which is what anybody can see."""
    table: Table = []
    for shared in SHARED:
        pairs = [platform(config.seed + world, shared) for world in range(WORLDS)]
        for of in ("all", "flagged"):
            asked = [tuple(_asked(group, of) for group in pair) for pair in pairs]
            for name, measure in MEASURES.items():
                row = {"shared": shared, "of": of, "way": name}
                table.append(row | _row([(first, second) for first, second in asked], measure))
    return table


def platform(seed: int, shared: float) -> Pair:
    """-> (posts in the dialect, posts of the others)."""
    posts = make(seed, num=POSTS)
    rng = np.random.default_rng([seed, 60])
    dialect, draw = rng.random(POSTS) < DIALECT, rng.random(POSTS)
    groups = []
    for rows, wrong in ((dialect, MISREAD["dialect"]), (~dialect, MISREAD["others"])):
        misread = ~posts.harmful[rows] & (draw[rows] < wrong * shared)
        odds = np.log(posts.probability[rows] / (1 - posts.probability[rows])) + LEARNT * misread
        alone = wrong * (1 - shared) / (1 - wrong * shared)
        group = Group(harmful=posts.harmful[rows], probability=1 / (1 + np.exp(-odds)), misread=misread, alone=alone)
        groups.append(group)
    return groups[0], groups[1]


def _asked(group: Group, of: str) -> Group:
    return group.take(group.probability >= (FLAGGED if of == "flagged" else 0.0))


def _row(pairs: list[Pair], measure: Measure) -> dict[str, float | None]:
    gaps, truths, differ = [], [], []
    for seed, pair in enumerate(pairs):
        rng = np.random.default_rng([seed, 61])
        drawn = [group.take(rng.permutation(len(group))[:LOOKS]) for group in pair]
        gaps.append(difference(*measure((drawn[0], drawn[1]), rng)))
        truths.append(float(pair[0].harmful.mean() - pair[1].harmful.mean()))
        differ.append([float((group.review(rng) != group.review(rng)).mean()) for group in drawn])
    held = binomial(sum(_holds(gap, truth) for gap, truth in zip(gaps, truths, strict=True)), len(gaps))
    return {
        "gap": float(np.mean([gap.value for gap in gaps])),
        "truth": float(np.mean(truths)),
        "covers": held.value,
        "low": held.low,
        "high": held.high,
        "width": float(np.mean([_width(gap) for gap in gaps])),
        "differ_dialect": float(np.mean(differ, axis=0)[0]),
        "differ_others": float(np.mean(differ, axis=0)[1]),
    }


def _holds(gap: Interval, truth: float) -> bool:
    assert gap.low is not None and gap.high is not None
    return gap.low <= truth <= gap.high


def _width(gap: Interval) -> float:
    assert gap.low is not None and gap.high is not None
    return gap.high - gap.low


def _adjudicated(group: Group, rng: np.random.Generator) -> Bools:
    first, second = group.review(rng), group.review(rng)
    found: Bools = np.where(first == second, first, group.harmful)
    return found


EXPERIMENTS: Mapping[str, Experiment] = {"human_bias": human_bias}
