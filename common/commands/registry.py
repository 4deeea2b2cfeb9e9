"""`mlsd registry [CASE]`: the versions there are, the names that point at them, and who moved which name when and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from common import cases
from common.commands import options, output
from common.errors import InputError


def command(
    case: Annotated[str, typer.Argument(metavar="[CASE]", help="One case; without it all of them.")] = "",
    point: Annotated[str, typer.Option("--point", metavar="ALIAS=VERSION", help="Move an alias; needs --reason.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why it moves; kept in the history.")] = "",
    out: options.Out = options.HOME,
    as_json: options.AsJson = False,
) -> None:
    """List versions, aliases and history, or move an alias."""
    from common.lifecycle.registry import Registry

    registry = Registry(out)
    names = [cases.get(case).name] if case else list(cases.find())
    if point:
        _point(registry, case, point, reason)
    rows = [row for name in names for row in _versions(registry, name)]
    history = [{"case": name, **entry} for name in names for entry in registry.history(name)]
    if as_json:
        output.show_json({"versions": rows, "history": history})
    elif not rows:
        output.write(f"No artifact in {out}/ yet. Make one: mlsd run {case or names[0]} --preset smoke")
    else:
        moves = [
            {key: entry[key] for key in ("case", "alias", "to", "reason")} | {"time": entry["time"][:19]}
            for entry in history
        ]
        output.write(output.table(rows) + "\n\n" + output.table(moves))


def _point(registry: Any, case: str, point: str, reason: str) -> None:
    alias, equals, version = point.partition("=")
    if not (case and alias and equals and version and reason):
        raise InputError(
            f"Moving an alias needs the case, ALIAS=VERSION and a reason, and got case {case!r}, --point {point!r}, --reason {reason!r}. "
            f"For example: mlsd registry ad_click --point live=VERSION --reason 'back to last week, clicks fell'"
        )
    registry.point(case, alias, version, reason)


def _versions(registry: Any, case: str) -> list[dict[str, Any]]:
    aliases = registry.aliases(case)
    return [
        {"case": case, "version": version, "aliases": [alias for alias, to in aliases.items() if to == version]}
        for version in registry.versions(case)
    ]
