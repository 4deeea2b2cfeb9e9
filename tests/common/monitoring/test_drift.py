"""The statistics against scipy, and the level of the test when rows come in clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from common.monitoring import drift


@pytest.mark.parametrize("seed", range(20))
def test_chi_square_is_scipys_two_sample_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(6, 3.0))
    p, q = rng.multinomial(3000, shares), rng.multinomial(800, shares)
    expected = stats.chi2_contingency(np.stack([p, q]), correction=False).pvalue
    assert drift.chi_square(p, q, min_expected=0.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_jensen_shannon_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(5, 0.5)), rng.dirichlet(np.full(5, 0.5))
    p[0] = 0.0
    p /= p.sum()
    assert drift.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)
    assert drift.jensen_shannon(p, p) == pytest.approx(0.0, abs=1e-6)


def test_psi_is_the_symmetric_kullback_leibler_divergence() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.4, 0.2])
    assert drift.psi(p, q) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))
    assert drift.psi(p, p) == 0.0
    assert np.isfinite(drift.psi(np.array([1.0, 0.0]), np.array([0.0, 1.0])))


def test_merging_rare_cells_keeps_the_level() -> None:
    """A cell the reference filled 3 times in 100,000 must not make one live row an alarm."""
    p = np.array([60_000, 39_997, 3])
    q = np.array([300, 199, 1])
    assert drift.chi_square(p, q) > 0.5
    assert drift.chi_square(p, q, min_expected=0.0) < 0.01, "the control: unmerged, one row alarms"


def test_too_few_rows_say_nothing() -> None:
    assert drift.chi_square(np.array([500, 500]), np.array([3, 0])) == 1.0
    assert drift.chi_square(np.array([500, 500]), np.array([0, 0])) == 1.0


def clustered(rng: np.random.Generator, num_clusters: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a cluster repeat its own favourite cell two times in three."""
    favourite = rng.integers(0, 5, num_clusters)
    cells = np.where(
        rng.random((num_clusters, size)) < 2 / 3, favourite[:, None], rng.integers(0, 5, (num_clusters, size))
    )
    return cells.ravel(), np.repeat(np.arange(num_clusters), size)


def test_design_effect_restores_the_level() -> None:
    rng = np.random.default_rng(0)
    naive = corrected = 0
    for _ in range(400):
        p, p_of = clustered(rng, 100, 10)
        q, q_of = clustered(rng, 60, 10)
        p_counts, q_counts = np.bincount(p, minlength=5), np.bincount(q, minlength=5)
        effects = drift.design_effect(p, 5, p_of), drift.design_effect(q, 5, q_of)
        corrected += drift.chi_square(p_counts, q_counts, *effects) < 0.05
        naive += drift.chi_square(p_counts, q_counts) < 0.05
    assert corrected <= 40, "5 % expected"
    assert naive >= 150, "the control: rows taken as independent alarm far too often"


def test_design_effect_against_a_bootstrap_of_clusters() -> None:
    rng = np.random.default_rng(1)
    cells, clusters = clustered(rng, 300, 8)
    table = (cells.reshape(300, 8) == 0).sum(axis=1)
    draws = [table[rng.integers(0, 300, 300)].mean() / 8 for _ in range(2000)]
    share = table.mean() / 8
    bootstrap = np.var(draws) / (share * (1 - share) / 2400)
    binary = (cells == 0).astype(np.int64)
    assert drift.design_effect(binary, 2, clusters) == pytest.approx(bootstrap, rel=0.15)
    assert drift.design_effect(cells, 5, np.arange(2400)) == pytest.approx(1.0, abs=0.01)
