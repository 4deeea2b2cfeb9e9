"""`mlsd coverage [IDS...]`: which idea of the field is shown where; --prove breaks each one and wants its test to fail."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from common.commands import options, output


def command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or prefixes such as ADS.")] = None,
    prove: Annotated[bool, typer.Option("--prove", help="Break each symbol: its test must fail.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show where each syllabus id is met, or prove it. Exit 1 if something is not proved."""
    from common import coverage

    entries = coverage.load()
    chosen = coverage.select(entries, ids or ())
    found = coverage.as_json({name: entries[name] for name in chosen} if ids else entries)
    if prove:
        proofs = coverage.prove(chosen, entries)
        for name, problem in proofs.items():
            found["ids"][name] |= {"proved": not problem, "problem": problem or None}
    if as_json:
        output.show_json(found)
    else:
        _show(found["ids"], chosen, len(entries))
    if prove and any(proofs.values()):
        raise SystemExit(1)


def _show(found: dict[str, Any], chosen: list[str], total: int) -> None:
    rows = [{"id": name, **{key: value for key, value in found[name].items() if value is not None}} for name in chosen]
    output.write(output.table(rows) if rows else "No id is mapped yet: docs/coverage.yaml.")
    mapped = sum(entry["kind"] is not None for entry in found.values())
    output.write(
        f"{mapped} of {total} ids are mapped"
        if len(found) == total
        else f"{mapped} of the {len(found)} asked for are mapped"
    )
