"""The ranker as a network: what the tasks share is the choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.contract import Bools, Floats
from common.errors import InputError
from common.training.loop import train
from video_rec.config import Config
from video_rec.schema import TASKS

WIDTH = 64
NUM_EXPERTS, EXPERT_WIDTH = 4, 24  # about as many numbers to learn as one bottom of WIDTH
SECONDS = torch.tensor([task == "watch_seconds" for task in TASKS])
SECONDS_LOSS = 0.1  # of a squared error in log seconds, beside the nats of the other tasks


def fitter(kind: str) -> Callable[[Floats, Floats, Bools, Config], Network]:
    return lambda dense, target, aside, config: fit(kind, dense, target, aside, config)


def fit(kind: str, dense: Floats, target: Floats, aside: Bools, config: Config) -> Network:
    """dense [n, num_features], target [n, num_tasks], NaN where unknown; the rows `aside` [n] say when to stop."""
    mean, scale = dense.mean(axis=0).astype(np.float32), np.maximum(dense.std(axis=0), 1e-3).astype(np.float32)
    torch.manual_seed(config.seed)
    network = Network(_heads(kind, dense.shape[1]), mean, scale)
    network.heads.start(target[~aside])
    columns = {
        "dense": torch.from_numpy(network.standard(dense)),
        "target": torch.from_numpy(target.astype(np.float32)),
    }
    judged = {name: column[torch.from_numpy(aside)] for name, column in columns.items()}
    train(
        network.heads, {name: column[torch.from_numpy(~aside)] for name, column in columns.items()}, multi_task_loss,
        epochs=config.ranker_epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        validate=lambda heads: float(multi_task_loss(heads, judged)), name=f"ranker {kind}",
    )  # fmt: skip
    network.heads.settle(columns["dense"], target)
    return network


def load(folder: Path, kind: str) -> Network:
    path = folder / "ranker.safetensors"
    try:
        tensors = load_file(path)
        mean, scale = tensors.pop("mean").numpy(), tensors.pop("scale").numpy()
        heads = _heads(kind, len(mean))
        heads.load_state_dict(tensors)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: not a whole {kind} ({str(error)[:120]}). Publish the model again.") from error
    heads.eval()
    return Network(heads, mean, scale)


@dataclass(frozen=True)
class Network:
    """`mean` and `scale` [num_features] standardise what comes in."""

    heads: Heads
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def predict(self, dense: Floats, tasks: tuple[str, ...]) -> dict[str, Floats]:
        """dense [n, num_features] -> task -> [n]: probabilities, or log(1 + seconds)."""
        with torch.inference_mode():
            out = self.heads(torch.from_numpy(self.standard(dense)))
            found = torch.where(SECONDS, out, torch.sigmoid(out)).double().numpy()
        return {task: found[:, TASKS.index(task)] for task in tasks}

    def standard(self, dense: Floats) -> NDArray[np.float32]:
        standard: NDArray[np.float32] = np.clip((dense.astype(np.float32) - self.mean) / self.scale, -8, 8)
        return standard

    def save(self, folder: Path) -> None:
        stored = {"mean": torch.from_numpy(self.mean), "scale": torch.from_numpy(self.scale)}
        save_file(self.heads.state_dict() | stored, folder / "ranker.safetensors")


class SharedBottom(nn.Module):
    """All tasks read one representation (Caruana 1997, Multitask Learning)."""

    def __init__(self, num_features: int, num_tasks: int, width: int = WIDTH) -> None:
        super().__init__()
        self.num_tasks, self.width = num_tasks, width
        self.bottom = layers(num_features, width)

    def forward(self, dense: Tensor) -> Tensor:
        """[n, num_features] -> [n, 1, width]: the same for every task."""
        shared: Tensor = self.bottom(dense)[:, None, :]
        return shared


class MMoE(nn.Module):
    """Every task mixes the experts in its own way, row by row (Ma et al. 2018, Modeling Task Relationships in Multi-task Learning with
    Multi-gate Mixture-of-Experts, equations 5 to 7)."""

    def __init__(
        self, num_features: int, num_tasks: int, width: int = EXPERT_WIDTH, num_experts: int = NUM_EXPERTS
    ) -> None:
        super().__init__()
        self.num_tasks, self.width = num_tasks, width
        self.experts = nn.ModuleList(layers(num_features, width) for _ in range(num_experts))
        self.gates = nn.Linear(num_features, num_tasks * num_experts, bias=False)

    def forward(self, dense: Tensor) -> Tensor:
        """[n, num_features] -> [n, num_tasks, width]"""
        experts = torch.stack([expert(dense) for expert in self.experts], dim=1)
        mixed: Tensor = self.shares(dense) @ experts
        return mixed

    def shares(self, dense: Tensor) -> Tensor:
        """[n, num_tasks, num_experts]: how much each task listens to each expert; they add up to one."""
        shares: Tensor = self.gates(dense).view(len(dense), self.num_tasks, -1).softmax(dim=-1)
        return shares


class SingleTask(nn.Module):
    """A bottom for each task: nothing is shared but the rows, the optimiser and the epoch at which it stops."""

    def __init__(self, num_features: int, num_tasks: int, width: int = WIDTH) -> None:
        super().__init__()
        self.num_tasks, self.width = num_tasks, width
        self.bottoms = nn.ModuleList(layers(num_features, width) for _ in range(num_tasks))

    def forward(self, dense: Tensor) -> Tensor:
        """[n, num_features] -> [n, num_tasks, width]"""
        return torch.stack([bottom(dense) for bottom in self.bottoms], dim=1)


BODIES: Mapping[str, Callable[[int, int], SharedBottom | MMoE | SingleTask]] = {
    "shared_bottom": SharedBottom,
    "mmoe": MMoE,
    "single_task": SingleTask,
}


class Heads(nn.Module):
    """A body, and of each task one linear head over what the body says to it."""

    def __init__(self, body: SharedBottom | MMoE | SingleTask, num_tasks: int) -> None:
        super().__init__()
        self.body = body
        self.heads = nn.Linear(self.body.width, num_tasks)

    def forward(self, dense: Tensor) -> Tensor:
        """[n, num_features] -> [n, num_tasks]: log-odds, or log(1 + seconds)."""
        out: Tensor = (self.body(dense) * self.heads.weight).sum(dim=-1) + self.heads.bias
        return out

    def start(self, target: Floats) -> None:
        """Every head begins at the mean of its task, or the rare ones spend their epochs on finding it."""
        mean = torch.from_numpy(_means(target))
        with torch.no_grad():
            self.heads.bias.copy_(torch.where(SECONDS, mean, torch.logit(mean)))

    def settle(self, dense: Tensor, target: Floats) -> None:
        """Moves every bias until the mean of what is predicted is that of the labels, over all rows: the last batches leave it a little to one
        side, and a weighted sum of heads asks for levels that are right. Newton's method, a number a head."""
        known, mean = torch.from_numpy(np.isfinite(target)), torch.from_numpy(_means(target))
        count = known.sum(dim=0).clamp(min=1)
        with torch.no_grad():
            for _ in range(20):
                out = self(dense).double()
                said = torch.where(SECONDS, out, torch.sigmoid(out))
                slope = torch.where(SECONDS, 1.0, said * (1 - said))
                gap, steep = ((part * known).sum(dim=0) / count for part in (mean - said, slope))
                self.heads.bias.add_((gap / steep.clamp(min=1e-9)).clamp(-1, 1))


def _means(target: Floats) -> Floats:
    """[num_tasks] over the rows where each is known; of chances never quite 0 or 1."""
    known = np.isfinite(target)
    count = known.sum(axis=0)
    mean: Floats = np.where(known, target, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(SECONDS.numpy(), mean, np.clip(mean, 1 / (count + 2), 1 - 1 / (count + 2)))


def _heads(kind: str, num_features: int) -> Heads:
    return Heads(BODIES[kind](num_features, len(TASKS)), len(TASKS))


def layers(num_features: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(num_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


def multi_task_loss(heads: nn.Module, rows: Any) -> Tensor:
    """Sum over tasks of the mean loss over the rows where the task's label is known."""
    out, target = heads(rows["dense"]), rows["target"]
    known = torch.isfinite(target)
    label = torch.where(known, target, 0.0)
    losses = torch.where(
        SECONDS,
        SECONDS_LOSS * (out - label) ** 2,
        nn.functional.binary_cross_entropy_with_logits(out, label.clamp(0, 1), reduction="none"),
    )
    total: Tensor = ((losses * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)).sum()
    return total
