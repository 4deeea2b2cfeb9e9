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

SEEDS = 5
CORRELATIONS = (0.0, 0.5, 1.0)
NUM_FEATURES, NUM_TASKS = 20, 5
PACES = (1.0, 2.0)  # of the waves
NOISE = 1.0  # as much again as there is to learn: clicks are noisy. With little noise the luck of the start decides
ROWS, ASIDE, JUDGED = 3_000, 2_000, 4_000  # to learn from, to stop on, to judge
EPOCHS, BATCH, PATIENCE = 30, 250, 3
RATES = (0.003, 0.01)  # the trials of each body
SHARED = "shared_bottom"
Body = Callable[[], SharedBottom | MMoE | SingleTask]
BODIES: Mapping[str, Body] = {
    SHARED: lambda: SharedBottom(NUM_FEATURES, NUM_TASKS),
    "mmoe": lambda: MMoE(NUM_FEATURES, NUM_TASKS),
    "one gate for all": lambda: MMoE(NUM_FEATURES, 1),  # every task hears the same mixture: the paper's OMoE
    "single_task": lambda: SingleTask(NUM_FEATURES, NUM_TASKS),
}


def task_conflict(config: Config) -> Table:
    """Do experts with a gate for each task pay where tasks have little in common, and not where they are alike? Noisy regression tasks of a
    chosen correlation (after Ma et al. 2018, section 3.2, where labels have next to no noise), the ranker's own bodies, the same rows, two
    learning rates each. difference: log of the loss over the shared bottom's, 0.1 is about ten percent more, below zero: it beats the shared
    bottom; the interval is over five draws of the tasks. The foil has experts and one gate for all tasks; single_task, six times the numbers
    to learn, shows what sharing costs and brings."""
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
    """-> features [rows, NUM_FEATURES], what there is to learn [rows, NUM_TASKS], of variance 1. Task t is a straight line plus waves along its
    own direction; any two directions have this cosine: w_t = sqrt(c) u_0 + sqrt(1 - c) u_t, u orthonormal. All tasks have the same waves."""
    rng = np.random.default_rng([seed, 13])
    basis = np.linalg.qr(rng.normal(size=(NUM_FEATURES, NUM_TASKS + 1)))[0].T
    directions = np.sqrt(correlation) * basis[0] + np.sqrt(1 - correlation) * basis[1:]
    shift = rng.uniform(0, 2 * np.pi, len(PACES))
    features = rng.normal(size=(rows, NUM_FEATURES))
    along = features @ directions.T
    clean = along + np.sin(along[:, :, None] * np.array(PACES) + shift).sum(axis=2)
    return features, (clean - clean.mean(axis=0)) / clean.std(axis=0)


def _losses(correlation: float, seed: int) -> dict[str, float]:
    """Of each body, at the rate that is better on the rows aside: mean squared error on other rows, against what there is to learn."""
    features, clean = drawn_tasks(correlation, seed, ROWS + ASIDE + JUDGED)
    noisy = clean + NOISE * np.random.default_rng([seed, 14]).normal(size=clean.shape)
    cuts = slice(ROWS), slice(ROWS, ROWS + ASIDE), slice(ROWS + ASIDE, None)
    learn, aside, judged = (
        {"dense": torch.from_numpy(features[cut]).float(), "target": torch.from_numpy(target[cut]).float()}
        for cut, target in zip(cuts, (noisy, noisy, clean), strict=True)
    )
    found = {}
    for name, body in BODIES.items():
        trials = [_trained(body, rate, learn, aside, seed, f"{name}, correlation {correlation:g}") for rate in RATES]
        found[name] = _loss(judged, min(trials, key=partial(_loss, aside)))
    return found


def _trained(body: Body, rate: float, learn: Any, aside: Any, seed: int, name: str) -> Heads:
    torch.manual_seed(seed)
    heads = Heads(body(), NUM_TASKS)
    train(
        heads, learn, _squared, epochs=EPOCHS, batch_size=BATCH, learning_rate=rate, seed=seed, patience=PATIENCE,
        validate=partial(_loss, aside), name=name,
    )  # fmt: skip
    return heads


def _loss(rows: Any, heads: nn.Module) -> float:
    with torch.no_grad():
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
