"""The same questions put to every case: what a row and a cell are, and what is wrong with them. `mlsd compare` makes the pages.

docs/compare/rows.yaml holds the rows in order: {id, step, title, why}, `why` being the sentence that says why the cases differ.
CASE/compare.yaml holds the cells of a case by row id: {cell, link}.

    cell   at most twelve words. A number is written {config.deadline_ms:.0f} (a knob of the case, preset default) or as any claim of the
           ledger, {calc ad_click.peak_qps * 2:,.0f} or {ad_click.demo.model.log_loss:.3f}; typed by hand it would rot, and is refused
    link   what the cell rests on: a file or page#heading as seen from the folder of the case, or module:symbol where it is defined
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import cases
from common.cases import Case
from common.errors import InputError, did_you_mean

MOST_WORDS = 12
FOLDER = Path("docs/compare")
_NUMBER = re.compile(r"\{([^{}]+?)(?::([^\s{}]+))?\}")


@dataclass(frozen=True)
class Row:
    id: str
    step: str
    title: str
    why: str


def in_tree(root: Path) -> dict[str, Case]:
    """The installed cases whose folder lies in this repository, by name."""
    return {name: case for name, case in cases.find().items() if folder(case, root).is_dir()}


def missing(found: Mapping[str, Case], root: Path) -> list[str]:
    """The cases that have no compare.yaml."""
    return [name for name, case in found.items() if not _file(case, root).is_file()]


def read_rows(root: Path) -> list[Row]:
    """The rows in order. Raises InputError on one that is not whole or stands there twice."""
    import yaml

    listed: list[dict[str, Any]] = yaml.safe_load((root / FOLDER / "rows.yaml").read_text())
    for entry in listed:
        if set(entry) != {"id", "step", "title", "why"} or not all(str(value).strip() for value in entry.values()):
            raise InputError(f"{FOLDER}/rows.yaml: {entry} must have exactly an id, a step, a title and a why.")
    if len({entry["id"] for entry in listed}) < len(listed):
        raise InputError(f"{FOLDER}/rows.yaml: an id stands there twice.")
    return [Row(**entry) for entry in listed]


def read_cells(found: Mapping[str, Case], root: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Case -> row id -> {cell, link}, as typed; cases without a compare.yaml are left out. Raises InputError on a cell that is not whole."""
    import yaml

    absent, cells = missing(found, root), dict[str, dict[str, dict[str, str]]]()
    for name in [name for name in found if name not in absent]:
        cells[name] = yaml.safe_load(_file(found[name], root).read_text()) or {}
        for row, entry in cells[name].items():
            if not isinstance(entry, Mapping) or set(entry) != {"cell", "link"}:
                raise InputError(f"{name}/compare.yaml: {row} must have exactly a cell and a link, it has {entry}.")
    return cells


def problems(found: Mapping[str, Case], root: Path) -> list[str]:
    """What is wrong, one line each: a row too few or too many, too many words, a typed number, a link that leads nowhere."""
    rows = read_rows(root)
    typed = [
        f"{FOLDER}/rows.yaml: {row.id}: a typed number {number}" for row in rows for number in _typed(row.why, root)
    ]
    return typed + [
        f"{name}/compare.yaml: {line}"
        for name, cells in read_cells(found, root).items()
        for line in _of_case(found[name], cells, [row.id for row in rows], root)
    ]


def _of_case(case: Case, cells: Mapping[str, Mapping[str, str]], known: Sequence[str], root: Path) -> Iterator[str]:
    yield from (f"no cell for the row {row!r}" for row in known if row not in cells)
    yield from (f"there is no row {row!r}. {did_you_mean(row, known)}" for row in cells if row not in known)
    for row, entry in cells.items():
        yield from (f"{row}: {problem}" for problem in _of_cell(case, entry, root))


def _of_cell(case: Case, entry: Mapping[str, str], root: Path) -> Iterator[str]:
    words = len(re.findall(r"\S*\w\S*", _NUMBER.sub("0", entry["cell"])))
    if not 1 <= words <= MOST_WORDS:
        yield f"{words} words, at most {MOST_WORDS}"
    for number in _typed(_NUMBER.sub("", entry["cell"]), root):
        yield f"a typed number {number}: write {{config.KNOB}} or a claim in braces"
    for read, text in ((filled, entry["cell"]), (target, entry["link"])):
        try:
            read(case, text, root)
        except InputError as error:
            yield str(error)


def _typed(text: str, root: Path) -> list[str]:
    from common.eval.bare_numbers import bare_numbers, read_facts

    return [number for _, number in bare_numbers(text, read_facts(root))]


# ----------------------------------------------------------------------------------------------------------------- a cell


def filled(case: Case, cell: str, root: Path) -> str:
    """The cell with its numbers. Raises InputError on a knob or claim there is none of."""
    return _NUMBER.sub(lambda found: _number(case, found[1], found[2], root), cell)


def _number(case: Case, reference: str, form: str | None, root: Path) -> str:
    from common.eval import ledger

    if not reference.startswith("config."):
        return ledger.claim(reference, form, root)
    knobs, name = vars(case.preset("default")), reference.removeprefix("config.")
    if name not in knobs:
        raise InputError(f"the config of {case.name} has no {name!r}. {did_you_mean(name, knobs)}")
    return format(knobs[name], form or "")


def target(case: Case, link: str, root: Path) -> str:
    """The link in Markdown, as seen from docs/compare/. Raises InputError where it leads nowhere."""
    module, colon, symbol = link.partition(":")
    if colon:
        file = source(root / Path(*module.split(".")))
        if file is None or not _defines(ast.parse(file.read_text()).body, symbol.split(".")):
            raise InputError(f"there is no symbol {link!r}; expected module:symbol where it is defined")
        return f"[`{link.removeprefix(f'{case.package}.')}`]({_seen(file, root)})"
    page, _, anchor = link.partition("#")
    file = (folder(case, root) / page).resolve()
    if not file.is_file():
        raise InputError(f"there is no file {link!r}")
    if anchor and anchor not in anchors(file.read_text()):
        raise InputError(f"{page} has no heading {anchor!r}")
    return f"[{file.name}]({_seen(file, root)}{'#' if anchor else ''}{anchor})"


def anchors(page: str) -> set[str]:
    """What GitHub makes of the headings of a page: lower case, no punctuation, a dash for each space."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"<!--.*?-->", "", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def _defines(body: Sequence[ast.stmt], path: Sequence[str]) -> bool:
    """Whether the first name is defined here, and the next inside it; an imported name is not."""
    for node in body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = {part.id for one in targets for part in ast.walk(one) if isinstance(part, ast.Name)}
        if path[0] in names or path[0] == getattr(node, "name", None):
            return len(path) == 1 or _defines(getattr(node, "body", ()), path[1:])
    return False


def folder(case: Case, root: Path) -> Path:
    return root / Path(*case.package.split("."))


def source(place: Path) -> Path | None:
    """The file of a module, or the __init__.py of a package."""
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def _file(case: Case, root: Path) -> Path:
    return folder(case, root) / "compare.yaml"


def _seen(file: Path, root: Path) -> str:
    return f"../../{file.resolve().relative_to(root.resolve())}"
