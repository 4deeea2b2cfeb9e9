"""The one loop every torch model of the project trains in: batches, AdamW, early stopping on validation, progress on stderr."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from common.training import progress

if TYPE_CHECKING:
    import torch


def train(
    module: torch.nn.Module,
    columns: Mapping[str, torch.Tensor],
    loss: Callable[[torch.nn.Module, Mapping[str, torch.Tensor]], torch.Tensor],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.01,
    validate: Callable[[torch.nn.Module], float] | None = None,
    patience: int = 2,
    schedule: Callable[[float], float] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    name: str = "model",
) -> list[dict[str, float]]:
    """Shuffles `columns` (tensors of equal length) into batches and minimises loss(module, batch). `validate` (lower is better) is called
    after each epoch; the best epoch's weights are kept and `patience` epochs without gain end the run. `weight_decay` 0 is Adam: whoever holds
    weights back in `loss` wants no second hold on them. `schedule`: share of the run that is done -> factor of the learning rate.
    `optimizer`: of the module, in AdamW's place, at a rate and a decay of its own. -> one dict an epoch:
    {"epoch", "loss"} and "valid" where there is a `validate`. The module is left in eval mode.

    The run is a function of its arguments: shuffling has a generator of its own, and dropout draws from a global one that is seeded here
    and put back afterwards.
    """
    import torch

    lengths = {column: len(tensor) for column, tensor in columns.items()}
    assert len(set(lengths.values())) == 1 and min(lengths.values()) > 0, f"columns to train on: {lengths}"
    optimizer = optimizer or torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay)
    shuffle = torch.Generator().manual_seed(seed)
    steps = epochs * math.ceil(min(lengths.values()) / batch_size)
    rate = schedule or (lambda share: 1.0)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step / steps))
    best, best_value, since_best = None, math.inf, 0
    history: list[dict[str, float]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            row = {
                "epoch": float(epoch),
                "loss": _epoch(
                    module, columns, loss, optimizer, rates, batch_size, shuffle, f"{name} {epoch + 1}/{epochs}"
                ),
            }
            history.append(row)
            if validate is None:
                continue
            module.eval()
            with torch.no_grad():
                row["valid"] = float(validate(module))
            if row["valid"] < best_value:
                best, best_value, since_best = _copy(module), row["valid"], 0
            else:
                since_best += 1
            if since_best >= patience:
                break
    if best is not None:
        module.load_state_dict(best)
    module.eval()
    return history


def _epoch(
    module: torch.nn.Module,
    columns: Mapping[str, torch.Tensor],
    loss: Callable[[torch.nn.Module, Mapping[str, torch.Tensor]], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    rates: torch.optim.lr_scheduler.LRScheduler,
    batch_size: int,
    shuffle: torch.Generator,
    name: str,
) -> float:
    """One pass. -> mean loss over rows."""
    module.train()
    num_rows = len(next(iter(columns.values())))
    total = 0.0
    for rows in progress.bar(_batches(num_rows, batch_size, shuffle), math.ceil(num_rows / batch_size), name):
        batch = {column: tensor[rows] for column, tensor in columns.items()}
        value = loss(module, batch)
        if not math.isfinite(value.item()):
            raise FloatingPointError(
                f"{name}: the loss became {value.item()}. Lower the learning rate, or look for a NaN in the inputs."
            )
        module.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
        total += value.item() * len(rows)
    return total / num_rows


def _batches(num_rows: int, batch_size: int, shuffle: torch.Generator) -> Iterator[torch.Tensor]:
    import torch

    yield from torch.randperm(num_rows, generator=shuffle).split(batch_size)  # type: ignore[no-untyped-call]


def _copy(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
