"""A chart: flips worked out by hand, well-formed XML, text that stays text, the same bytes for the same table."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from common.errors import InputError
from common.eval.chart import Chart, Flip, crossings, curves, flips
from common.eval.drawing import HEIGHT, WIDTH, svg

CHART = Chart(title="Trees & <lines>", x="share", y="difference")
TEXT = "{http://www.w3.org/2000/svg}text"


def _row(x: float, y: float, margin: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"share": x, "difference": y, "low": y - margin, "high": y + margin, **more}


RISING = [_row(0, -1), _row(1, 0.0), _row(2, 1), _row(4, 3)]


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        ([-1.0, 3.0, 4.0], [0.25]),
        ([3.0, -1.0, -4.0], [0.75]),
        ([-1.0, 0.0, 1.0], [1.0]),
        ([-2.0, 2.0, -2.0], [0.5, 1.5]),
        ([1.0, 2.0, 3.0], []),
        ([1.0, 0.0, 3.0], []),
        ([0.0, 1.0, 2.0], []),
        ([1.0, 1.0, 0.0], []),
    ],
)
def test_the_line_crosses_zero_where_a_ruler_says(y: list[float], wanted: list[float]) -> None:
    assert crossings([0.0, 1.0, 2.0], y) == wanted


def test_the_range_of_a_flip_is_where_the_interval_holds_zero() -> None:
    assert flips(RISING, CHART) == [Flip(series="", value=1.0, low=0.5, high=1.5)]
    falling = [row | {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]} for row in RISING]
    assert flips(falling, CHART) == flips(RISING, CHART)
    wide = [_row(0, -1, 2), _row(1, 1, 0.5)]
    assert flips(wide, CHART) == [Flip(series="", value=0.5, low=None, high=3 / 3.5)]
    bare = replace(CHART, low="", high="")
    assert flips(wide, bare) == [Flip(series="", value=0.5, low=None, high=None)] and 'class="range"' not in svg(
        wide, bare
    )
    assert flips(RISING[::-1], CHART) == flips(RISING, CHART), "the order of the rows is not that of the line"


def test_a_flip_on_a_log_axis_is_that_of_the_line_drawn() -> None:
    (found,) = flips([_row(1, -1, 0), _row(100, 1, 0)], replace(CHART, log_x=True))
    assert math.isclose(found.value, 10)
    (straight,) = flips([_row(1, -1, 0), _row(100, 1, 0)], CHART)
    assert math.isclose(straight.value, 50.5)


def test_without_flip_none_is_looked_for_and_zero_is_not_drawn() -> None:
    rows = [_row(0, 10), _row(1, 11)]
    assert 'class="zero"' in svg(rows, CHART)
    assert 'class="zero"' not in svg(rows, replace(CHART, flip=False)) and not flips(RISING, replace(CHART, flip=False))


def test_the_drawing_is_xml_that_says_the_flip_and_escapes_text() -> None:
    drawn = svg(RISING, CHART, "world, seed 0")
    texts = [element.text for element in ElementTree.fromstring(drawn).iter(TEXT)]
    assert {"Trees & <lines>", "flips at 1 [0.5, 1.5]", "world, seed 0", "difference", "share"} <= set(texts)
    assert "<lines>" not in drawn
    assert drawn.count('class="flip"') == 1 == drawn.count('class="range"')
    assert "flips" not in svg(RISING[2:], CHART), "a curve on one side of zero has no flip"


def test_the_same_table_is_the_same_bytes_and_another_is_not() -> None:
    assert svg(RISING, CHART) == svg([dict(row) for row in RISING], CHART)
    assert svg(RISING, CHART) != svg([*RISING[:3], _row(4, 3.1)], CHART)


@pytest.mark.parametrize("size", [1e-7, 0.013, 1.0, 730.0, 4e6])
def test_everything_lies_on_the_paper_and_ticks_are_round_and_few(size: float) -> None:
    starts = {"old & tried": 1.3, "new": 0.4}
    rows = [_row(x, size * (x - at), size / 3, who=who) for x in (0, 1, 2, 8) for who, at in starts.items()]
    drawn = ElementTree.fromstring(svg(rows, replace(CHART, series="who")))
    for name, edge in (("x", WIDTH), ("y", HEIGHT), ("cx", WIDTH), ("cy", HEIGHT), ("x1", WIDTH), ("y2", HEIGHT)):
        assert all(0 <= float(element.get(name, 0)) <= edge for element in drawn.iter())
    ticks = [e.text or "" for e in drawn.iter(TEXT) if e.get("class") == "end"]
    assert 4 <= len(ticks) <= 9 and len(set(ticks)) == len(ticks) and "−0" not in ticks


def test_a_ring_is_no_point_of_its_curve_and_lies_on_the_paper() -> None:
    rows: list[dict[str, Any]] = [{"x": x, "y": x - 2.0, "low": x - 2.5, "high": x - 1.5, "is": ""} for x in (1, 2, 3)]
    ringed = [*rows, {"x": 9, "y": 40.0, "is": "ours <"}]
    chart = Chart(title="t", x="x", y="y", ring="is")
    (curve,) = curves(ringed, chart)
    assert curve.x == [1, 2, 3] and curve.rings == ((9, 40.0, "ours <"),)
    assert flips(ringed, chart) == flips(rows, Chart(title="t", x="x", y="y"))
    drawn = ElementTree.fromstring(svg(ringed, chart))
    rings = [one for one in drawn.iter() if one.get("r") == "6"]
    assert len(rings) == 1 and 0 < float(rings[0].attrib["cx"]) < 640 and 0 < float(rings[0].attrib["cy"]) < 360
    assert "ours <" in [one.text for one in drawn.iter()]


def test_only_the_named_curves_are_drawn() -> None:
    rows = [{"x": x, "y": float(x), "of": name} for x in (1, 2) for name in "abcdef"]
    chart = Chart(title="t", x="x", y="y", low="", high="", series="of", only=("b", "e"))
    assert [curve.name for curve in curves(rows, chart)] == ["b", "e"]


def test_names_of_curves_that_do_not_fit_one_row_take_two() -> None:
    names = ["the log: watched", "the log: pleased", "the log: pleased, by 1 / propensity", "what viewers say online"]
    rows = [_row(x, x + 1.0, who=name) for x in (0, 1) for name in names]
    drawn = ElementTree.fromstring(svg(rows, replace(CHART, series="who")))
    at = {e.text: (float(e.get("x", 0)), float(e.get("y", 0))) for e in drawn.iter(TEXT) if e.text in names}
    assert all(x + 6.8 * len(name) <= WIDTH for name, (x, _) in at.items() if name)
    assert len({y for _, y in at.values()}) == 2


def test_labels_of_x_that_would_touch_are_left_out() -> None:
    shown = [e.text for e in ElementTree.fromstring(svg([_row(x, x) for x in (1000, 1001, 9000)], CHART)).iter(TEXT)]
    assert {"1,000", "9,000"} <= set(shown) and "1,001" not in shown


@pytest.mark.parametrize(
    ("rows", "chart", "says"),
    [
        (RISING, replace(CHART, x="shore"), "Did you mean 'share'"),
        (RISING, replace(CHART, low="lo"), "Did you mean 'low'"),
        (RISING, replace(CHART, series="who"), "a column 'who'"),
        ([*RISING, {**_row(9, 1), "share": "all"}], CHART, "'share' holds 'all'"),
        ([*RISING, {**_row(9, 1), "difference": None}], CHART, "'difference' holds None"),
        ([*RISING, _row(4, 2)], CHART, "each once"),
        (RISING[:1], CHART, "two or more"),
        ([], CHART, "0 curves"),
        (RISING, replace(CHART, log_x=True), "above zero"),
        ([_row(x, 1, who=w) for x in (1, 2) for w in "abcde"], replace(CHART, series="who"), "5 curves"),
    ],
)
def test_a_table_that_is_no_chart_is_refused_by_name(rows: list[dict[str, Any]], chart: Chart, says: str) -> None:
    with pytest.raises(InputError, match=says):
        svg(rows, chart)
