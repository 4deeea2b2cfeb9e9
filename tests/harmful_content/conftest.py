"""One small case, trained, published and served once for all tests of this folder that need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from common.cases import Case
from common.checks import Trial
from harmful_content.config import SMOKE, Config
from harmful_content.world import World, make

TINY = replace(
    SMOKE, num_users=400, num_posts=1_500, epochs=2, deadline_ms=5_000.0
)  # a busy machine must not decide what a test sees
WIDE = replace(SMOKE, num_posts=6_000)  # enough posts to count what was planted


@pytest.fixture(scope="session")
def tiny() -> Config:
    return TINY


@pytest.fixture(scope="session")
def planted() -> World:
    return make(WIDE)


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(Case("harmful_content", "harmful_content"), tmp_path_factory.mktemp("harmful_content"))
    trial.config = TINY
    yield trial
    trial.close()
