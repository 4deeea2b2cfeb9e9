"""`mlsd experiment CASE [NAME]`: the trade-offs of a case, each a comparison that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from common import cases
from common.commands import options, output
from common.commands.run import configure
from common.errors import InputError, did_you_mean


def command(
    case: options.CaseName,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The experiment; without it they are listed.")] = "",
    preset: options.Preset = "demo",
    data: options.Data = "",
    settings: options.Settings = None,
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
    rows = experiments[name](configure(found, preset, data, settings or []))
    if as_json:
        output.show_json({"case": case, "experiment": name, "rows": rows})
    else:
        output.write(output.table(rows))
