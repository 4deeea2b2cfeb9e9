"""One small case, trained, published and served once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common import cases
from common.checks import Trial
from video_rec.config import SMOKE

SMALL = replace(SMOKE, num_users=400, num_videos=800, num_impressions=20_000, num_judged=150, num_candidates=150)


def small(folder: Path) -> Iterator[Trial]:
    trial = Trial(cases.get("video_rec"), folder)
    trial.config = SMALL
    yield trial
    trial.close()


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    yield from small(tmp_path_factory.mktemp("video_rec"))
