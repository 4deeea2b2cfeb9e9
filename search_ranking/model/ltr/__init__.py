"""Learning to rank: what every rung of the ladder is given, and how all of them are judged.

In:     Groups: features [n, d], grades [n] from 0 to 4, how many rows each query has, weights [n] if rows do not count alike.
Out:    a model, whose `score`: features [n, d] -> scores [n], of which only the order within a query means anything.
Choice: LambdaMART (trees.py), where `ladder.ladder` does not say otherwise: it is told the metric and finds interactions for itself.
Else:   a network (networks.py), where it must go on learning from new clicks: trees are grown anew; a line, where relevance adds up.
Breaks: a constant scorer on rows that stand in the order of their grades looks perfect, so equal scores share their gains (`ndcg`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from common.eval import ranking

TOP_GRADE = 4.0


@dataclass(frozen=True, kw_only=True)
class Groups:
    """features [n, d], grades [n], sizes [num_queries]: the rows of one query stand together. `weights` [n]: how much a row counts, such as one
    over the propensity of its click. Raises InputError on an empty query, a grade outside 0..4, a number that is not finite."""

    features: Floats
    grades: Floats
    sizes: Ints
    weights: Floats | None = None

    def __post_init__(self) -> None:
        rows = len(self.features)
        if self.features.ndim != 2 or len(self.grades) != rows or int(self.sizes.sum()) != rows:
            raise InputError(
                f"features {self.features.shape}, grades {self.grades.shape} and groups of {int(self.sizes.sum())} rows "
                f"together: expected one table of features with a grade a row and every row in a group."
            )
        if not rows or self.sizes.min() < 1:
            raise InputError(
                f"{int((self.sizes < 1).sum())} of {len(self.sizes)} queries have no rows: leave them out."
            )
        _refuse("grade", self.grades, (self.grades >= 0) & (self.grades <= TOP_GRADE), "from 0 to 4")
        odd = ~np.isfinite(self.features)
        if odd.any():
            row, column = np.argwhere(odd)[0]
            raise InputError(f"Row {row}, feature {column} is {self.features[row, column]}; expected a finite number.")
        if self.weights is not None:
            assert self.weights.shape == (rows,), (self.weights.shape, rows)
            _refuse("weight", self.weights, np.isfinite(self.weights) & (self.weights >= 0), "finite and not below 0")

    @cached_property
    def query(self) -> Ints:
        """[n]: the place of each row's query."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def starts(self) -> Ints:
        """[num_queries]: the first row of each."""
        found: Ints = np.cumsum(self.sizes) - self.sizes
        return found

    @cached_property
    def counted(self) -> Bools:
        """[num_queries]: those with a row worth something. Of the others no order is better, and NDCG is 0 by convention."""
        found: Bools = np.maximum.reduceat(self.grades, self.starts) > 0
        return found

    @cached_property
    def one_grade(self) -> Bools:
        """[num_queries]: those whose rows are all worth the same. Every order is perfect: no pair to learn from, NDCG 1 if it is counted."""
        found: Bools = np.maximum.reduceat(self.grades, self.starts) == np.minimum.reduceat(self.grades, self.starts)
        return found


def ndcg(scores: Floats, groups: Groups, k: int = 10) -> Floats:
    """[num_queries] NDCG@k with linear gains, 0 where no row is worth anything: average over `groups.counted` alone.

    Equal scores share their gains, which is the mean over all orders of the tied rows (McSherry and Najork 2008, Computing Information
    Retrieval Performance Measures Efficiently in the Presence of Tied Scores, section 3). LETOR's own script gains 2^g - 1 instead.
    """
    _refuse("score", scores, np.isfinite(scores), "that is finite")
    order = np.lexsort((-scores, groups.query))
    changes = (np.diff(scores[order]) != 0) | (np.diff(groups.query) != 0)
    block = np.concatenate([[0], np.cumsum(changes)])
    shared = np.bincount(block, weights=groups.grades[order]) / np.bincount(block)
    ideal = groups.grades[np.lexsort((-groups.grades, groups.query))]
    return ranking.ndcg(_first(shared[block], groups, k), _first(ideal, groups, k), k)


def mean_ndcg(scores: Floats, groups: Groups, k: int = 10) -> float:
    """Over the queries that count: what settings are chosen and training is stopped by."""
    if not groups.counted.any():
        raise InputError(f"None of {len(groups.sizes)} queries has a row of a grade above 0: no ranking can be judged.")
    return float(ndcg(scores, groups, k)[groups.counted].mean())


def _first(column: Floats, groups: Groups, k: int) -> Floats:
    """[n] -> [num_queries, k]: the first k of each query, 0 where there are fewer."""
    place = np.arange(len(column)) - groups.starts[groups.query]
    near = place < k
    found = np.zeros((len(groups.sizes), k))
    found[groups.query[near], place[near]] = column[near]
    return found


def _refuse(name: str, column: Floats, lawful: Bools, expected: str) -> None:
    if not lawful.all():
        row = int(np.flatnonzero(~lawful)[0])
        raise InputError(f"Row {row} has {name} {column[row]}; expected a number {expected}.")
