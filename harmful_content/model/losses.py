"""Losses beside the sum of cross-entropies: focal, class weights, and gradient blending for modalities that learn at different speeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from harmful_content.config import Config
from harmful_content.model.lesson import Columns, Lesson, Loss, cross_entropy, summed, teach
from harmful_content.model.network import TOWERS, Network

MOST = 20.0  # times a positive counts, at most
FEW = 3  # epochs by which the speed of a modality is measured


def focal(gamma: float) -> Loss:
    """(1 - p of the right answer)^gamma times the cross-entropy (Lin et al. 2017, Focal Loss for Dense Object Detection, equation 4): what is
    already right teaches little. 0 is the cross-entropy."""

    def loss(module: nn.Module, batch: Columns) -> Tensor:
        losses = nn.functional.binary_cross_entropy_with_logits(module(batch), batch["label"], reduction="none")
        return summed((1 - torch.exp(-losses)) ** gamma * losses, batch["weight"])

    return loss


def weighted(lesson: Lesson) -> Loss:
    """Positives of a policy count as much more as they are rarer than negatives, to the root, MOST at most."""
    known, label = lesson.train["weight"], lesson.train["label"]
    positives = (known * label).sum(dim=0)
    times = torch.sqrt((known.sum(dim=0) - positives) / positives.clamp(min=1)).clamp(max=MOST)

    def loss(module: nn.Module, batch: Columns) -> Tensor:
        losses = nn.functional.binary_cross_entropy_with_logits(
            module(batch), batch["label"], reduction="none", pos_weight=times
        )
        return summed(losses, batch["weight"])

    return loss


class Blended(nn.Module):
    """A fused network in which each tower also answers alone, while learning (Wang, Tran, Feiszli 2020, What Makes Training Multi-Modal
    Classification Networks Hard?, section 3.3): `shares` weighs the joint answer and each tower's in the loss."""

    def __init__(self, network: Network, shares: Mapping[str, float]) -> None:
        super().__init__()
        self.network, self.shares = network, dict(shares)
        width, outputs = network.width, network.heads.bias.shape[0]
        self.alone = nn.ModuleDict({name: nn.Linear(width, outputs) for name in TOWERS})

    def forward(self, batch: Columns) -> Tensor:
        """The joint answer."""
        out: Tensor = self.network(batch)
        return out

    def loss(self, module: nn.Module, batch: Columns) -> Tensor:
        towers = self.network.towers(batch)
        answers = {"joint": self.network.joined(batch, towers)}
        answers |= {name: head(towers[name]) for name, head in self.alone.items()}
        parts = [self.shares[name] * _entropy(logits, batch) for name, logits in answers.items()]
        return torch.stack(parts).sum()


def blend(before: Sequence[float], after: Sequence[float]) -> float:
    """What a part of the loss deserves: generalisation gained over the square of the overfitting gained, from its (training, validation) loss
    before and after some epochs (the same paper, equation 7; shares are these over their sum)."""
    gained = max(before[1] - after[1], 0.0)
    overfitted = (after[1] - after[0]) - (before[1] - before[0])
    return gained / max(overfitted**2, 1e-6)


def shares(lesson: Lesson, config: Config, parts: Mapping[str, Network]) -> dict[str, float]:
    """Each of `parts` (untrained: one modality each, and "joint") learns for a few epochs; -> its share of the blended loss."""
    worth = {name: blend(*speed(part, lesson, config)) for name, part in parts.items()}
    total = sum(worth.values())
    return {name: value / total if total else 1 / len(worth) for name, value in worth.items()}


def speed(network: Network, lesson: Lesson, config: Config) -> tuple[tuple[float, float], tuple[float, float]]:
    """(training, validation) loss of a network before and after FEW epochs. Before, it says how common each violation is: what is gained by
    that says nothing of a modality."""
    _begin(network, lesson)
    before = _both(network, lesson)
    teach(network, lesson, cross_entropy, config, epochs=FEW)
    return before, _both(network, lesson)


def _begin(network: Network, lesson: Lesson) -> None:
    known, label = lesson.train["weight"], lesson.train["label"]
    share = ((known * label).sum(dim=0) + 0.5) / (known.sum(dim=0) + 1)
    with torch.no_grad():
        network.heads.bias.copy_(torch.logit(share))
        network.heads.last.mul_(0.01)  # whispers, so that the bias alone is heard


def _both(network: Network, lesson: Lesson) -> tuple[float, float]:
    network.eval()
    with torch.inference_mode():
        return float(cross_entropy(network, lesson.train)), float(cross_entropy(network, lesson.valid))


def _entropy(logits: Tensor, batch: Columns) -> Tensor:
    losses = nn.functional.binary_cross_entropy_with_logits(logits, batch["label"], reduction="none")
    return summed(losses, batch["weight"])
