"""When tasks pull against each other: the shared bottom against the mixture of experts, over how alike the tasks are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.contract import Experiment, Floats, Table
from common.eval import intervals
from common.eval.chart import Chart
from common.training.loop import train
from video_rec.config import Config
from video_rec.model.ranking.networks import Heads, MMoE, SharedBottom, SingleTask
from video_rec.schema import TASKS

SEEDS = 5
CORRELATIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
NUM_FEATURES, NUM_TASKS, NUM_WAVES = 40, len(TASKS), 6
ROWS, ASIDE, JUDGED = 6_000, 2_000, 4_000  # to learn from, to stop on, to judge
EPOCHS, BATCH, RATE, PATIENCE = 20, 250, 0.005, 3
NOISE = 0.1
SHARED = "shared_bottom"
BODIES: Mapping[str, Callable[[], SharedBottom | MMoE | SingleTask]] = {
    SHARED: lambda: SharedBottom(NUM_FEATURES, NUM_TASKS),
    "mmoe": lambda: MMoE(NUM_FEATURES, NUM_TASKS),
    "one gate for all": lambda: MMoE(NUM_FEATURES, 1),  # every task hears the same mixture: the paper's OMoE
    "single_task": lambda: SingleTask(NUM_FEATURES, NUM_TASKS),
}


def task_conflict(config: Config) -> Table:
    """Do experts with a gate for each task pay where tasks have little in common, and not where they are alike? Regression tasks of a chosen
    correlation (Ma et al. 2018, section 3.2), the ranker's own bodies, the same rows and epochs. difference: log of the loss over the
    shared bottom's, 0.1 is about ten percent more, below zero: the experts win; the interval is over five draws of the tasks. The foil has
    experts and one gate for all tasks; single_task, six times the numbers to learn, shows what there was to win."""
    table: Table = []
    for correlation in CORRELATIONS:
        drawn = range(config.seed, config.seed + SEEDS)
        losses = [_losses(correlation, seed) for seed in drawn]
        for name in BODIES:
            if name == SHARED:
                continue
            logs = np.array([np.log(one[name] / one[SHARED]) for one in losses])
            found = intervals.mean(logs, np.arange(SEEDS))
            table.append({
                "correlation": correlation, "ranker": name, "difference": found.value, "low": found.low, "high": found.high,
                "loss": float(np.mean([one[name] for one in losses])), f"loss {SHARED}": float(np.mean([one[SHARED] for one in losses])),
            })  # fmt: skip
    return table


def drawn_tasks(correlation: float, seed: int, rows: int) -> tuple[Floats, Floats]:
    """-> features [rows, NUM_FEATURES], targets [rows, NUM_TASKS] of variance 1. Task t is a straight line plus waves along its own direction
    w_t; any two directions have this cosine: w_t = sqrt(c) u_0 + sqrt(1 - c) u_t with orthonormal u. The waves are the same for all tasks."""
    rng = np.random.default_rng([seed, 13])
    basis = np.linalg.qr(rng.normal(size=(NUM_FEATURES, NUM_TASKS + 1)))[0].T
    directions = np.sqrt(correlation) * basis[0] + np.sqrt(1 - correlation) * basis[1:]
    pace, shift = rng.uniform(0.5, 2.5, NUM_WAVES), rng.uniform(0, 2 * np.pi, NUM_WAVES)
    features = rng.normal(size=(rows, NUM_FEATURES))
    along = features @ directions.T
    clean = along + np.sin(along[:, :, None] * pace + shift).sum(axis=2)
    target = clean + NOISE * rng.normal(size=clean.shape)
    return features, (target - target.mean(axis=0)) / target.std(axis=0)


def _losses(correlation: float, seed: int) -> dict[str, float]:
    """Of each body: mean squared error on rows it has not seen."""
    features, target = drawn_tasks(correlation, seed, ROWS + ASIDE + JUDGED)
    columns = {"dense": torch.from_numpy(features).float(), "target": torch.from_numpy(target).float()}
    learn, aside, judged = (
        {name: column[cut] for name, column in columns.items()}
        for cut in (slice(ROWS), slice(ROWS, ROWS + ASIDE), slice(ROWS + ASIDE, None))
    )
    found = {}
    for name, body in BODIES.items():
        torch.manual_seed(seed)
        heads = Heads(body(), NUM_TASKS)
        train(
            heads, learn, _squared, epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, seed=seed, patience=PATIENCE,
            validate=partial(_loss, aside), name=f"{name}, correlation {correlation:g}",
        )  # fmt: skip
        with torch.no_grad():
            found[name] = float(_squared(heads, judged))
    return found


def _loss(rows: Any, heads: nn.Module) -> float:
    return float(_squared(heads, rows))


def _squared(heads: nn.Module, rows: Any) -> Tensor:
    error: Tensor = ((heads(rows["dense"]) - rows["target"]) ** 2).mean()
    return error


EXPERIMENTS: Mapping[str, Experiment] = {"task_conflict": task_conflict}
CHARTS: Mapping[str, Chart] = {
    "task_conflict": Chart(
        title="Experts against a shared bottom, as tasks grow alike",
        x="correlation",
        y="difference",
        series="ranker",
        x_label="correlation of any two tasks",
        y_label="log of the loss over the shared bottom's (below zero: wins)",
    )
}
