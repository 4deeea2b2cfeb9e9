"""A run's result as one JSON object and as a table; the same everywhere: `run`, `demo`, `report`, docs/results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from common.eval.report import column

if TYPE_CHECKING:
    from common.contract import Result


def as_json(result: Result) -> dict[str, Any]:
    """{"case", "preset", "seconds", "reports": {...}, "paired": {...}, "artifact"}."""
    return {
        "case": result.case,
        "preset": result.preset,
        "seconds": round(result.seconds, 2),
        "reports": {name: report.as_json() for name, report in result.reports.items()},
        "paired": {
            name: {"value": difference.value, "low": difference.low, "high": difference.high}
            for name, difference in result.paired.items()
        },
        "artifact": result.artifact.version,
    }


def rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for baseline, model and ceiling (or published), from `as_json`."""
    return [_row(found, name) for name in found["reports"]]


def _row(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    primary = found["reports"][name]["primary"]
    paired = found["paired"].get(f"model-{name}")
    return {
        "case": found["case"],
        "what": column(name, primary["name"]),
        "metric": f"{primary['name']} ({primary['direction']})",
        "value": f"{primary['value']:.4f}",
        "95 % interval": interval(primary),
        "n": primary["n"],
        "origin": primary["origin"],
        "model minus it": f"{paired['value']:+.4f} {interval(paired)}" if paired else "",
    }


def interval(found: Mapping[str, Any]) -> str:
    """[low, high]; a published figure has none."""
    return "" if found["low"] is None else f"[{found['low']:.4f}, {found['high']:.4f}]"
