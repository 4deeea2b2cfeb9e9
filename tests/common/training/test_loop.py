"""The loop: recovers what was planted, gives the same weights twice, keeps the best epoch, stops when nothing is gained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch

from common.training.loop import train

PLANTED = torch.tensor([1.0, -2.0, 0.5])


def problem(num_rows: int = 2000) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(num_rows, 3, generator=generator)
    return {"x": x, "y": x @ PLANTED + 0.01 * torch.randn(num_rows, generator=generator)}


def squared(module: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    loss: torch.Tensor = ((module(batch["x"])[:, 0] - batch["y"]) ** 2).mean()
    return loss


def fresh(dropout: float = 0.0) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return torch.nn.Sequential(torch.nn.Dropout(dropout), torch.nn.Linear(3, 1))


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in module.parameters()])


def run(
    module: torch.nn.Module,
    seed: int = 0,
    epochs: int = 8,
    validate: Callable[[torch.nn.Module], float] | None = None,
    patience: int = 2,
) -> list[dict[str, float]]:
    return train(
        module,
        problem(),
        squared,
        epochs=epochs,
        batch_size=64,
        learning_rate=0.02,
        seed=seed,
        validate=validate,
        patience=patience,
    )


def test_a_planted_linear_function_is_recovered() -> None:
    module = fresh()
    history = run(module)
    assert torch.allclose(weights(module)[:3], PLANTED, atol=0.02)
    assert history[-1]["loss"] < 0.01 < history[0]["loss"] and [row["epoch"] for row in history] == list(range(8))
    assert not module.training and set(history[0]) == {"epoch", "loss"}


def test_two_runs_give_the_same_weights_bit_for_bit_dropout_included() -> None:
    first, second, other = fresh(0.3), fresh(0.3), fresh(0.3)
    run(first)
    torch.randn(17)  # the state of the global generator must not matter
    run(second)
    run(other, seed=1)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    run(fresh(0.3), epochs=1)
    assert torch.equal(torch.rand(4), expected)


def test_the_best_epoch_is_kept_and_no_gain_ends_the_run() -> None:
    values = iter([3.0, 1.0, 2.0, 1.5, 0.0])
    seen: list[torch.Tensor] = []

    def validate(module: torch.nn.Module) -> float:
        assert not module.training and not torch.is_grad_enabled()
        seen.append(weights(module))
        return next(values)

    module = fresh()
    history = run(module, validate=validate)
    assert [row["valid"] for row in history] == [3.0, 1.0, 2.0, 1.5]
    assert torch.equal(weights(module), seen[1]) and not torch.equal(seen[1], seen[3])


def test_patience_is_as_long_as_it_says() -> None:
    values = iter([3.0, 1.0, 2.0, 1.5, 0.0, 1.0])
    assert len(run(fresh(), epochs=6, patience=3, validate=lambda _: next(values))) == 6


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    def broken(module: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return squared(module, batch) * math.nan

    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        train(fresh(), problem(), broken, epochs=1, batch_size=64, learning_rate=0.1, seed=0)


def test_every_row_is_seen_once_an_epoch_in_a_new_order() -> None:
    seen: list[int] = []

    def note(module: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        seen.extend(batch["id"].tolist())
        return squared(module, batch)

    columns = {**problem(100), "id": torch.arange(100)}
    train(fresh(), columns, note, epochs=2, batch_size=32, learning_rate=0.1, seed=0)
    assert sorted(seen[:100]) == sorted(seen[100:]) == list(range(100)) and seen[:100] != seen[100:]


def test_columns_of_unequal_length_are_our_mistake() -> None:
    with pytest.raises(AssertionError):
        train(
            fresh(),
            {"x": torch.zeros(3, 3), "y": torch.zeros(2)},
            squared,
            epochs=1,
            batch_size=2,
            learning_rate=0.1,
            seed=0,
        )


def test_a_schedule_sets_the_rate_of_each_step_by_the_share_that_is_done() -> None:
    """Plain descent on a loss of slope 1: each step moves the weight by its rate."""
    seen: list[float] = []
    module = torch.nn.Linear(1, 1, bias=False)

    def slope(module: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        seen.append(weights(module).item())
        return weights_sum(module)

    columns = {"x": torch.zeros(10, 1)}
    descent = torch.optim.SGD(module.parameters(), lr=0.5)
    train(
        module, columns, slope, epochs=2, batch_size=4, learning_rate=99.0, seed=0, optimizer=descent,
        schedule=lambda share: 1 - share,
    )  # fmt: skip
    steps = -torch.diff(torch.tensor([*seen, weights(module).item()]))
    assert steps.tolist() == pytest.approx([0.5 * (1 - step / 6) for step in range(6)], abs=1e-6)


def weights_sum(module: torch.nn.Module) -> torch.Tensor:
    return torch.stack([parameter.sum() for parameter in module.parameters()]).sum()
