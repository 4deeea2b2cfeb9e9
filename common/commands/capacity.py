"""`mlsd capacity CASE`: the sums behind a case at scale, each with its formula filled in."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any

import typer

from common import cases
from common.commands import options, output
from common.errors import InputError


def command(
    case: options.CaseName,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one assumption: --set daily_users=1e9."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Work out requests, storage, cores and money. Sums a reader can follow on paper, index memory too."""
    from common.capacity import table

    found = cases.get(case).stage("config")
    if not hasattr(found, "CAPACITY"):
        raise InputError(f"{case}/config.py states no CAPACITY. Add a common.capacity.Plan of that name.")
    output.show("capacity", table(changed(found.CAPACITY, settings or [])), as_json=as_json)


def changed(plan: Any, settings: list[str]) -> Any:
    """The plan with some assumptions replaced; those about who asks stand in plan.load."""
    from common.config import override

    about_load = {field.name for field in fields(plan.load)}
    load = [setting for setting in settings if setting.partition("=")[0].strip() in about_load]
    rest = [setting for setting in settings if setting not in load]
    return override(replace(plan, load=override(plan.load, load)), rest)
