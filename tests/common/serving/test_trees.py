"""Quick trees against LightGBM's own numbers, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.contract import Floats, Ints
from common.errors import InputError
from common.serving.trees import QuickTrees, _Bits


def grown(
    seed: int, num_leaves: int = 31, missing: bool = True, num_trees: int = 40, **options: Any
) -> tuple[Any, Floats]:
    """A booster over two numbers and two categories, and rows it was not grown on: missing values, values between and at the thresholds,
    infinities, categories nobody has seen."""
    import lightgbm

    rng = np.random.default_rng(seed)

    def rows(n: int, num_codes: int) -> Floats:
        numbers = np.round(rng.normal(size=(n, 2)), 1)  # many ties, so that thresholds are met exactly
        if missing:
            numbers[rng.random((n, 2)) < 0.2] = np.nan
        return np.column_stack([numbers, rng.integers(0, num_codes, (n, 2))])

    matrix = rows(3_000, 40)
    signal = np.nan_to_num(matrix[:, 0]) * np.where(matrix[:, 2] % 3 == 0, 1, -1) + (matrix[:, 3] % 5 == 2)
    label = (rng.random(3_000) < 1 / (1 + np.exp(-signal))).astype(float)
    settings = {"objective": "binary", "num_leaves": num_leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "min_data_per_group": 5, "seed": seed}  # fmt: skip
    table = lightgbm.Dataset(matrix, label, categorical_feature=[2, 3], params=settings)
    booster = lightgbm.train(settings | options, table, num_trees)
    later = rows(600, 60)
    later[0, :2], later[1, :2], later[2, 2:], later[3, 2:] = np.inf, -np.inf, np.nan, -3
    return booster, later


def predicted(booster: Any, matrix: Floats) -> Floats:
    return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("num_leaves", [2, 15, 32, 63])
@pytest.mark.parametrize("missing", [True, False])
def test_scores_equal_lightgbm_bit_for_bit(seed: int, num_leaves: int, missing: bool) -> None:
    booster, rows = grown(seed, num_leaves, missing)
    trees = QuickTrees(booster)
    for part in (rows, rows[:1], rows[:2], rows[4:11]):
        assert np.array_equal(trees.score(part), predicted(booster, part))


def test_columns_that_are_alike_in_all_rows_change_nothing() -> None:
    booster, rows = grown(0)
    trees = QuickTrees(booster)
    for column in range(rows.shape[1]):
        alike = rows.copy()
        alike[:, column] = rows[7, column]
        assert np.array_equal(trees.score(alike), predicted(booster, alike))
    same = np.repeat(rows[5:6], 9, axis=0)
    assert np.array_equal(trees.score(same), predicted(booster, same))


def test_a_tree_that_never_split_adds_its_one_value() -> None:
    booster, rows = grown(0, min_data_in_leaf=10_000)
    assert np.array_equal(QuickTrees(booster).score(rows), predicted(booster, rows))


def test_what_a_word_cannot_hold_is_refused() -> None:
    booster, _ = grown(0, num_leaves=100, min_data_in_leaf=1)
    with pytest.raises(InputError, match="A tree has 100 leaves"):
        QuickTrees(booster)


def test_zero_for_missing_is_refused() -> None:
    booster, _ = grown(0, zero_as_missing=True)
    with pytest.raises(AssertionError, match="zero stands for missing"):
        QuickTrees(booster)


@pytest.mark.parametrize("size", [32, 64])
def test_the_lowest_bit_of_any_word_is_found(size: int) -> None:
    bits = _Bits(size)
    words = np.random.default_rng(0).integers(1, 2**63, 500).astype(f"u{size // 8}")
    words = words[words > 0]
    lowest: Ints = np.array([(int(word) & -int(word)).bit_length() - 1 for word in words])
    assert np.array_equal(bits.lowest(words), bits.places[lowest])
    assert sorted(bits.places.tolist()) == list(range(size))
