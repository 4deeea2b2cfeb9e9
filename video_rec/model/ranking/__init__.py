"""The ranker: from a few hundred candidates to their order, by what the viewer would do with each.

One predictor of all tasks; the score is a weighted sum of what it predicts, so what the feed is for is a line of the config. Tasks known of
watched videos alone (completed, liked, shared, seconds) are learned from those, P(completed | clicked), and count as often as there is a click.

Choice: one network with a bottom shared by all tasks (config.ranker shared_bottom): the cheapest to run. Seconds as log(1 + seconds) by
        squared error, and back by one factor (`smear`).
Else:   mmoe, where tasks pull against each other (`mlsd experiment video_rec task_conflict`); lightgbm, where a core is spared for it;
        single_task, one network a task, which shows what sharing brings (`mlsd experiment video_rec ranker` measures all four). Seconds as
        the odds of a logistic regression of clicks weighted by seconds (Covington et al. 2016, section 4.2), where one number is to order
        all impressions and clicks are rare: the odds are near E[seconds] only then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError, did_you_mean
from video_rec.config import Config
from video_rec.model.ranking import networks, trees
from video_rec.schema import TASKS

AFTER_A_CLICK = {"completed", "liked", "shared", "watch_seconds"}
WEIGHTS = {"watch_seconds": "weight_watch"} | {task: f"weight_{task}" for task in TASKS if task != "watch_seconds"}
"""Task -> the config's field that says what it is worth."""


class Predictor(Protocol):
    def predict(self, dense: Floats, tasks: tuple[str, ...]) -> dict[str, Floats]:
        """dense [n, num_features] -> task -> [n]: probabilities, or log(1 + seconds)."""
        ...

    def save(self, folder: Path) -> None: ...


Fitter = Callable[[Floats, Floats, Bools, Config], Predictor]
"""dense [n, num_features], target [n, num_tasks], NaN where unknown and log(1 + seconds) of the time watched, held out [n] to stop on."""
FITTERS: Mapping[str, Fitter] = {**{kind: networks.fitter(kind) for kind in networks.BODIES}, "lightgbm": trees.fit}


def fit(dense: Floats, labels: Mapping[str, Floats], user_id: Ints, config: Config) -> Ranker:
    """dense [n, num_features], labels task -> [n] with NaN where unknown. One user in eight is held out to stop on."""
    return fit_by(_known(config.ranker), dense, labels, user_id, config)


def load(folder: Path) -> Ranker:
    path = folder / "ranker.json"
    try:
        saved = json.loads(path.read_text())
        kind, tasks, smear = str(saved["kind"]), tuple(saved["tasks"]), float(saved["smear"])
        weights = {task: float(saved["weights"][task]) for task in saved["weights"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a whole ranker ({error!r}). Publish the model again.") from error
    _known(kind)
    if tasks != TASKS or not set(weights) <= set(TASKS):
        raise InputError(
            f"{path}: learned {tasks} and weighs {tuple(weights)}, expected {TASKS}. Train the model again."
        )
    predictor = trees.load(folder) if kind == "lightgbm" else networks.load(folder, kind)
    return Ranker(predictor, kind, weights, smear)


@dataclass(frozen=True)
class Ranker:
    """`weights` of the tasks that had labels; `smear`: what exp(predicted log(1 + seconds)) is multiplied by to be 1 + expected seconds."""

    predictor: Predictor
    kind: str
    weights: Mapping[str, float]
    smear: float

    def predict(self, dense: Floats) -> dict[str, Floats]:
        """dense [n, num_features] -> task -> [n]: probabilities, or expected seconds."""
        return self._predict(dense, tuple(self.weights))

    def score(self, dense: Floats) -> Floats:
        """[n]: what an impression is worth, the weighted sum of what is expected of it. What only follows a click counts as often as there is
        one: P(click) x P(completed | click). Seconds as log(1 + seconds): the tenth minute is worth less than the first."""
        asked = {task for task, weight in self.weights.items() if weight}
        clicks = asked & AFTER_A_CLICK and "clicked" in self.weights
        predicted = self._predict(dense, tuple(task for task in self.weights if task in asked or (clicks and task == "clicked")))  # fmt: skip
        total = np.zeros(len(dense))
        for task in sorted(asked):  # the same sum in every process
            worth = np.log1p(predicted[task]) if task == "watch_seconds" else predicted[task]
            total += self.weights[task] * (worth * predicted["clicked"] if clicks and task in AFTER_A_CLICK else worth)
        return total

    def _predict(self, dense: Floats, tasks: tuple[str, ...]) -> dict[str, Floats]:
        found = self.predictor.predict(dense, tasks)
        if "watch_seconds" in found:
            found["watch_seconds"] = np.maximum(self.smear * np.exp(found["watch_seconds"]) - 1, 0.0)
        return found

    def save(self, folder: Path) -> None:
        self.predictor.save(folder)
        saved = {"kind": self.kind, "tasks": TASKS, "weights": dict(self.weights), "smear": self.smear}
        (folder / "ranker.json").write_text(json.dumps(saved))


def fit_by(fitter: Fitter, dense: Floats, labels: Mapping[str, Floats], user_id: Ints, config: Config) -> Ranker:
    """As `fit`, with any fitter: what a tuning trial calls."""
    known = {task: labels.get(task, np.full(len(dense), np.nan)) for task in TASKS}
    target = np.stack([np.log1p(known[task]) if task == "watch_seconds" else known[task] for task in TASKS], axis=1)
    aside = held_out(user_id)
    predictor = fitter(dense, target, aside, config)
    weights = {task: getattr(config, WEIGHTS[task]) for task in TASKS if np.isfinite(known[task]).any()}
    smear = _smear(predictor, dense[aside], known["watch_seconds"][aside])
    return Ranker(predictor, config.ranker, weights, smear)


def held_out(user_id: Ints) -> Bools:
    """[n] one user in eight; of too few users every eighth row."""
    aside: Bools = user_id % 8 == 7
    return aside if 0 < aside.sum() < len(aside) else np.arange(len(user_id)) % 8 == 7


def _smear(predictor: Predictor, dense: Floats, seconds: Floats) -> float:
    """exp of a mean of logs is less than the mean. The ratio of the two means over held-out rows repairs the level, however the logs scatter;
    Duan's mean of exp(residual) (1983, Smearing Estimate) is that only where they scatter alike everywhere, and a watch does not."""
    known = np.isfinite(seconds)
    if not known.any():
        return 1.0
    predicted = predictor.predict(dense[known], ("watch_seconds",))["watch_seconds"]
    return float((1 + seconds[known]).mean() / np.exp(predicted).mean())


def _known(kind: str) -> Fitter:
    if kind not in FITTERS:
        raise InputError(f"There is no ranker {kind!r}. {did_you_mean(kind, FITTERS)}")
    return FITTERS[kind]
