"""Tables and numbers as the pages and the command line print them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from common.contract import Table
from common.errors import InputError, did_you_mean
from common.eval.report import column

ORIGINS = ("world", "real", "published", "calc", "machine")


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


def experiment(rows: Table, stated: str) -> Table:
    """The rows of an experiment as a page shows them: `low` and `high` beside the value before them, and the origin of every number in the
    head of its column, or in each cell where the rows differ. The first column names the row; `stated` is the origin of the whole."""
    every = dict.fromkeys(key for row in rows for key in row)
    names = [name for name in every if name != "origin" and not _is_bound(name, every)]
    cells = [{name: cell(row, name, stated) for name in names if name in row} for row in rows]
    shown: Table = [{} for _ in rows]
    for i, name in enumerate(names):
        numbers = [found[name] for found in cells if i and name in found and _is_number(found[name]["value"])]
        origins = {found["origin"] for found in numbers}
        head = f"{name} `{origins.pop()}`" if len(origins) == 1 else name
        for row, found in zip(shown, cells, strict=True):
            value = found.get(name, {"value": None})
            tagged = head == name and any(value is one for one in numbers)
            row[head] = f"{_cell(value)} `{value['origin']}`" if tagged else value
    return shown


def cell(row: Mapping[str, Any], name: str, stated: str) -> dict[str, Any]:
    """{value, low, high, origin} of one cell; its bounds are NAME_low and NAME_high, or else, of the column before `low`, `low` and `high`."""
    names = list(row)
    first = {"low", "high"} <= set(names) and name == names[names.index("low") - 1]
    ends = {key: row.get(f"{name}_{key}", row[key] if first else None) for key in ("low", "high")}
    return {"value": row[name], **ends, "origin": "machine" if is_timed(name) else row_origin(row, stated)}


def _is_bound(name: str, names: Iterable[str]) -> bool:
    """Stands beside the value it bounds, not in a column of its own."""
    value, _, end = name.rpartition("_")
    return end in ("low", "high") and (not value or value in names)


def row_origin(row: Mapping[str, Any], stated: str) -> str:
    """That of the row's column `origin` if it has one."""
    found = row.get("origin", stated)
    if found not in ORIGINS:
        raise InputError(f"{found!r} is no origin of a number. {did_you_mean(str(found), ORIGINS)}")
    return str(found)


def is_timed(name: str) -> bool:
    """Seconds and megabytes are measured on a machine: names that end so are of origin `machine`, whatever stands around them."""
    return name == "seconds" or name.endswith(("_s", "_ms", "_us", "_mb"))


def markdown(rows: Table) -> str:
    """A table in GitHub's Markdown; numbers with four digits, a pipe inside a cell escaped."""
    if not rows:
        return "(no rows)"
    cells = [[_cell(row.get(key)) for key in rows[0]] for row in rows]
    head = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in cells)])


def _cell(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value and not _is_number(value["value"]):
        return _cell(value["value"])
    if isinstance(value, Mapping):  # an interval, or the ratio of a benchmark with its range
        middle = value.get("value", value.get("median"))
        text = f"{number(middle)}{bounds(value)}" if middle is not None else ", ".join(map(str, value.values()))
    elif _is_number(value):
        text = number(value)
    else:
        text = "" if value is None else str(value)
    return text.replace("|", "\\|")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float) -> str:
    """Four significant digits, whole numbers from a thousand on in full: 0.08123, 12,300."""
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def bounds(interval: Mapping[str, Any]) -> str:
    """[low, high], or nothing. One end alone is that of a range which goes on past what was tried: the flip of a chart."""
    low, high = ("..." if interval.get(end) is None else number(interval[end]) for end in ("low", "high"))
    return "" if low == high == "..." else f" [{low}, {high}]"
