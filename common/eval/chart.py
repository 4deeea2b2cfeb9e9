"""What a chart shows: curves over a knob of the world with their intervals, and the flip, where the answer changes sides.

A case's experiments module says which of its tables are charts, beside EXPERIMENTS:

    CHARTS: Mapping[str, Chart] = {"new_ads": Chart(title="...", x="share_of_new_ads", y="difference")}

`mlsd experiment CASE NAME --write` draws it (common/eval/drawing.py) beside the stored table, and a page shows it by a plain image link.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common.contract import Table
from common.errors import InputError, did_you_mean

MOST = 4
"""Curves in one chart."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Which columns to draw. `x`: the knob. `y`: a difference, whose zero is the flip; with flip=False any number, then no zero is drawn.
    `low`, `high`: its interval, "" where there is none to give. `series`: the column that names the curves; `only` these of them are drawn, or all. `ring`: a column; where it holds anything the row is no point of its
    curve, but a ring beside it, named by what stands there. An empty label is the column's name."""

    title: str
    x: str
    y: str
    low: str = "low"
    high: str = "high"
    series: str = ""
    only: tuple[str, ...] = ()
    ring: str = ""
    x_label: str = ""
    y_label: str = ""
    flip: bool = True
    log_x: bool = False


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Where a curve crosses zero. From `low` to `high` its interval holds zero; None where that goes on past the last x that was tried."""

    series: str
    value: float
    low: float | None
    high: float | None


def flips(table: Table, chart: Chart) -> list[Flip]:
    """Every crossing of every curve, in the order of the curves; interpolated in log10 of x where the chart is drawn so."""
    found = []
    for curve in curves(table, chart) if chart.flip else ():
        to, back = scale(chart)
        x = [to(value) for value in curve.x]
        edges = [edge for ends in (curve.low, curve.high) if ends for edge in crossings(x, ends)]
        for at in crossings(x, curve.y):
            low = max((back(edge) for edge in edges if edge <= at), default=None)
            high = min((back(edge) for edge in edges if edge >= at), default=None)
            found.append(Flip(series=curve.name, value=back(at), low=low, high=high))
    return found


def crossings(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """Each x at which the line through the points changes sides of zero, for x in rising order. A point on zero is a crossing only if the points around it lie on two sides."""
    found: list[float] = []
    before, on_zero = (0.0, 0.0), None
    for here in zip(x, y, strict=True):
        if here[1] == 0:
            on_zero = here[0] if on_zero is None else on_zero
            continue
        if before[1] * here[1] < 0:
            straight = before[0] - before[1] * (here[0] - before[0]) / (here[1] - before[1])
            found.append(straight if on_zero is None else on_zero)
        before, on_zero = here, None
    return found


@dataclass(frozen=True)
class Curve:
    """Points from left to right; `low` and `high` are empty where there is no interval. `rings`: (x, y, what it is)."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]
    rings: tuple[tuple[float, float, str], ...] = ()


def curves(table: Table, chart: Chart) -> list[Curve]:
    """One for each value of the series, in the order of the table, its points from left to right."""
    parts: dict[str, Table] = {}
    for row in table:
        name = str(_get(row, chart.series)) if chart.series else ""
        if not chart.only or name in chart.only:
            parts.setdefault(name, []).append(row)
    if not 0 < len(parts) <= MOST:
        known = f"One to {MOST} curves are expected: draw fewer, or name no series"
        raise InputError(f"The chart {chart.title!r} has {len(parts)} curves ({', '.join(parts)}). {known}.")
    return [_curve(name, rows, chart) for name, rows in parts.items()]


def scale(chart: Chart) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """x -> where it lies on its axis, and back."""
    return (math.log10, lambda value: 10**value) if chart.log_x else (float, float)


def _curve(name: str, rows: Table, chart: Chart) -> Curve:
    apart = [row for row in rows if chart.ring and row.get(chart.ring)]
    rings = tuple((_number(row, chart.x), _number(row, chart.y), str(row[chart.ring])) for row in apart)
    rows = sorted((row for row in rows if row not in apart), key=lambda row: _number(row, chart.x))
    columns = (chart.x, chart.y, chart.low, chart.high)
    x, y, low, high = ([_number(row, column) for row in rows] if column else [] for column in columns)
    if len(set(x)) < max(2, len(x)) or (chart.log_x and x[0] <= 0):
        wanted = f"two or more values of {chart.x!r}{' above zero' * chart.log_x}, each once"
        raise InputError(f"The chart {chart.title!r} wants {wanted}; {name or 'the table'} has {x}.")
    return Curve(name, x, y, low, high, rings)


def _get(row: dict[str, Any], column: str) -> Any:
    if column not in row:
        raise InputError(f"The chart asks for a column {column!r} that the table lacks. {did_you_mean(column, row)}")
    return row[column]


def _number(row: dict[str, Any], column: str) -> float:
    value = _get(row, column)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(
            f"A chart draws numbers; {column!r} holds {value!r}. Leave that row out, or name another column."
        )
    return float(value)
