"""Draws a Chart as SVG: bands, lines, round ticks, the zero line and each flip with its value. Same table, same bytes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from xml.sax.saxutils import escape

from common.contract import Table
from common.eval.chart import Chart, Curve, Flip, curves, flips, scale
from common.eval.tables import bounds, number

WIDTH, HEIGHT, TOP, RIGHT, BOTTOM, ROW = 640, 360, 30, 24, 60, 19
COLOURS = ("#0072b2", "#c75000", "#00805f", "#9b4f96")  # after Okabe and Ito, darkened until they are read on white
STYLE = """text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#444}
.title{font-size:15px;font-weight:600;fill:#111}.note{font-size:11px;fill:#777}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:#e6e6e6}.zero{stroke:#333}.tick{stroke:#999}.curve{fill:none;stroke-width:2}.band{fill-opacity:.15;stroke:none}
.flip{stroke-width:1.5;stroke-dasharray:5 4}.range{stroke-width:5;stroke-opacity:.55}.mark{font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:4px}"""


def svg(table: Table, chart: Chart, note: str = "") -> str:
    """The chart, with `note` small in its corner. InputError for a column that is not there or a cell that is no number."""
    found, marks, title = curves(table, chart), flips(table, chart), textwrap.wrap(chart.title, 70)
    named = TOP + ROW * len(title)  # the row of the y label; under it the names of the curves, then a row for each flip
    colours = dict(zip([curve.name for curve in found], COLOURS, strict=False))
    names, marked = _names(colours, _Frame(found, chart, top=0.0).left, named + ROW) if chart.series else ([], named)
    frame = _Frame(found, chart, top=marked + ROW * len(marks) + 14)
    parts = [_text(16, TOP - 2 + ROW * i, line, "title") for i, line in enumerate(title)]
    parts += [_text(16, named, chart.y_label or _words(chart.y)), *_axes(frame, chart)]
    parts += names
    for curve in found:
        parts += _drawn(frame, curve, colours[curve.name]) + _rings(frame, curve, colours[curve.name])
    for i, mark in enumerate(marks, start=1):
        parts += _mark(frame, mark, colours[mark.series], marked + ROW * i)
    parts.append(_text(WIDTH - 12, HEIGHT - 9, note, "note end"))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(chart.title)}</title>'
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", paper, *parts, "</svg>\n"])


class _Frame:
    """Where a number lies on the paper."""

    def __init__(self, curves: list[Curve], chart: Chart, top: float) -> None:
        self.to, _ = scale(chart)
        self.xs = sorted({x for curve in curves for x in curve.x})
        rings = [ring for curve in curves for ring in curve.rings]
        self.ends = min([*self.xs, *(x for x, _, _ in rings)]), max([*self.xs, *(x for x, _, _ in rings)])
        ends = [y for curve in curves for y in (*curve.y, *curve.low, *curve.high)] + [0.0] * chart.flip
        ends += [y for _, y, _ in rings]
        self.ticks = _ticks(min(ends), max(ends))
        self.top, self.base, self.right = top, HEIGHT - BOTTOM, WIDTH - RIGHT
        self.left = 26 + 7 * max(len(label) for _, label in self.ticks)

    def x(self, value: float) -> float:
        first, last = map(self.to, self.ends)
        margin = 0.03 * (self.right - self.left)
        return self.left + margin + (self.to(value) - first) / (last - first) * (self.right - self.left - 2 * margin)

    def y(self, value: float) -> float:
        first, last = self.ticks[0][0], self.ticks[-1][0]
        return self.base - (value - first) / (last - first) * (self.base - self.top)

    def points(self, x: Iterable[float], y: Iterable[float]) -> str:
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, y, strict=True))


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Four to eight round numbers around [low, high], with their labels."""
    rough = ((high - low) or abs(high) or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [i * step for i in range(first, max(last, first + 1) + 1)]
    return [(value, f"{value:,.{places}f}".replace("-", "\N{MINUS SIGN}")) for value in values]


def _axes(frame: _Frame, chart: Chart) -> list[str]:
    parts = []
    for value, label in frame.ticks:
        kind = "zero" if chart.flip and value == 0 else "grid"
        parts.append(_line(frame.left, frame.y(value), frame.right, frame.y(value), kind))
        parts.append(_text(frame.left - 8, frame.y(value) + 4, label, "end"))
    taken = 0.0
    for value in frame.xs:  # the values that were tried; a label that would touch the one before it is left out
        x, half = frame.x(value), 3.6 * len(number(value)) + 4
        parts.append(_line(x, frame.base, x, frame.base + 5, "tick"))
        if x - half >= taken:
            parts.append(_text(x, frame.base + 19, number(value), "middle"))
            taken = x + half
    return [*parts, _text((frame.left + frame.right) / 2, frame.base + 38, chart.x_label or _words(chart.x), "middle")]


def _names(colours: dict[str, str], left: float, y: float) -> tuple[list[str], float]:
    """The names of the curves from y on, in as many rows as they need -> where the last row stands."""
    parts, x = [], left
    for name, colour in colours.items():
        wide = 34 + 6.8 * len(name)
        if x > left and x + wide > WIDTH:
            x, y = left, y + ROW
        parts += [f'<circle cx="{x + 4:.1f}" cy="{y - 4:.1f}" r="4" fill="{colour}"/>', _text(x + 13, y, name)]
        x += wide
    return parts, y


def _drawn(frame: _Frame, curve: Curve, colour: str) -> list[str]:
    parts = [f'<g fill="{colour}" stroke="{colour}">']
    if curve.low and curve.high:
        around = frame.points([*curve.x, *curve.x[::-1]], [*curve.low, *curve.high[::-1]])
        parts.append(f'<polygon class="band" points="{around}"/>')
    parts.append(f'<polyline class="curve" points="{frame.points(curve.x, curve.y)}"/>')
    points = zip(curve.x, curve.y, strict=True)
    return [*parts, *(f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3"/>' for x, y in points), "</g>"]


def _rings(frame: _Frame, curve: Curve, colour: str) -> list[str]:
    """Each above its name. Rings of several curves at one x are one thing measured several ways: their names lie on each other."""
    parts = []
    for x, y, name in curve.rings:
        at = frame.x(x)
        parts.append(_line(at, frame.y(y) + 6, at, frame.base, "tick"))
        parts.append(
            f'<circle cx="{at:.1f}" cy="{frame.y(y):.1f}" r="6" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        )
        parts.append(_text(at, frame.base - 6, name, "mark middle"))
    return parts


def _mark(frame: _Frame, mark: Flip, colour: str, y: float) -> list[str]:
    """The dashed line under its value, and on the zero line the range in which the interval holds zero."""
    x, zero = frame.x(mark.value), frame.y(0)
    value, low, high = map(_short, (mark.value, mark.low, mark.high))
    label = f"flips at {number(value or 0.0)}{bounds({'low': low, 'high': high})}"
    at = min(max(x, frame.left + 3.4 * len(label)), frame.right - 3.4 * len(label))
    parts = [_line(x, y + 5, x, frame.base, "flip", colour), _text(at, y, label, "mark middle", colour)]
    if (mark.low, mark.high) != (None, None):
        start = frame.left if mark.low is None else frame.x(mark.low)
        end = frame.right if mark.high is None else frame.x(mark.high)
        parts.append(_line(start, zero, end, zero, "range", colour))
    return parts


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _words(column: str) -> str:
    return column.replace("_", " ")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, colour: str = "") -> str:
    stroke = f' stroke="{colour}"' if colour else ""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{stroke}/>'


def _text(x: float, y: float, text: str, kind: str = "", colour: str = "") -> str:
    look = f' class="{kind}"' * bool(kind) + f' style="fill:{colour}"' * bool(colour)
    return f'<text x="{x:.1f}" y="{y:.1f}"{look}>{escape(text)}</text>'
