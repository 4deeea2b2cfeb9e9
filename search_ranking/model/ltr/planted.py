"""Small worlds of graded rows whose true score is known: one a line wins, one it cannot."""

from __future__ import annotations

import numpy as np

from common.contract import Floats
from search_ranking.model.ltr import Groups

KINDS = ("additive", "interactions")


def world(kind: str, num_queries: int, seed: int) -> Groups:
    """8 features of which 6 matter, some alike; 5 to 30 rows a query; grades 0 to 4, most of them 0. A query is easy or hard as a whole, which one more
    feature tells in part: of no use for its order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(5, 31, num_queries)
    query = np.repeat(np.arange(num_queries), sizes)
    hard = rng.normal(0, 1.2, num_queries)
    x = rng.normal(size=(len(query), 8))
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    level = truth(kind, x) + hard[query] + rng.normal(0, 0.7, len(query))
    grades = np.searchsorted([1.2, 2.0, 2.8, 3.6], level).astype(float)
    told = hard + rng.normal(0, 0.8, num_queries)
    return Groups(features=np.column_stack([x, told[query]]), grades=grades, sizes=sizes)


def truth(kind: str, features: Floats) -> Floats:
    """[n, >=8] -> [n]: what the best order of a query is by."""
    return additive(features) if kind == "additive" else interactions(features)


def additive(x: Floats) -> Floats:
    found: Floats = x[:, :6] @ np.array([0.9, 0.5, -0.6, 0.4, 0.3, -0.2])
    return found


def interactions(x: Floats) -> Floats:
    """Which features count depends on others; of the sum of the features alone little is left."""
    both = (x[:, 0] > 0) & (x[:, 2] > -0.3)
    found: Floats = 1.6 * both + 0.9 * np.where(x[:, 3] > 0.2, x[:, 4], -x[:, 4]) - 0.8 * (np.abs(x[:, 5]) > 1)
    return found
