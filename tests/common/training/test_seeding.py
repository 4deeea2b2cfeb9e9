"""Seeds and threads."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.training import seeding


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002


def test_one_seed_sets_every_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    switched: list[str] = []
    monkeypatch.setattr(torch, "set_deterministic_debug_mode", switched.append)
    seeding.seed_everything(5)
    first = draw()
    seeding.seed_everything(5)
    assert draw() == first
    seeding.seed_everything(6)
    assert all(mine != theirs for mine, theirs in zip(draw(), first, strict=True))
    assert switched == ["error", "error", "error"]


def test_threads_come_from_the_environment_or_the_cores_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLSD_THREADS", raising=False)
    assert 1 <= seeding.num_threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("MLSD_THREADS", "3")
    assert seeding.num_threads() == seeding.lightgbm_threads() == 3 and seeding.serving_threads() == 1
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("MLSD_THREADS", wrong)
        with pytest.raises(InputError, match="MLSD_THREADS"):
            seeding.num_threads()


def test_lightgbm_has_one_thread_beside_torch_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLSD_THREADS", "3")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert seeding.lightgbm_threads() == 1
    monkeypatch.delitem(sys.modules, "torch")
    assert seeding.lightgbm_threads() == 3


def test_limit_holds_every_loaded_pool() -> None:
    import threadpoolctl

    before = torch.get_num_threads()
    try:
        seeding.limit(1)
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} <= {1}
    finally:
        seeding.limit(before)


@pytest.mark.parametrize(("asked", "there", "had"), [(1, "2", 1), (2, "2", 2), (2, "1", 1)])
def test_threads_hold_inside_and_not_behind(asked: int, there: str, had: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import threadpoolctl

    monkeypatch.setenv("MLSD_THREADS", there)
    num_before = torch.get_num_threads()
    torch.set_num_threads(3)
    before = torch.get_num_threads(), {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    try:
        with pytest.raises(ValueError, match="inside"), seeding.on_threads(asked):
            assert torch.get_num_threads() == had
            assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} <= {had}
            raise ValueError("inside")
        assert (torch.get_num_threads(), {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}) == before
    finally:
        torch.set_num_threads(num_before)
