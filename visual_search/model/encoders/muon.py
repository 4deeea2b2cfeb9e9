"""Muon (Jordan et al. 2024): a step of the same length in every direction of a layer, where Adam's follows the few that the gradients agree on.

The momentum of a matrix is replaced by the nearest matrix with orthogonal rows. It is found by a polynomial that drives all singular values towards 1 (Newton-Schulz
with Jordan's numbers); as that touches the momentum by its Gram matrix alone, it is worked out there, which for filters is the small side. Norms, biases, word
vectors and the last layers stay with Adam. torch.optim.Muon takes matrices alone, no filters, and works in bfloat16: it is the oracle in the tests.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

FIRST, SECOND, THIRD = 3.4445, -4.7750, 2.0315
ROUNDS = 5
MOMENTUM = 0.9
PER_ADAM = 10.0  # its learning rate, for each of Adam's


class Muon(torch.optim.Optimizer):
    """Of a network's hidden layers: filters, and the matrices of a transformer's layers. `learning_rate` is Adam's, for the rest."""

    def __init__(self, network: nn.Module, learning_rate: float, weight_decay: float) -> None:
        named = dict(network.named_parameters())
        hidden = [name for name, of in named.items() if of.ndim == 4 or (of.ndim == 2 and ".layers." in name)]
        others = [of for name, of in named.items() if name not in hidden]
        self.adam = torch.optim.AdamW(others, lr=learning_rate, weight_decay=weight_decay, fused=True)
        super().__init__([named[name] for name in hidden], {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        group = self.param_groups[0]
        rate = group["lr"] * PER_ADAM
        for of in group["params"]:
            if of.grad is None:
                continue
            momentum = self.state[of].setdefault("momentum", torch.zeros_like(of))
            momentum.lerp_(of.grad, 1 - MOMENTUM)
            ahead = of.grad.lerp(momentum, MOMENTUM).flatten(1)  # Nesterov's
            longer = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
            of.mul_(1 - group["lr"] * group["weight_decay"]).sub_(orthogonal(ahead).view_as(of), alpha=rate * longer)
        self.adam.param_groups[0]["lr"] = group["lr"]
        self.adam.step()


def orthogonal(matrix: Tensor) -> Tensor:
    """[n, m] of the same singular vectors, whose singular values lie about 1 (0.7 to 1.2), unless they were next to nothing."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    length = matrix.norm() + 1e-7
    gram = matrix @ matrix.T / length**2
    one = torch.eye(len(gram))
    whole = round_ = FIRST * one + SECOND * gram + THIRD * gram @ gram
    for _ in range(ROUNDS - 1):
        gram = round_ @ gram @ round_
        round_ = FIRST * one + SECOND * gram + THIRD * gram @ gram
        whole = round_ @ whole
    found: Tensor = whole @ matrix / length
    return found
