"""Drift in numbers: how far two samples lie apart, and whether that can be chance when rows come in clusters."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtrc

from common.contract import Floats, Ints

MIN_EXPECTED = 5.0  # rows a cell needs for the chi-square to hold


def psi(p: Floats, q: Floats) -> float:
    """Population stability index of two shares over the same cells: sum (p - q) ln(p / q). Empty cells count as half a per mille."""
    p, q = np.maximum(p, 5e-4), np.maximum(q, 5e-4)
    return float(np.sum((p - q) * np.log(p / q)))


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Jensen-Shannon distance, 0 (same) to 1 (nothing in common): the square root of the divergence in bits."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(one > 0, one * np.log2(one / middle), 0.0) for one in (p, q)]
    return math.sqrt(max(0.0, float(np.sum(terms)) / 2))


def chi_square(
    p_counts: Ints, q_counts: Ints, p_effect: float = 1.0, q_effect: float = 1.0, min_expected: float = MIN_EXPECTED
) -> float:
    """p-value of the two-sample chi-square test, each sample's size divided by its design effect (Rao and Scott 1981, first order).

    Cells too rare for the second sample are merged first. 1.0 where fewer than two cells are left: too few rows to say anything.
    """
    n, m = p_counts.sum() / p_effect, q_counts.sum() / q_effect
    if n == 0 or m == 0:
        return 1.0
    p, q = p_counts / p_counts.sum(), q_counts / q_counts.sum()
    pooled = (n * p + m * q) / (n + m)
    order = np.argsort(-pooled, kind="stable")
    p, q, pooled = p[order], q[order], pooled[order]
    keep = int(np.sum(pooled * m >= min_expected))
    if (
        0 < keep < len(pooled)
    ):  # the rare rest becomes one cell, and takes in the rarest kept one if it is still too small
        keep -= bool(0 < pooled[keep:].sum() * m < min_expected)
        p, q, pooled = (np.append(one[:keep], one[keep:].sum()) for one in (p, q, pooled))
    cells = pooled > 0
    if keep == 0 or cells.sum() < 2:
        return 1.0
    statistic = np.sum((p - q)[cells] ** 2 / pooled[cells]) / (1 / n + 1 / m)
    return float(chdtrc(cells.sum() - 1, statistic))


def design_effect(cells: Ints, num_cells: int, clusters: Ints | None) -> float:
    """How many rows of one cluster are worth one independent row: the mean over cells of clustered variance / binomial variance, >= 1."""
    if clusters is None or len(cells) == 0:
        return 1.0
    _, whose = np.unique(clusters, return_inverse=True)
    num_clusters, n = int(whose.max()) + 1, len(cells)
    shares = np.bincount(cells, minlength=num_cells) / n
    inside = shares * (1 - shares)
    if num_clusters < 2 or inside.sum() == 0:
        return 1.0
    sizes = np.bincount(whose)
    # sum over clusters of (count - size * share)^2, cell by cell, without a clusters x cells table
    pairs, counts = np.unique(whose * num_cells + cells, return_counts=True)
    cell, size = pairs % num_cells, sizes[pairs // num_cells]
    met = np.bincount(cell, (counts - size * shares[cell]) ** 2 - (size * shares[cell]) ** 2, num_cells)
    squares = met + float(np.sum(sizes.astype(float) ** 2)) * shares**2
    effects = squares / n * num_clusters / (num_clusters - 1)
    weight = inside > 0
    mean = float(np.sum((1 - shares[weight]) * effects[weight] / inside[weight]) / np.sum(1 - shares[weight]))
    return max(1.0, mean)


def sum_of_squares(residuals: Floats, clusters: Ints | None, about: float = 0.0) -> float:
    """Variance of the residuals' sum: over clusters their sums squared, `about` the sum they have in all."""
    sums = residuals
    if clusters is not None:
        _, whose = np.unique(clusters, return_inverse=True)
        sums = np.bincount(whose, residuals).astype(float)
    n = len(sums)
    return float(np.sum((sums - about / n) ** 2)) * n / max(1, n - 1)
