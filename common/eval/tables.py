"""Tables and numbers as the pages and the command line print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.contract import Table
from common.eval.report import column


def results(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a result of `mlsd run --json`: its primary metric for each column, the paired difference, the times it carries (`run`: the
    whole pipeline, from reading the data to the published artifact). A column that no result fills is left out."""
    rows = [_result(name, run) for name, run in found.items()]
    filled = [key for key in rows[0] if any(row[key] != "-" for row in rows)]
    return [{key: row[key] for key in filled} for row in rows]


def _result(file: str, run: Mapping[str, Any]) -> dict[str, Any]:
    reports, row = run["reports"], {"case": run["case"], "preset or data": file.partition(".")[2] or run["preset"]}
    primary = reports["model"]["primary"]
    row |= {"metric": f"`{primary['name']}` ({primary['direction']})"}
    for name in ("baseline", "model", "ceiling", "published"):
        row[name] = _primary(name, reports[name]) if name in reports else "-"
    difference = run["paired"]["model-baseline"]
    row["model - baseline"] = f"{number(difference['value'])}{bounds(difference)}"
    for key in ("p50_ms", "p99_ms"):
        timing = reports["model"]["metrics"].get(key) or run.get("latency", {}).get(key)
        row[f"{key} `machine`"] = number(timing["value"] if isinstance(timing, Mapping) else timing) if timing else "-"
    return row | {"run, s `machine`": number(run["seconds"])}


def _primary(name: str, report: Mapping[str, Any]) -> str:
    """Value, bounds and origin; a ceiling that is none says so; a published figure says whether it may be compared."""
    value = report["primary"]
    remark = column(name, value["name"]).removeprefix(name)
    text = f"{number(value['value'])}{bounds(value)} `{value['origin']}`{remark}"
    return f"{text}, comparable: {report['comparable']}" if "comparable" in report else text


def markdown(rows: Table) -> str:
    """A table in GitHub's Markdown; numbers with four digits, a pipe inside a cell escaped."""
    if not rows:
        return "(no rows)"
    cells = [[_cell(row.get(key)) for key in rows[0]] for row in rows]
    head = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in cells)])


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):  # an interval, or the ratio of a benchmark with its range
        middle = value.get("value", value.get("median"))
        text = f"{number(middle)}{bounds(value)}" if middle is not None else ", ".join(map(str, value.values()))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        text = number(value)
    else:
        text = "" if value is None else str(value)
    return text.replace("|", "\\|")


def number(value: float) -> str:
    """Four significant digits, whole numbers from a thousand on in full: 0.08123, 12,300."""
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def bounds(interval: Mapping[str, Any]) -> str:
    low, high = interval.get("low"), interval.get("high")
    return "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
