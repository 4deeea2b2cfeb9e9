"""Which posts to label by hand: as many labels, chosen in four ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import classification, intervals
from common.eval.chart import Chart
from harmful_content import baseline, world
from harmful_content.baseline import Baseline
from harmful_content.config import Config
from harmful_content.experiments.trained import Case, trained
from harmful_content.features import Inputs

BUDGETS = (200, 400, 800, 1_600)
SEEDS = 5
CROWD = 2_000  # posts looked at when spread is sought: all of them cost a square
Pick = Callable[["Pool", Floats, Ints, int, np.random.Generator], Ints]


class Pool:
    """Training posts, of which none is labelled. `truth` is what a careful label would say; it is read only of posts that were chosen."""

    def __init__(self, case: Case) -> None:
        made = world.make(case.config)
        post_id = case.dataset.train.post_id
        self.case, self.truth, self.views = case, made.truth[post_id], made.views[post_id]

    def __len__(self) -> int:
        return len(self.truth)

    def fitted(self, labelled: Ints) -> Baseline:
        label = self.truth[labelled]
        return baseline.lines(
            self.case.train.tokens[labelled],
            label,
            np.ones(label.shape),
            len(self.case.features.words),
            self.case.config,
        )


def active(config: Config) -> Table:
    """Which posts should be labelled by hand, if the filter is to learn most from each label?

    The filter of words alone, from nothing but labels by hand: the first budget by lot, each further one half by half of what is left, chosen by the
    filter so far. `pr_auc`: mean over policies on the test posts; mean over SEEDS with its interval; `more` than by lot, paired by seed, `low` and
    `high` its interval. `uncertainty`: probability nearest to a half; `expected harm`: probability times the views to come, as the review queue
    would choose; `diversity`: farthest from all that is labelled (of CROWD drawn by lot), by what the filter says of a post; `least likely` is the
    foil. `positives`: share of the labels that found harm. What is chosen so tells nothing of prevalence: that needs a lot."""
    case = trained(config)
    pool = Pool(case)
    inputs = case.inputs(case.dataset.test)
    found = {name: [_run(pool, inputs, pick, seed) for seed in range(SEEDS)] for name, pick in WAYS.items()}
    lot = np.array([[point[0] for point in run] for run in found["by lot"]])
    return [
        _row(name, budget, np.array([run[at] for run in found[name]]), lot[:, at])
        for name in CHOSEN
        for at, budget in enumerate(BUDGETS)
        if at  # the first is by lot in every way
    ]


def _row(name: str, budget: int, points: Floats, lot: Floats) -> dict[str, object]:
    """points [SEEDS, 2]"""
    seeds = np.arange(SEEDS)
    mean, more = intervals.mean(points[:, 0], seeds), intervals.mean(points[:, 0] - lot, seeds)
    row = {
        "way": name,
        "labels": budget,
        "by_lot": float(lot.mean()),
        "pr_auc": mean.value,
        "pr_auc_low": mean.low,
        "pr_auc_high": mean.high,
    }
    return row | {"more": more.value, "low": more.low, "high": more.high, "positives": float(points[:, 1].mean())}


def _run(pool: Pool, inputs: Inputs, pick: Pick, seed: int) -> list[tuple[float, float]]:
    """-> (pr_auc, share of positives) at each budget."""
    rng = np.random.default_rng([pool.case.config.seed, 47, seed])
    labelled, points = rng.permutation(len(pool))[: BUDGETS[0]], []
    for budget in BUDGETS:
        while len(labelled) < budget:
            said = pool.fitted(labelled).score(pool.case.train)
            rest = np.setdiff1d(np.arange(len(pool)), labelled)
            labelled = np.concatenate(
                [labelled, pick(pool, said, rest, min(len(labelled) // 2, budget - len(labelled)), rng)]
            )
        scores = pool.fitted(labelled).score(inputs)
        points.append((_macro(pool.case, scores), float((pool.truth[labelled].max(axis=1) > 0).mean())))
    return points


def _macro(case: Case, scores: Floats) -> float:
    columns = zip(case.judgments.label.T, scores.T, strict=True)
    return float(np.mean([classification.pr_auc(label, score) for label, score in columns if label.sum()]))


def _by_lot(pool: Pool, said: Floats, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    return rng.permutation(rest)[:num]


def _highest(
    worth: Callable[[Pool, Floats], Floats], pool: Pool, said: Floats, rest: Ints, num: int, rng: np.random.Generator
) -> Ints:
    chosen: Ints = rest[np.argsort(-worth(pool, said)[rest], kind="stable")[:num]]
    return chosen


def _spread(pool: Pool, said: Floats, rest: Ints, num: int, rng: np.random.Generator) -> Ints:
    """Farthest first (Gonzalez 1985), from the labelled on: each is the one farthest from all that came before."""
    logits = np.log(said / (1 - said))
    labelled = np.setdiff1d(np.arange(len(pool)), rest)
    crowd = rng.permutation(rest)[: max(CROWD, num)]
    away = np.min([((logits[crowd] - logits[at]) ** 2).sum(axis=1) for at in labelled], axis=0)
    chosen = []
    for _ in range(num):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((logits[crowd] - logits[crowd[chosen[-1]]]) ** 2).sum(axis=1))
    farthest: Ints = crowd[np.array(chosen)]
    return farthest


WAYS: Mapping[str, Pick] = {
    "by lot": _by_lot,
    "uncertainty": partial(_highest, lambda pool, said: -np.abs(said - 0.5).min(axis=1)),
    "expected harm": partial(_highest, lambda pool, said: said.max(axis=1) * pool.views),
    "diversity": _spread,
    "least likely (foil)": partial(_highest, lambda pool, said: -said.max(axis=1)),
}
CHOSEN = tuple(name for name in WAYS if name != "by lot")
EXPERIMENTS: Mapping[str, Experiment] = {"active": active}
CHARTS: Mapping[str, Chart] = {
    "active": Chart(
        title="Labels chosen, against labels by lot",
        x="labels", y="more", series="way", log_x=True,
        x_label="labels by hand", y_label="macro pr_auc more than by lot",
    )
}  # fmt: skip
