"""One small case, trained, published and served once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common import cases
from common.checks import Trial
from visual_search.config import SMOKE

SMALL = replace(
    SMOKE, num_users=200, num_images=300, num_searches=400, num_photos=150, num_pairs=600, num_judged=60, epochs=1
)


def small(folder: Path) -> Iterator[Trial]:
    trial = Trial(cases.get("visual_search"), folder)
    trial.config = SMALL
    yield trial
    trial.close()


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    yield from small(tmp_path_factory.mktemp("visual_search"))
