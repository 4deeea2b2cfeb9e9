"""What the ranker is asked for decides what the platform becomes: one model, another label each time, each played
to viewers. The same rows for all but one: people rated a tenth of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Experiment, Floats, Ints, Table
from common.eval import intervals, ranking
from common.eval.chart import Chart
from common.eval.report import Interval
from video_rec.config import Config
from video_rec.experiments import gap, light, policies
from video_rec.experiments.online import Log, Seen, State
from video_rec.experiments.policies import Lab, Ranked, Scores

WORLDS, CAP = 10, 2
SHARES = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)  # of popularity in a score
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
    base in percent of it, over worlds: the viewers of one share its log and its fit. `catchy` (planted: it draws clicks and pleases nobody) and `length_seconds` say what each one shows more of.
    """
    judged: dict[str, list[tuple[Floats, dict[str, float]]]] = {name: [] for name in OBJECTIVES}
    for small in policies.labs(config, WORLDS):
        lab = policies.opened(small)
        log, state = policies.logged(lab, gap.AS_PLANTED)
        for number, (name, label) in enumerate(OBJECTIVES.items()):
            y = label(log, np.random.default_rng([small.seed, 15, number]))
            judged[name].append(judge(lab, log, state, y))
    return [row(name, found, [units for units, _ in judged[BASE]]) for name, found in judged.items()]


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


def row(name: str, found: list[tuple[Floats, dict[str, float]]], base: list[Floats]) -> dict[str, object]:
    parts = [part for part, _ in found]
    change = over_worlds(parts, base)
    means = {key: float(np.mean([figures[key] for _, figures in found])) for key in found[0][1]}
    return {
        "objective": name,
        "satisfaction": float(np.mean([part.mean() for part in parts])),
        "against_percent": change.value,
        "low": change.low,
        "high": change.high,
        **means,
    }


def over_worlds(parts: list[Floats], base: list[Floats]) -> Interval:
    """Satisfaction of the viewers of each world -> the difference in percent of the base's, a world a number."""
    change = np.array([100 * (part.mean() / of.mean() - 1) for part, of in zip(parts, base, strict=True)])
    return intervals.mean(change, np.arange(len(change)))


def popularity_share(config: Config) -> Table:
    """How much of a score should be plain popularity? From taste alone (0) to popularity alone (1, the foil).

    Both are put on one scale, viewer by viewer. low, high: of `against_percent`, the difference in satisfaction from taste alone, over worlds.
    `gini`, `coverage`: of what was shown, over the catalogue. `light_percent`: the same difference for the half of the viewers who watched least.
    """
    units: dict[float, list[Floats]] = {share: [] for share in SHARES}
    spread: dict[float, list[tuple[float, float]]] = {share: [] for share in SHARES}
    light_half: list[Bools] = []
    for small in policies.labs(config, WORLDS):
        lab = policies.opened(small)
        log, state = policies.logged(lab, gap.AS_PLANTED)
        taste = light.fit(lab, log, log.pleased, gap.SHOWN_SINCE)
        num_watched = state.seen.watched.sum(axis=1)
        light_half.append(num_watched <= np.median(num_watched))
        for share in SHARES:
            found, shown = gap.played(lab, Ranked(lab, blended(taste, log, share), cap=CAP), state)
            units[share].append(found)
            n = small.num_videos
            spread[share].append((ranking.gini(shown.video, n), ranking.coverage(shown.video, n)))
    base, few = np.concatenate(units[0.0]), np.concatenate(light_half)
    rows: Table = []
    for share in SHARES:
        ours = np.concatenate(units[share])
        change = over_worlds(units[share], units[0.0])
        gini, coverage = np.mean(spread[share], axis=0).tolist()
        rows.append({
            "popularity": share, "satisfaction": float(ours.mean()), "against_percent": change.value, "low": change.low, "high": change.high,
            "light_percent": float(100 * (ours[few].mean() / base[few].mean() - 1)), "gini": gini, "coverage": coverage,
        })  # fmt: skip
    return rows


def blended(taste: Scores, log: Log, share: float) -> Scores:
    """(1 - share) x taste + share x log popularity, each with mean 0 and deviation 1 over the catalogue."""

    def scores(seen: Seen, users: Ints) -> NDArray[np.floating]:
        personal = taste(seen, users)
        popular = np.log1p(np.bincount(log.video, log.clicked, personal.shape[1]))
        found: NDArray[np.floating] = (1 - share) * _scaled(personal) + share * _scaled(popular[None])
        return found

    return scores


def _scaled(values: NDArray[np.floating]) -> NDArray[np.floating]:
    spread: NDArray[np.floating] = np.maximum(values.std(axis=1, keepdims=True), 1e-9)
    found: NDArray[np.floating] = (values - values.mean(axis=1, keepdims=True)) / spread
    return found


EXPERIMENTS: Mapping[str, Experiment] = {"objectives": objectives, "popularity_share": popularity_share}
CHARTS: Mapping[str, Chart] = {
    "popularity_share": Chart(
        title="What popularity in the score costs in satisfaction",
        x="popularity",
        y="against_percent",
        x_label="share of popularity in the score",
        y_label="satisfaction against taste alone, percent",
    )
}
