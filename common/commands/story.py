"""`mlsd demo CASE`: the case in seven lines, one for each step of the design: a number, its origin, what to open, what to try."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.cases import Case
from common.commands.results import interval
from common.commands.traffic import Asked, played

NUM_VISITS = 300


def steps(asked: Asked, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Clarify, frame, data, model, evaluate, serve, operate, in the order they are said in an interview."""
    case, reports = asked.opened.case, run["reports"]
    name = case.name
    third = next((key for key in reports if key not in ("baseline", "model")), "baseline")
    origin = reports["model"]["primary"]["origin"]
    shows: list[tuple[str, tuple[str, str], tuple[str, str], str]] = [
        (
            "1 clarify",
            _clarify(case),
            ("config", ""),
            f"mlsd capacity {name}" if hasattr(case.stage("config"), "CAPACITY") else "mlsd list",
        ),
        (
            "2 frame",
            (_primary(reports["baseline"], "baseline"), origin),
            ("baseline", "fit"),
            f"mlsd run {name} --preset smoke",
        ),
        (
            "3 data",
            (f"{run['events']:,} events before the first answer", origin),
            ("data", "load"),
            f"mlsd data FILE --case {name}",
        ),
        (
            "4 model",
            (f"{_primary(reports['model'], 'model')}; {_paired(run, 'baseline')}", origin),
            ("model", "fit"),
            f"mlsd experiment {name}",
        ),
        (
            "5 evaluate",
            (f"{_primary(reports[third], third)}; {_paired(run, third)}", origin),
            ("evaluate", "evaluate"),
            "mlsd report",
        ),
        (
            "6 serve",
            (_serve(case, run), "machine"),
            ("serve", "respond"),
            f"mlsd traffic {name}, or the curl line below",
        ),
        ("7 operate", (_operate(asked), origin), ("monitor", "check"), f"mlsd drill {name} --predict"),
    ]
    return [
        {"step": step, "number": number, "origin": origin, "open": _place(case, *place), "try next": next_}
        for step, (number, origin), place, next_ in shows
    ]


def _place(case: Case, stage: str, verb: str) -> str:
    """The file that holds a stage, be it a module or a package, and the verb to look for."""
    file = Path(case.stage(stage).__file__)
    inside = file.name if file.stem == stage else f"{stage}/{file.name}"
    return f"{case.package.replace('.', '/')}/{inside} {verb}".rstrip()


def _clarify(case: Case) -> tuple[str, str]:
    from common.capacity import table

    config = case.stage("config")
    if not hasattr(config, "CAPACITY"):
        return f"{config.DEFAULT.deadline_ms:g} ms for an answer", "calc"
    peak = next(row for row in table(config.CAPACITY) if row["what"] == "requests, peak")
    return f"{peak['value']:,.0f} requests a second at peak, {config.DEFAULT.deadline_ms:g} ms for each", "calc"


def _primary(report: Mapping[str, Any], what: str) -> str:
    primary = report["primary"]
    return f"{what} {primary['name']} {primary['value']:.4f} {interval(primary)}".rstrip()


def _paired(run: Mapping[str, Any], other: str) -> str:
    found = run["paired"].get(f"model-{other}")
    return f"model minus {other} {found['value']:+.4f} {interval(found)}" if found else "not comparable row by row"


def _serve(case: Case, run: Mapping[str, Any]) -> str:
    return f"p99 {run['latency']['p99_ms']} ms of {case.stage('config').DEFAULT.deadline_ms:g} ms allowed"


def _operate(asked: Asked) -> str:
    """People really come by, click or leave; the monitor looks at what they were served."""
    seen = played(asked, NUM_VISITS)
    alerts = ", ".join(alert["name"] for alert in seen["alerts"]) or "none"
    return f"alerts after {seen['answered']} answers and {seen['events']} events fed back: {alerts}"
