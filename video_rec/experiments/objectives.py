"""What the ranker is asked for decides what the platform becomes: one model, the same rows, another label each time, each played to viewers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from video_rec.config import Config
from video_rec.experiments import gap, light, policies
from video_rec.experiments.online import Log, State
from video_rec.experiments.policies import Lab, Ranked

WORLDS, CAP = 5, 2
RATED, NOISE = 0.1, 0.2  # share of the rows that raters see; the standard deviation of a rating, on a scale from 0 to 1


def _rated(log: Log, rng: np.random.Generator) -> Floats:
    """People watch one row in ten to its end, whoever clicked it, and say how good it was for its viewer, with an error; NaN elsewhere."""
    rating = np.clip(log.gain + rng.normal(0, NOISE, len(log.gain)), 0, 1)
    return np.where(rng.random(len(rating)) < RATED, rating, np.nan)


Label = Callable[[Log, np.random.Generator], Floats]
BASE = "relevance: liked or watched to the end"
OBJECTIVES: Mapping[str, Label] = {
    BASE: lambda log, rng: log.pleased,
    "clicks": lambda log, rng: log.clicked,
    "completion": lambda log, rng: log.completed,
    "watch time": lambda log, rng: log.watch_seconds,
    "relevance: rated by people": _rated,
    "not hidden": lambda log, rng: 1 - log.hidden,
    "nothing: a label by chance": lambda log, rng: rng.random(len(log.user)),
}


def objectives(config: Config) -> Table:
    """Which label should the ranker be asked for, if satisfaction is what counts and nobody can log it?

    Every objective judged by its own figure and by all the others; `low`, `high`: of `against_percent`, the difference in satisfaction from the
    base in percent of it, over users. `catchy` (planted: it draws clicks and pleases nobody) and `length_seconds` say what each one shows more of.
    """
    judged: dict[str, list[tuple[Floats, dict[str, float]]]] = {name: [] for name in OBJECTIVES}
    for small in policies.labs(config, WORLDS):
        lab = policies.opened(small)
        log, state = policies.logged(lab, gap.AS_PLANTED)
        for number, (name, label) in enumerate(OBJECTIVES.items()):
            y = label(log, np.random.default_rng([small.seed, 15, number]))
            judged[name].append(judge(lab, log, state, y))
    base = np.concatenate([units for units, _ in judged[BASE]])
    return [row(name, found, base) for name, found in judged.items()]


def judge(lab: Lab, log: Log, state: State, label: Floats) -> tuple[Floats, dict[str, float]]:
    """-> satisfaction of each viewer, what else there is to say."""
    policy = Ranked(lab, light.fit(lab, log, label, gap.SHOWN_SINCE), cap=CAP)
    units, shown = gap.played(lab, policy, state)
    truth, visits = lab.world.truth, len(np.unique(shown.visit))
    return units, {
        "ctr": float(shown.clicked.mean()),
        "completion_rate": float(shown.completed.sum() / shown.clicked.sum()),
        "watch_seconds": float(shown.watch_seconds.sum() / visits),
        "relevant_a_visit": float(shown.pleased.sum() / visits),
        "hide_rate": float(shown.hidden.mean()),
        "catchy": float(truth.catchy[shown.video].mean()),
        "length_seconds": float(np.median(truth.length[shown.video])),
    }


def row(name: str, found: list[tuple[Floats, dict[str, float]]], base: Floats) -> dict[str, object]:
    units = np.concatenate([part for part, _ in found])
    change = intervals.mean(100 * (units - base) / base.mean(), clusters(len(units)))
    means = {key: float(np.mean([figures[key] for _, figures in found])) for key in found[0][1]}
    return {
        "objective": name,
        "satisfaction": float(units.mean()),
        "against_percent": change.value,
        "low": change.low,
        "high": change.high,
        **means,
    }


def clusters(n: int) -> Ints:
    """One row a viewer of a world: each is a cluster of its own."""
    return np.arange(n)


EXPERIMENTS: Mapping[str, Experiment] = {"objectives": objectives}
