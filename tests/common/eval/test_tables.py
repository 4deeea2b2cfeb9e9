"""Cells of a table and their bounds."""

from __future__ import annotations

from common.eval import tables


def test_a_cell_carries_the_bounds_named_after_it_or_those_that_follow() -> None:
    row = {"arm": "a", "gain": 1.0, "low": 0.5, "high": 1.5, "cost": 2.0, "cost_low": 1.0, "cost_high": 3.0, "rows": 9}
    gain, cost, rows = (tables.cell(row, name, "world") for name in ("gain", "cost", "rows"))
    assert (gain["low"], gain["high"]) == (0.5, 1.5)
    assert (cost["low"], cost["high"]) == (1.0, 3.0)
    assert (rows["low"], rows["high"]) == (None, None)


def test_bounds_stand_beside_their_value_and_a_low_that_bounds_nothing_is_a_column() -> None:
    row = {
        "arm": "a",
        "gain": 1.0,
        "low": 0.5,
        "high": 1.5,
        "cost": 2.0,
        "cost_low": 1.0,
        "cost_high": 3.0,
        "tide_low": 4.0,
    }
    (shown,) = tables.experiment([row], "world")
    assert list(shown) == ["arm", "gain `world`", "cost `world`", "tide_low `world`"]
    assert tables.bounds(shown["cost `world`"]) == " [1, 3]"
