"""One small case, trained, published and served once for all tests of this folder that need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.cases import Case
from common.checks import Trial
from harmful_content.config import SMOKE

SMALL = replace(
    SMOKE, num_users=300, num_posts=1_500, epochs=2,
    deadline_ms=1_000.0,  # five times as long as for people, so that a busy machine changes no answer
)  # fmt: skip


def small(folder: Path) -> Trial:
    trial = Trial(Case("harmful_content", "harmful_content"), folder)
    trial.config = SMALL
    return trial


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = small(tmp_path_factory.mktemp("harmful_content"))
    yield trial
    trial.close()
