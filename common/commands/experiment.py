"""`mlsd experiment CASE [NAME]`: the trade-offs of a case, each a comparison that runs; with --write its table is kept for the pages.

docs/results/CASE.experiments/NAME.json holds the table and what made it, NAME.svg its chart if the case's CHARTS has one. Pages cite both;
common/eval/ledger.py says how, and `mlsd report` compares.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common import cases
from common.cases import Case
from common.commands import options, output, report
from common.commands.run import configure
from common.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from common.eval.chart import Chart


def command(
    case: options.CaseName,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The experiment; without it they are listed.")] = "",
    preset: options.Preset = "demo",
    data: options.Data = "",
    settings: options.Settings = None,
    write: Annotated[bool, typer.Option("--write", help="Keep the table in docs/results, for the pages.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Run one experiment of a case, or list them."""
    found = cases.get(case)
    experiments = found.stage("experiments").EXPERIMENTS
    if not name:
        rows = [
            {"experiment": key, "asks": (run.__doc__ or "").strip().split("\n")[0]} for key, run in experiments.items()
        ]
        output.show("experiments", rows, as_json=as_json, empty=f"{case} has no experiment yet.")
        return
    if name not in experiments:
        raise InputError(f"{case} has no experiment {name!r}. {did_you_mean(name, experiments)}")
    result = ran(found, name, preset, configure(found, preset, data, settings or []), settings or [])
    if write:
        for path in [keep(result), *draw(found)]:
            output.say(f"written {path.relative_to(report.folder())}")
    if as_json:
        output.show_json(result)
    else:
        output.write(output.table(result["rows"]))


def ran(case: Case, name: str, preset: str, config: Any, settings: list[str]) -> dict[str, Any]:
    """The table of an experiment and what made it, in plain JSON values: what a reader needs to run it again."""
    import orjson

    from common.config import split_data
    from common.eval.tables import row_origin
    from common.lifecycle.manifest import packages

    start = time.perf_counter()
    table = case.stage("experiments").EXPERIMENTS[name](config)
    seconds = round(time.perf_counter() - start, 2)
    source, _ = split_data(config.data)
    rows = orjson.loads(orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY))
    origin = "world" if source == "world" else "real"
    stated = {row_origin(row, origin) for row in rows}
    return {
        "case": case.name,
        "experiment": name,
        "preset": preset,
        "settings": settings,
        "data": source,
        "seed": config.seed,
        "origin": stated.pop() if len(stated) == 1 else origin,
        "seconds": seconds,
        "packages": packages(),
        "rows": rows,
    }


def keep(result: Mapping[str, Any]) -> Path:
    """docs/results/CASE.experiments/NAME.json, or NAME.DATA.json: a table of real data does not replace the world's."""
    name = re.sub(r"[^\w-]+", "_", result["experiment"])
    data = "" if result["data"] == "world" else f".{result['data']}"
    return report.save(dict(result), f"experiments/{name}{data}")


def draw(case: Case) -> list[Path]:
    """Draws every chart of the tables on file anew; -> the files that changed."""
    from common.data.durable import write_bytes

    changed = []
    for path, result in kept(case).items():
        for file, content in _wanted(path, result, charts(case)).items():
            if not file.exists() or file.read_bytes() != content:
                write_bytes(file, content)
                changed.append(file)
    return changed


def problems(case: Case) -> list[str]:
    """What on file is not what the tables say: a picture, a flip, the result of an experiment that is gone."""
    found = []
    for path, result in kept(case).items():
        try:
            wanted = _wanted(path, result, charts(case))
        except InputError as error:
            found.append(f"{path.name}: {error}")
            continue
        stale = [file for file, content in wanted.items() if not file.exists() or file.read_bytes() != content]
        found += [f"{file.name}: not what its table says; run `make report`" for file in stale]
        if result["experiment"] not in case.stage("experiments").EXPERIMENTS:
            found.append(f"{path.name}: {case.name} has no such experiment now; delete the file")
        picture = path.with_suffix(".svg")
        if picture.exists() and picture not in wanted:
            found.append(f"{picture.name}: no entry of CHARTS draws it; delete the file")
    return [f"docs/results/{case.name}.experiments/{problem}" for problem in found]


def kept(case: Case) -> dict[Path, dict[str, Any]]:
    """The results on file."""
    return {path: report.read(path) for path in sorted((report.folder() / f"{case.name}.experiments").glob("*.json"))}


def charts(case: Case) -> Mapping[str, Chart]:
    """CHARTS of a case's experiments; a module need not have it."""
    stage = case.stage("experiments")
    found: Mapping[str, Chart] = getattr(stage, "CHARTS", {})
    for name in set(found) - set(stage.EXPERIMENTS):
        raise InputError(f"{case.name}: CHARTS has no experiment for {name!r}. {did_you_mean(name, stage.EXPERIMENTS)}")
    return found


def _wanted(path: Path, result: Mapping[str, Any], known: Mapping[str, Chart]) -> dict[Path, bytes]:
    """What the result of a chart must hold, its flip beside the table, and its picture; {} for a table that is none."""
    from common.eval.chart import flips
    from common.eval.drawing import svg

    chart = known.get(result["experiment"])
    if chart is None:
        return {}
    found = [asdict(flip) for flip in flips(result["rows"], chart)]
    source = "" if result["data"] == "world" else f" ({result['data']})"
    note = f"{result['origin']}{source}, preset {result['preset']}, seed {result['seed']}"
    return {
        path: report.encoded({**result, "flip": found[0] if len(found) == 1 else found}),
        path.with_suffix(".svg"): svg(result["rows"], chart, note).encode(),
    }
