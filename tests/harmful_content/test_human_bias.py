"""Reviewers who misread one dialect: the gap they make, and which check finds it."""

from __future__ import annotations

import numpy as np
import pytest

from harmful_content.config import SMOKE
from harmful_content.experiments import human_bias
from harmful_content.experiments.human_bias import MISREAD, MISSED, platform


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_a_reviewer_errs_as_often_as_planted_however_much_is_shared(shared: float) -> None:
    rng = np.random.default_rng(0)
    for group, wrong in zip(platform(0, shared), (MISREAD["dialect"], MISREAD["others"]), strict=True):
        said = group.review(rng)
        assert said[~group.harmful].mean() == pytest.approx(wrong, abs=0.006)
        assert 1 - said[group.harmful].mean() == pytest.approx(MISSED, abs=0.04)


def test_shared_misreadings_are_those_two_reviewers_never_differ_about() -> None:
    rng = np.random.default_rng(0)
    differ = {}
    for shared in (0.0, 1.0):
        group = platform(0, shared)[0]
        fine = group.take(~group.harmful)
        differ[shared] = (fine.review(rng) != fine.review(rng)).mean()
    assert differ[0.0] == pytest.approx(2 * 0.08 * 0.92, abs=0.01) and differ[1.0] == 0


@pytest.fixture(scope="module")
def table() -> dict[tuple[float, str, str], dict[str, float]]:
    return {(row["shared"], row["of"], row["way"]): row for row in human_bias.human_bias(SMOKE)}


@pytest.mark.slow
def test_one_reviewer_sees_a_gap_that_is_not_there(table: dict[tuple[float, str, str], dict[str, float]]) -> None:
    for shared in human_bias.SHARED:
        row = table[shared, "all", "one reviewer"]
        assert abs(row["truth"]) < 0.002 and row["gap"] > 0.045 and row["covers"] <= 0.05


@pytest.mark.slow
def test_a_second_reviewer_finds_what_is_not_shared_and_a_panel_finds_all(table: dict[tuple[float, str, str], dict[str, float]]) -> None:  # fmt: skip
    two, panel, pooled = (name for name in human_bias.MEASURES if name != "one reviewer")
    assert table[0.0, "all", two]["covers"] >= 0.9 and table[0.75, "all", two]["covers"] <= 0.1
    for shared in human_bias.SHARED:
        for of in ("all", "flagged"):
            assert table[shared, of, panel]["covers"] >= 0.9
        assert table[shared, "all", pooled]["covers"] <= 0.1  # one error rate for everybody is none of the two groups'


@pytest.mark.slow
def test_a_system_that_wrongs_the_dialect_looks_better_there(table: dict[tuple[float, str, str], dict[str, float]]) -> None:  # fmt: skip
    row = table[0.75, "flagged", "one reviewer"]
    assert row["truth"] < -0.02 and row["gap"] > 0.1
