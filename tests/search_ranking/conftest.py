"""One small case, trained, published and served once for all tests of this folder that need it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common.cases import Case
from common.checks import Trial
from common.contract import Ranking, Result
from common.lifecycle.registry import Registry
from search_ranking import baseline, data, features, model, monitor, policy
from search_ranking.config import SMOKE, Config

SMALL = replace(
    SMOKE, num_users=300, num_docs=800, num_queries=300, num_sessions=4_000, num_judged=50, num_trees=60,
    num_candidates=100, deadline_ms=1_000.0,  # five times as long as for people, so that a busy machine changes no answer
)  # fmt: skip


def published(config: Config, registry: Registry) -> Result:
    """As much of the pipeline as a server needs: every part, and nothing judged."""
    started, dataset = time.monotonic(), data.load(config)
    fitted = features.fit(dataset, config)
    none = Ranking(ids=np.empty((0, 1), np.int64), scores=np.empty((0, 1)))
    parts: dict[str, Any] = {
        "catalog": dataset.catalog,
        "features": fitted,
        "baseline": baseline.fit(dataset, fitted, config),
        "model": model.fit(dataset, fitted, config),
        "policy": policy.fit(none, dataset.valid, config),
        "reference": monitor.reference(none, dataset.valid, config),
    }
    artifact = registry.publish("search_ranking", parts=parts, config=config, reports={})
    seconds = time.monotonic() - started
    return Result(
        case="search_ranking", preset=config.preset, reports={}, paired={}, artifact=artifact,
        history=dataset.history.events, seconds=seconds,
    )  # fmt: skip


def small(folder: Path) -> Trial:
    """The stages that stand, and in the place of those that do not what a server needs of them."""
    tables = SimpleNamespace(**vars(data) | {"write": None, "ROLES": {}})
    replaced = {"pipeline": SimpleNamespace(run=published), "data": tables}
    trial = Trial(Case("search_ranking", "search_ranking", replaced), folder)
    trial.config = SMALL
    return trial


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = small(tmp_path_factory.mktemp("search_ranking"))
    yield trial
    trial.close()
