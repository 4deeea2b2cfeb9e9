"""Rows as fields: every column a code, so that one design serves linear rungs, factorization machines and networks alike.

In:     Inputs of training rows.
Out:    Fields: [n, f] codes; Seen: what every rung of the ladder is fitted on, read once for all of them.
Choice: numbers cut into bins of equal mass, as in the baseline: a line can bend, and an embedding table is all a network needs.
Else:   standardised numbers beside the embeddings, where a number has more to say than its bin.
Breaks: a code training never showed (0, whose weight nobody fitted): values seen fewer than `rare` times share it and train it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ad_click.features import Features, Inputs
from ad_click.schema import Dataset
from common.contract import Floats, Ints


@dataclass(frozen=True)
class Seen:
    """Training rows and validation rows, in the order of their moments."""

    inputs: Inputs
    label: Floats
    held_out: Inputs
    held_label: Floats

    @classmethod
    def of(cls, dataset: Dataset, features: Features) -> Seen:
        train, valid = (features.inputs(rows, dataset.history) for rows in (dataset.train, dataset.valid))
        return cls(train, dataset.train.label, valid, dataset.valid.label)


class Rung(Protocol):
    """A fitted rung: a Scorer that nobody saves, and how much memory it takes."""

    def score(self, inputs: Inputs) -> Floats: ...

    def num_bytes(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Fields:
    """edges: the cuts of each kept number; kept: the columns of numbers and of codes; sizes [f]: how many codes a field has;
    names [f]; common[i][code] is False where a kept category's value is rare."""

    edges: tuple[Floats, ...]
    kept: tuple[tuple[int, ...], tuple[int, ...]]
    sizes: Ints
    names: tuple[str, ...]
    common: tuple[Ints, ...]

    @classmethod
    def fit(cls, inputs: Inputs, bins: int = 16, rare: int = 1) -> Fields:
        """Columns with one value, and categories that repeat an earlier one under another name, are left out. bins = 0: no numbers."""
        cuts = [_edges(column, bins) for column in inputs.numbers.T] if bins else []
        numbers = tuple(column for column, cut in enumerate(cuts) if len(cut))
        codes: list[int] = []
        for column in range(inputs.codes.shape[1]):
            here = inputs.codes[:, column]
            new = not any(np.array_equal(here, inputs.codes[:, earlier]) for earlier in codes)
            if new and len(here) and here.min() < here.max():
                codes.append(column)
        counts = [np.bincount(inputs.codes[:, column], minlength=inputs.sizes[column]) for column in codes]
        edges = tuple(cuts[column] for column in numbers)
        sizes = [len(cut) + 2 for cut in edges] + [inputs.sizes[column] for column in codes]
        names = [inputs.number_names[column] for column in numbers] + [inputs.code_names[column] for column in codes]
        common = tuple((count >= rare).astype(np.int64) for count in counts)
        return cls(edges, (numbers, tuple(codes)), np.array(sizes), tuple(names), common)

    def codes(self, inputs: Inputs) -> Ints:
        """[n, f]; 0 where missing, unknown or rare."""
        numbers, codes = self.kept
        cut = [
            np.where(np.isnan(inputs.numbers[:, at]), 0, 1 + np.searchsorted(edge, inputs.numbers[:, at], side="left"))
            for at, edge in zip(numbers, self.edges, strict=True)
        ]
        known = [
            inputs.codes[:, at] * common[inputs.codes[:, at]] for at, common in zip(codes, self.common, strict=True)
        ]
        return np.column_stack([*cut, *known])

    def places(self, inputs: Inputs) -> Ints:
        """[n, f] rows of one table that holds all fields, one after the other."""
        return self.codes(inputs) + np.cumsum(self.sizes) - self.sizes

    @property
    def width(self) -> int:
        return int(self.sizes.sum())


def rows(inputs: Inputs, index: Ints | slice) -> Inputs:
    """Some rows of the inputs."""
    return replace(inputs, numbers=inputs.numbers[index], codes=inputs.codes[index])


def _edges(column: Floats, bins: int) -> Floats:
    known = column[~np.isnan(column)]
    cut = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.empty(0)
    return cut[cut < known.max()] if len(known) else cut
