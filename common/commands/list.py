"""`mlsd list`: which cases there are, and the question each one answers."""

from __future__ import annotations

import importlib
from pathlib import Path

from common import cases
from common.cases import Case
from common.commands import options, output


def command(out: options.Out = options.HOME, as_json: options.AsJson = False) -> None:
    """Show each case, its question, and the version that is live."""
    rows = [
        {
            "case": case.name,
            "question": question(case),
            "live": live_version(out, case.name),
            "folder": case.package.replace(".", "/"),
        }
        for case in cases.find().values()
    ]
    output.show("cases", rows, as_json=as_json, empty='No case is installed. See "Add a case" in CONTRIBUTING.md.')


def question(case: Case) -> str:
    """The first line of the package's docstring; a case that is still installed but gone from disk says so."""
    try:
        return (importlib.import_module(case.package).__doc__ or "").strip().split("\n")[0]
    except ImportError as error:
        return f"cannot be imported: {error}. After a case is added or removed: make install"


def live_version(home: Path, case: str) -> str | None:
    from common.lifecycle.registry import Registry

    return Registry(home).aliases(case).get("live")
