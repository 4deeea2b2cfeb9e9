"""`mlsd report`: every number in the pages, from the result files; with --measure the result files, from new runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common import cases
from common.cases import Case
from common.commands import options, output, results

if TYPE_CHECKING:
    from common.commands.traffic import Asked

NUM_REQUESTS = 300
WARM_UP = 20


def command(
    write: Annotated[bool, typer.Option("--write", help="Fill the markers of every page.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Run every case first, on public data too where MLSD_DATA has it.")
    ] = False,
    preset: options.Preset = "demo",
    as_json: options.AsJson = False,
) -> None:
    """Show the results on file, and which page says otherwise. Exit 1 if one does."""
    from common.commands import experiment
    from common.eval import ledger

    if measure:
        installed = list(cases.find().values())
        for run in measured(installed, preset):
            save(run, preset)
        for case in installed:
            for name, path in public_data(case).items():
                save(on_real_data(case, name, path), name)
    if write:
        drawn = [file for case in cases.find().values() for file in experiment.draw(case)]
        for file in [*drawn, *ledger.write_all()]:
            output.say(f"written {file.relative_to(ledger.ROOT)}")
    problems = ledger.check_all() + [line for case in cases.find().values() for line in experiment.problems(case)]
    found = [(path.stem, read(path)) for path in sorted(folder().glob("*.json"))]
    rows = [
        {"file": name, **row, "run, s": one["seconds"]}
        for name, one in found
        if "reports" in one
        for row in results.rows(one)
    ]
    if as_json:
        output.show_json({"results": [one for _, one in found], "problems": problems})
    else:
        output.write(output.table(rows) if rows else "No results in docs/results yet: mlsd report --measure")
        output.write("\n".join(problems) or "Every page agrees with its results.")
    if problems:
        raise SystemExit(1)


def measured(found: list[Case], preset: str) -> list[dict[str, Any]]:
    """`mlsd run --json` plus "latency" of each case. All are trained before one is served: serving holds every library to one thread."""
    from common.commands.run import train
    from common.commands.traffic import asking

    with tempfile.TemporaryDirectory() as home:
        runs = []
        for case in found:
            output.say(f"{case.name}: {preset}")
            runs.append(results.as_json(train(case, case.preset(preset), Path(home))))
        for case, run in zip(found, runs, strict=True):
            with asking(case, Path(home)) as asked:
                run["latency"] = latency(asked)
        return runs


def latency(asked: Asked) -> dict[str, Any]:
    """{"p50_ms", "p99_ms", "n", "origin"} of answers to simulated people, one after the other, over HTTP, by the server's own clock."""
    from common.commands.opened import percentiles
    from common.commands.traffic import ask

    answers = [ask(asked, visit) for visit in asked.opened.visits(WARM_UP + NUM_REQUESTS)][WARM_UP:]
    total_ms = [answer["timings_ms"]["total"] for answer in answers if answer is not None]
    return {**percentiles(total_ms), "n": len(total_ms), "origin": "machine"}


def public_data(case: Case) -> dict[str, Path]:
    """NAME -> folder, for the data sets of a case that lie under MLSD_DATA as CASE/NAME or CASE/NAME_something, or a folder deeper: a form of data
    (beir) in a folder of the set (scifact)."""
    root = Path(os.environ.get("MLSD_DATA", "")) / case.name
    names = [name for name in case.stage("config").OVERRIDES if name not in ("csv", "parquet")]
    if not os.environ.get("MLSD_DATA"):
        return {}
    found = {name: [*sorted(root.glob(f"{name}*")), *sorted(root.glob(f"*/{name}*"))] for name in names}
    folders = {name: [path for path in paths if path.is_dir()] for name, paths in found.items()}
    return {name: paths[0] for name, paths in folders.items() if paths}


def on_real_data(case: Case, name: str, path: Path) -> dict[str, Any]:
    from common.commands.run import configure, train

    output.say(f"{case.name}: {name}")
    with tempfile.TemporaryDirectory() as home:
        return results.as_json(train(case, configure(case, "default", f"{name}:{path}", []), Path(home)))


def save(found: dict[str, Any], what: str) -> Path:
    """docs/results/CASE.WHAT.json, whole or not at all."""
    from common.data.durable import write_bytes

    path = folder() / f"{found['case']}.{what}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, encoded(found))
    return path


def encoded(found: dict[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n"


def folder() -> Path:
    from common.eval import ledger

    return ledger.ROOT / "docs" / "results"


def read(path: Path) -> dict[str, Any]:
    import orjson

    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found
