"""The options several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CaseName = Annotated[str, typer.Argument(metavar="CASE", help="The case; `mlsd list` shows them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where artifacts and logs are kept.")]
Preset = Annotated[str, typer.Option("--preset", metavar="PRESET", help="smoke, demo, default or large.")]
Data = Annotated[str, typer.Option("--data", metavar="NAME:PATH", help="Real data in place of the world.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one knob of config.py.")]

HOME = Path("runs")
