"""`mlsd demo`: trains every case, prints what came out beside what the README says, serves them, and tries the curl line it prints."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from common import cases
from common.cases import Case
from common.commands import options, output, report, results, story
from common.commands.child import serving
from common.commands.traffic import asking
from common.errors import InputError

PRESET = "demo"


def command(
    case: Annotated[str, typer.Argument(metavar="[CASE]", help="One case, told in seven steps; without it, all.")] = "",
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="--no-serve ends after the tables.")] = True,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535)] = 8000,
    preset: options.Preset = PRESET,
    out: options.Out = options.HOME,
    as_json: options.AsJson = False,
) -> None:
    """Train, evaluate and serve every case at DEMO. Prints one URL and a curl line that works; `demo CASE` tells one story."""
    found = [cases.get(case)] if case else list(cases.find().values())
    if not found:
        raise InputError('No case is installed. See "Add a case" in CONTRIBUTING.md.')
    with serving(found, port, out) if serve else contextlib.nullcontext() as child:
        runs = [train(one, preset, out) for one in found]
        if child:
            output.say("waiting for the server to take the cases in")
            child.until_ready({run["case"]: run["artifact"] for run in runs})
        curls = [child.try_curl(one) for one in found] if child else []
        steps: list[dict[str, Any]] = []
        for one, run in zip(found, runs, strict=True):
            with asking(one, out, child.url if child else "") as asked:
                run["latency"] = report.latency(asked)
                steps = story.steps(asked, run) if case else []
        _show(runs, steps, child.url if child else None, curls, as_json)
        if child:
            child.wait()


def train(case: Case, preset: str, out: Path) -> dict[str, Any]:
    """One case trained and made live. -> `mlsd run --json` plus "events"."""
    from common.commands.run import train as run
    from common.lifecycle.registry import Registry

    output.say(f"\n{case.name}: {preset}")
    result = run(case, case.preset(preset), out)
    registry = Registry(out)
    if registry.aliases(case.name).get("live") != result.artifact.version:
        registry.point(case.name, "live", result.artifact.version, "mlsd demo trained it")
    return results.as_json(result) | {"events": len(result.history)}


def beside_readme(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The model's primary metric and the times of this run, and what the README's tables were made from."""
    path = report.folder() / f"{run['case']}.{run['preset']}.json"
    readme = report.read(path) if path.exists() else {}
    primary = run["reports"]["model"]["primary"]["name"]
    places = {
        primary: ("reports", "model", "primary", "value"),
        "run, s": ("seconds",),
        "p50 of an answer, ms": ("latency", "p50_ms"),
        "p99 of an answer, ms": ("latency", "p99_ms"),
    }
    return [
        {"case": run["case"], "what": what, "this machine": _at(run, keys), "README": _at(readme, keys)}
        for what, keys in places.items()
    ]


def _at(found: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        found = (found or {}).get(key)
    return found


def _show(
    runs: list[dict[str, Any]], steps: list[dict[str, Any]], url: str | None, curls: list[str], as_json: bool
) -> None:
    if as_json:
        output.show_json({"cases": runs, "story": steps, "url": url, "curl": curls})
        return
    output.write("\n" + output.table([row for run in runs for row in results.rows(run)]))
    output.write("\n" + output.table([row for run in runs for row in beside_readme(run)]))
    if steps:
        output.write("\n" + output.table(steps))
    if url:
        output.write(f"\n{url}   every case with its results; Ctrl-C ends\n\n{curls[0]}\n")
