"""`mlsd data FILE`: reads a table of yours and drafts the schema.toml that lets it in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common import cases
from common.commands import options, output
from common.errors import InputError


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv, .csv.gz or .parquet file, or a folder of them.")
    ],
    case: Annotated[str, typer.Option("--case", metavar="CASE", help="The case that is to read it.")] = "",
    as_json: options.AsJson = False,
) -> None:
    """Draft the schema.toml that lets your table into a case. Which column plays which role, what the others are; see docs/data.md."""
    from common.data.door import draft

    if not case:
        names = ", ".join(cases.find())
        raise InputError(f"Which case is {file} for? Its roles differ. Say --case CASE; known: {names}.")
    if not file.exists():
        raise InputError(
            f"There is no {file} (looked from {Path.cwd()}). Expected a .csv, .csv.gz or .parquet file, or a folder of them."
        )
    text = draft(file, cases.get(case).stage("data").ROLES)
    if as_json:
        output.show_json({"file": str(file), "schema_toml": text})
    else:
        output.write(text.rstrip("\n"))
        place = (file if file.is_dir() else file.parent) / "schema.toml"
        output.say(f"Read it, mend it, save it as {place}, then: mlsd run {case} --data csv:{file}")
