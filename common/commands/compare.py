"""`mlsd compare`: the cases side by side, row by row; --write makes docs/compare/ of it (common/compare.py says what a cell is).

README.md is rows x cases. stages.md is made from the docstrings of the stages, which are parsed and never imported: HOUSE's five labels,
of which In and Out stay in the files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from common import compare
from common.cases import Case
from common.commands import options, output
from common.compare import FOLDER

LABELS = ("Choice", "Else", "Breaks")
FIRST, LAST = "what", "why they differ"
_HEAD = """# The cases side by side

The same {num_rows} questions put to every case. Cover a column, answer for that system, uncover; say the last column before you read it. Each
cell leads to what it rests on. A number with an origin (`world`, `real`, `calc`, `machine`) is a claim of the ledger; one without is a knob
of that case, preset default. What each file of a case chose: [stages.md](stages.md).

Written by `make compare` from [rows.yaml](rows.yaml) and the `compare.yaml` of each case.{missing}
"""
_STAGES = """# The stages side by side

What each stage of each case chose, what it did not choose and when that would win, and what goes wrong there. Written by `make compare` from
the docstrings of the stages. Back to [the cases side by side](README.md).
"""


def command(
    write: Annotated[bool, typer.Option("--write", help="Write the pages of docs/compare/.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show the cases side by side. Exit 1 if a cell, a link or a page is wrong."""
    from common.eval import ledger

    root, found = ledger.ROOT, compare.in_tree(ledger.ROOT)
    wrong = compare.problems(found, root)
    if write and not wrong:
        for path in write_all(found, root):
            output.say(f"written {path.relative_to(root)}")
    shown = [] if wrong else as_rows(found, root)
    wrong = wrong or stale(found, root)
    if as_json:
        output.show_json({"rows": shown, "missing": compare.missing(found, root), "problems": wrong})
    else:
        output.write(
            output.table([{"row": row["row"], **row["cells"]} for row in shown]) if shown else "Nothing to show."
        )
        output.write("\n".join(wrong) or "Every cell leads somewhere, and the pages are as written.")
    if wrong:
        raise SystemExit(1)


def as_rows(found: Mapping[str, Case], root: Path) -> list[dict[str, Any]]:
    """[{row, title, why, cells: case -> its text with the numbers in it, links: case -> as typed}]"""
    typed = compare.read_cells(found, root)
    return [
        {
            "row": row.id,
            "title": row.title,
            "why": row.why,
            "cells": {name: compare.filled(found[name], cells[row.id]["cell"], root) for name, cells in typed.items()},
            "links": {name: cells[row.id]["link"] for name, cells in typed.items()},
        }
        for row in compare.read_rows(root)
    ]


# -------------------------------------------------------------------------------------------------------------- the pages


def write_all(found: Mapping[str, Case], root: Path) -> list[Path]:
    """-> the pages that changed."""
    from common.data.durable import write_bytes

    changed = {
        path: text for path, text in pages(found, root).items() if not path.is_file() or path.read_text() != text
    }
    for path, text in changed.items():
        write_bytes(path, text.encode())
    return list(changed)


def stale(found: Mapping[str, Case], root: Path) -> list[str]:
    """The pages that do not say what the command would write; columns of cases whose folder is gone are looked past."""
    return [
        f"{path.relative_to(root)} is not what the command writes; run `make compare`"
        for path, text in pages(found, root).items()
        if not path.is_file() or without_gone(path.read_text(), root) != text
    ]


def without_gone(page: str, root: Path) -> str:
    """The page without the columns of deleted cases: a case can be deleted, and pages about the others stay as they are."""
    lines: list[str] = []
    gone: set[int] | None = None  # columns of the table at hand
    for line in page.splitlines():
        parts = re.split(r"(?<!\\)\|", line)
        if not line.startswith("|"):
            gone = None
        elif gone is None:
            names = {place: part.strip() for place, part in enumerate(parts)}
            gone = {
                place for place, name in names.items() if name not in ("", FIRST, LAST) and not (root / name).is_dir()
            }
        lines.append("|".join(part for place, part in enumerate(parts) if place not in (gone or ())))
    return "\n".join(lines) + "\n"


def pages(found: Mapping[str, Case], root: Path) -> dict[Path, str]:
    """What --write writes."""
    return {root / FOLDER / "README.md": readme(found, root), root / FOLDER / "stages.md": stages(found, root)}


def readme(found: Mapping[str, Case], root: Path) -> str:
    """Rows x cases, a table for each step of the design."""
    rows, typed = compare.read_rows(root), compare.read_cells(found, root)
    parts = [_HEAD.format(num_rows=len(rows), missing=_sentence(compare.missing(found, root)))]
    for step in dict.fromkeys(row.step for row in rows):
        table = [
            {FIRST: row.title}
            | {name: _cell(found[name], cells[row.id], root) for name, cells in typed.items()}
            | {LAST: row.why}
            for row in rows
            if row.step == step
        ]
        parts.append(_section(step, table))
    return "\n".join(parts)


def _sentence(absent: Sequence[str]) -> str:
    return f"\nNo `compare.yaml` yet, so no column here: {', '.join(absent)}." if absent else ""


def _cell(case: Case, entry: Mapping[str, str], root: Path) -> str:
    return f"{compare.filled(case, entry['cell'], root)} {compare.target(case, entry['link'], root)}"


def stages(found: Mapping[str, Case], root: Path) -> str:
    """Choice, Else and Breaks of every stage, a column a case."""
    from common.contract import STAGES

    parts = [_STAGES]
    for stage in STAGES:
        files = {name: compare.source(compare.folder(case, root) / stage) for name, case in found.items()}
        said = {name: labelled(file.read_text()) if file else {} for name, file in files.items()}
        table = [{FIRST: label, **{name: one.get(label, "-") for name, one in said.items()}} for label in LABELS]
        parts.append(_section(stage, table))
    return "\n".join(parts)


def _section(heading: str, table: list[dict[str, Any]]) -> str:
    from common.eval.tables import markdown

    return f"## {heading}\n\n{markdown(table)}\n"


def labelled(module: str) -> dict[str, str]:
    """The labels of a stage's docstring, each with its text on one line."""
    text = (ast.get_docstring(ast.parse(module)) or "") + "\n\n"
    found = re.findall(r"^([A-Z]\w+):\s+(.+?)(?=\n[A-Z]\w+:\s|\n\n)", text, re.MULTILINE | re.DOTALL)
    return {label: _plain(" ".join(said.split())) for label, said in found}


def _plain(text: str) -> str:
    """What Markdown would take for markup, kept as it reads; a code span is left alone."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<])", r"\\\1", part) for part in parts)
