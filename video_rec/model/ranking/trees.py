"""The ranker as boosted trees: one LightGBM booster a task, on the same rows as the networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Bools, Floats
from common.errors import InputError
from common.serving.trees import MOST_LEAVES, QuickTrees
from common.training.seeding import lightgbm_threads
from video_rec.config import Config
from video_rec.schema import TASKS

NUM_TREES, SHRINKAGE, NUM_LEAVES, MIN_LEAF, PATIENCE = 200, 0.08, 16, 50, 20
ONE_REQUEST = 2_000  # rows; above, LightGBM's threads are quicker


def fit(dense: Floats, target: Floats, aside: Bools, config: Config, num_leaves: int = NUM_LEAVES) -> Trees:
    """dense [n, num_features], target [n, num_tasks], NaN where unknown; the rows `aside` [n] say when to stop. Of a task without a label on
    either side there are no trees."""
    assert num_leaves <= MOST_LEAVES, num_leaves
    known = np.isfinite(target)
    texts = {
        task: _grown(dense, target[:, place], known[:, place] & ~aside, known[:, place] & aside, _parameters(task, num_leaves, config))
        for place, task in enumerate(TASKS)
        if known[~aside, place].any()
    }  # fmt: skip
    return Trees(texts)


def load(folder: Path) -> Trees:
    """LightGBM's text reader trusts what it is given, so it is given nothing that is not what `save` wrote."""
    path = folder / "trees.json"
    try:
        digests = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a whole list of trees ({error}). Publish the model again.") from error
    return Trees({task: _read(folder / f"trees.{task}.txt", digests[task]) for task in TASKS if task in digests})


@dataclass(frozen=True, eq=False)
class Trees:
    """texts: task -> LightGBM's text."""

    texts: Mapping[str, str]

    def predict(self, dense: Floats, tasks: tuple[str, ...]) -> dict[str, Floats]:
        """dense [n, num_features] -> task -> [n]: probabilities, or log(1 + seconds)."""
        raw = {task: self._raw(task, dense) for task in tasks}
        return {task: out if task == "watch_seconds" else 1 / (1 + np.exp(-out)) for task, out in raw.items()}

    def save(self, folder: Path) -> None:
        for task, text in self.texts.items():
            (folder / f"trees.{task}.txt").write_text(text)
        digests = {task: hashlib.sha256(text.encode()).hexdigest() for task, text in self.texts.items()}
        (folder / "trees.json").write_text(json.dumps(digests))

    def _raw(self, task: str, dense: Floats) -> Floats:
        if len(dense) <= ONE_REQUEST:
            return self._quick[task].score(dense)
        found: Floats = self._boosters[task].predict(dense, num_threads=lightgbm_threads(), raw_score=True)
        return found

    @cached_property
    def _boosters(self) -> dict[str, Any]:
        import lightgbm

        return {task: lightgbm.Booster(model_str=text) for task, text in self.texts.items()}

    @cached_property
    def _quick(self) -> dict[str, QuickTrees]:
        """For the candidates of one request; the same numbers, bit for bit."""
        return {task: QuickTrees(booster) for task, booster in self._boosters.items()}


def _grown(dense: Floats, label: Floats, learn: Bools, stop: Bools, parameters: Mapping[str, Any]) -> str:
    import lightgbm

    train = lightgbm.Dataset(dense[learn], label[learn])
    if not stop.any():
        return str(lightgbm.train(dict(parameters), train, NUM_TREES // 4).model_to_string())
    valid = lightgbm.Dataset(dense[stop], label[stop], reference=train)
    enough = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(dict(parameters), train, NUM_TREES, valid_sets=[valid], callbacks=[enough])
    return str(booster.model_to_string(num_iteration=booster.best_iteration))


def _parameters(task: str, num_leaves: int, config: Config) -> dict[str, Any]:
    """The same bytes for the same rows."""
    return {
        "objective": "regression" if task == "watch_seconds" else "binary",
        "num_leaves": num_leaves,
        "learning_rate": SHRINKAGE,
        "min_data_in_leaf": MIN_LEAF,
        "feature_fraction": 0.7,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": lightgbm_threads(),
        "verbosity": -1,
    }


def _read(path: Path, digest: str) -> str:
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != digest:
        raise InputError(f"{path}: not the trees that were saved (its sha256 differs). Publish the model again.")
    return text.decode()
