"""The ranker: from a few hundred candidates to their order, by what the viewer would do with each.

One small network with a head a task; the score is a weighted sum of the heads, so what the feed is for is a line of the config. Heads for
watched videos (completed, liked, seconds) learn from watched ones alone: P(completed | clicked), which a catchy thumbnail does not raise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.contract import Floats, Ints
from common.training.loop import train
from video_rec.config import Config
from video_rec.schema import TASKS

WIDTH = 64


def fit(dense: Floats, labels: Mapping[str, Floats], user_id: Ints, config: Config) -> Ranker:
    """dense [n, num_features], labels task -> [n] with NaN where unknown. One user in eight is held out to stop on."""
    mean, scale = dense.mean(axis=0).astype(np.float32), np.maximum(dense.std(axis=0), 1e-3).astype(np.float32)
    asked = {"clicked": config.weight_clicked, "completed": config.weight_completed, "liked": config.weight_liked,
             "shared": config.weight_shared, "hidden": config.weight_hidden, "watch_seconds": config.weight_watch}  # fmt: skip
    weights = {task: asked[task] for task in TASKS if np.isfinite(labels.get(task, np.array([np.nan]))).any()}
    torch.manual_seed(config.seed)
    ranker = Ranker(Heads(dense.shape[1]), weights, mean, scale)
    known = {task: labels.get(task, np.full(len(dense), np.nan)) for task in TASKS}
    known["watch_seconds"] = np.log1p(known["watch_seconds"])
    target = np.stack([known[task] for task in TASKS], axis=1).astype(np.float32)
    columns = {"dense": torch.from_numpy(ranker._standard(dense)), "target": torch.from_numpy(target)}
    held_out = torch.from_numpy(user_id % 8 == 7)
    if not 0 < int(held_out.sum()) < len(held_out):
        held_out = torch.arange(len(held_out)) % 8 == 7
    aside = {name: column[held_out] for name, column in columns.items()}
    train(
        ranker.heads, {name: column[~held_out] for name, column in columns.items()}, multi_task_loss,
        epochs=config.ranker_epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        validate=lambda heads: float(multi_task_loss(heads, aside)), name="ranker",
    )  # fmt: skip
    return ranker


def load(folder: Path) -> Ranker:
    tensors = load_file(folder / "ranker.safetensors")
    mean, scale = tensors.pop("mean").numpy(), tensors.pop("scale").numpy()
    heads = Heads(len(mean))
    heads.load_state_dict(tensors)
    heads.eval()
    return Ranker(heads, json.loads((folder / "ranker.json").read_text())["weights"], mean, scale)


@dataclass(frozen=True)
class Ranker:
    """`weights` of the tasks that had labels; `mean` and `scale` [num_features] standardise what comes in."""

    heads: Heads
    weights: Mapping[str, float]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def predict(self, dense: Floats) -> dict[str, Floats]:
        """dense [n, num_features] -> task -> [n]: probabilities, or log(1 + seconds)."""
        with torch.inference_mode():
            out = self.heads(torch.from_numpy(self._standard(dense)))
        return {
            task: (out[:, place] if task == "watch_seconds" else torch.sigmoid(out[:, place])).double().numpy()
            for place, task in enumerate(TASKS)
            if task in self.weights
        }

    def score(self, dense: Floats) -> Floats:
        """[n]: the weighted sum of what is predicted."""
        total = np.zeros(len(dense))
        for task, predicted in self.predict(dense).items():
            total += self.weights[task] * predicted
        return total

    def _standard(self, dense: Floats) -> NDArray[np.float32]:
        standard: NDArray[np.float32] = np.clip((dense.astype(np.float32) - self.mean) / self.scale, -8, 8)
        return standard

    def save(self, folder: Path) -> None:
        save_file(
            self.heads.state_dict() | {"mean": torch.from_numpy(self.mean), "scale": torch.from_numpy(self.scale)},
            folder / "ranker.safetensors",
        )
        (folder / "ranker.json").write_text(json.dumps({"weights": dict(self.weights)}))


class Heads(nn.Module):
    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(num_features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.heads = nn.Linear(WIDTH, len(TASKS))

    def forward(self, dense: Tensor) -> Tensor:
        out: Tensor = self.heads(self.trunk(dense))
        return out


def multi_task_loss(heads: nn.Module, rows: Any) -> Tensor:
    """Sum over tasks of the mean loss over the rows where the task's label is known."""
    out, target = heads(rows["dense"]), rows["target"]
    known = torch.isfinite(target)
    label = torch.where(known, target, 0.0)
    seconds = torch.tensor([task == "watch_seconds" for task in TASKS])
    losses = torch.where(
        seconds,
        0.1 * (out - label) ** 2,
        nn.functional.binary_cross_entropy_with_logits(out, label.clamp(0, 1), reduction="none"),
    )
    total: Tensor = ((losses * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)).sum()
    return total
