"""The one loop every torch model of the project trains in: batches, AdamW, early stopping on validation, progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

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
    validate: Callable[[torch.nn.Module], float] | None = None,
    patience: int = 2,
    name: str = "model",
) -> list[dict[str, float]]:
    """Shuffles `columns` (tensors of equal length) into batches and minimises loss(module, batch). `validate` (lower is better) is called
    after each epoch; the best epoch's weights are kept and `patience` epochs without gain end the run. -> one dict an epoch."""
    raise NotImplementedError
