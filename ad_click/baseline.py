"""Logistic regression on one-hot categories and binned numbers: what a good team ships first, and the first fallback.

In:     the training rows and their features.
Out:    a Scorer of one weight per value of each column.
Choice: numbers are cut into bins of equal mass, so a straight line can bend; one weight per user and per ad, held back by l2.
Else:   the same with hashed crosses, where someone knows which crosses matter; FTRL, where rows come faster than a refit.
Breaks: anything that depends on two columns at once (device x topic): that is what the model is for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ad_click.config import Config
from ad_click.features import Features, Inputs
from ad_click.schema import Dataset, Rows
from common.contract import Floats, Ints

BINS = 16
WEIGHT = 100  # rows by which the rate of slot 0 is held to that of all slots


def fit(dataset: Dataset, features: Features, config: Config) -> Baseline:
    """Newton-like steps (L-BFGS) on the log loss plus l2 / 2 * |weights|^2, until the gradient is small."""
    inputs = features.inputs(dataset.train, dataset.history)
    edges = [_edges(column) for column in inputs.numbers.T]
    columns = _columns(inputs, edges)
    sizes = np.array([len(cut) + 2 for cut in edges] + list(inputs.sizes))
    weights, intercept = _minimise(columns + _starts(sizes), int(sizes.sum()), dataset.train.label, config)
    return Baseline(
        edges=tuple(tuple(cut.tolist()) for cut in edges),
        sizes=sizes,
        weights=weights,
        intercept=intercept,
        rate=_rate(dataset.train),
    )


def load(folder: Path) -> Baseline:
    saved = json.loads((folder / "baseline.json").read_text())
    return Baseline(
        edges=tuple(map(tuple, saved["edges"])),
        sizes=np.array(saved["sizes"]),
        weights=np.array(saved["weights"]),
        intercept=saved["intercept"],
        rate=saved["rate"],
    )


@dataclass(frozen=True, eq=False)
class Baseline:
    """edges: the cuts of each number; weights [sum(sizes)]: one a bin and one a code, column after column; rate: the share of
    training rows in slot 0 that were clicked, the last rung of the ladder."""

    edges: tuple[tuple[float, ...], ...]
    sizes: Ints
    weights: Floats
    intercept: float
    rate: float

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        at = _columns(inputs, [np.array(cut) for cut in self.edges]) + _starts(self.sizes)
        logits: Floats = self.weights[at].sum(axis=1) + self.intercept
        return 1 / (1 + np.exp(-logits))

    def save(self, folder: Path) -> None:
        saved = {
            "edges": self.edges,
            "sizes": self.sizes.tolist(),
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
            "rate": self.rate,
        }
        (folder / "baseline.json").write_text(json.dumps(saved))


def _rate(rows: Rows) -> float:
    """P(click in slot 0), as the auction takes it; of all rows where there are no slots."""
    first = rows.label[rows.numbers["slot"] == 0] if "slot" in rows.numbers else rows.label
    return float((first.sum() + WEIGHT * rows.label.mean()) / (len(first) + WEIGHT))


def _edges(column: Floats) -> Floats:
    known = column[~np.isnan(column)]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)


def _columns(inputs: Inputs, edges: list[Floats]) -> Ints:
    """[n, columns] the bin of each number (0 if missing), then the codes."""
    bins = [
        np.where(np.isnan(column), 0, 1 + np.searchsorted(cut, column, side="left"))
        for cut, column in zip(edges, inputs.numbers.T, strict=True)
    ]
    return np.column_stack([*bins, inputs.codes])


def _starts(sizes: Ints) -> Ints:
    return np.cumsum(sizes) - sizes


def _minimise(columns: Ints, width: int, label: Floats, config: Config) -> tuple[Floats, float]:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    num_rows, per_row = columns.shape
    place = np.arange(0, num_rows * per_row + 1, per_row)
    design = csr_matrix((np.ones(columns.size), columns.ravel().astype(np.int32), place), shape=(num_rows, width))
    line = LogisticRegression(C=1 / config.l2, max_iter=1000, tol=1e-5).fit(design, label)
    return line.coef_[0], float(line.intercept_[0])
