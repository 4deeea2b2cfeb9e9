"""The same config in several small worlds: one world's luck is as large as a small effect, and an interval over its queries does not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from common.contract import Floats, Ints
from common.errors import InputError
from common.eval import intervals
from common.eval.report import Interval
from search_ranking.config import Config

SHARE = 2  # each has a half of the config's documents, queries, sessions and judged requests


def worlds(config: Config, num: int) -> list[Config]:
    if config.data != "world":
        raise InputError(f"{config.data} has no planted truth, and this experiment asks it. Leave --data out.")
    sizes = {name: getattr(config, name) // SHARE for name in ("num_docs", "num_queries", "num_sessions", "num_judged")}
    return [replace(config, seed=config.seed + at, **sizes) for at in range(num)]


def over_worlds(units: Sequence[Floats], queries: Sequence[Ints]) -> Interval:
    """The mean over the requests of all worlds, world by world in both lists, with the wider of two intervals: over queries, which knows nothing of
    worlds, and over worlds, which are few. A query of one world is another than that of the next."""
    of_world = [one + (at << 40) for at, one in enumerate(queries)]
    found = intervals.mean(np.concatenate(units), np.concatenate(of_world))
    if len(units) < 2:
        return found
    between = intervals.mean(np.array([part.mean() for part in units]), np.arange(len(units)))
    assert found.high is not None and between.high is not None
    reach = max(found.high - found.value, between.high - between.value)
    return replace(found, low=found.value - reach, high=found.value + reach)
