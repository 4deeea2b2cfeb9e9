"""Drafts a schema.toml: roles guessed from names and types, a kind for every other column. A person reads it before it is used."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.data import cells
from common.data.reading import SUFFIXES, read_table
from common.data.tables import Roles, key, quoted
from common.errors import InputError

_CLOSE = 0.75  # similarity of names from which a guess is worth making
_ALSO = {  # what people call things, by role or by the kind of a role
    "user_id": {
        "uid",
        "user",
        "userid",
        "member",
        "memberid",
        "customer",
        "customerid",
        "account",
        "accountid",
        "viewer",
        "viewerid",
    },
    "time": {"time", "timestamp", "ts", "date", "datetime", "createdat", "occurredat", "unixtime", "when", "hour"},
    "label": {"label", "target", "y", "click", "clicked", "isclick", "response"},
}


def draft(path: Path, wanted: Mapping[str, Roles]) -> str:
    """The text of a schema.toml for that file: roles guessed from names and types, every other column with a kind. `mlsd data FILE` prints it."""
    if path.is_file():
        name = next(iter(wanted))
        return _HEAD + "\n".join(_section(path, wanted[name], "")) + "\n"
    files = sorted(file for file in path.glob("*") if file.is_file() and file.name.endswith(SUFFIXES))
    if not files:
        raise InputError(f"{path}: no file in it ends in {', '.join(SUFFIXES)}.")
    matched = _match(files, wanted)
    lines = ["[file]", *(f"{key(name)} = {quoted(file.name)}" for name, file in matched.items())]
    lines += [
        f"# {file.name}: fits none of {', '.join(wanted)}; not read" for file in files if file not in matched.values()
    ]
    for name, file in matched.items():
        lines += ["", *_section(file, wanted[name], f"{name}.")]
    return _HEAD + "\n".join(lines) + "\n"


_HEAD = "# our role = your column. Drafted from names and types: read it, mend it, then save it as schema.toml beside the file.\n"


def guess_roles(table: Any, roles: Roles, file: Path) -> dict[str, str]:
    """role -> column, each column once, the most alike first."""
    pairs = [
        (_likeness(role, kind, column), role, column)
        for role, kind in roles.kinds.items()
        for column in table.column_names
    ]
    guessed: dict[str, str] = {}
    for likeness, role, column in sorted(pairs, key=lambda pair: -pair[0]):
        if likeness < _CLOSE or role in guessed or column in guessed.values():
            continue
        if _fits(
            roles.kinds[role], cells.Column(path=file, name=column, values=table.column(column)), role in roles.required
        ):
            guessed[role] = column
    return {role: guessed[role] for role in roles.kinds if role in guessed}


def guess_kind(values: Any, name: str, file: Path) -> tuple[str, str]:
    """-> (kind, why)."""
    column = cells.Column(path=file, name=name, values=values)
    texts = cells.strings(column)
    filled = texts[texts != ""]
    if len(filled) == 0:
        return "ignore", "always empty"
    if not column.is_text and "list" in str(values.type):
        return "list", "a list"
    distinct = f"{len(set(filled.tolist())):,} different"
    if _fits("number", column, required=False):
        is_code = _plain(name).endswith("id") and all(text.isdigit() for text in filled[:1000])
        return ("category", f"{distinct} codes") if is_code else ("number", f"{distinct} numbers")
    return _guess_text(filled.tolist(), distinct)


def _guess_text(filled: list[str], distinct: str) -> tuple[str, str]:
    if max(map(len, filled)) > cells.MAX_TEXT:
        return "ignore", f"longer than {cells.MAX_TEXT:,} characters"
    if np.mean(["|" in text for text in filled]) > 0.2:
        return "list", "items between |"
    if np.mean([len(text.split()) for text in filled]) >= 3:
        return "text", "several words"
    return "category", f"{distinct} values"


def time_unit(table: Any, roles: Roles, guessed: Mapping[str, str], file: Path) -> str:
    """The unit in which the table's times are times; "s" where they are, or where there are none."""
    columns = [guessed[role] for role, kind in roles.kinds.items() if kind == "time" and role in guessed]
    for unit in cells.UNITS:
        if all(_is_time(cells.Column(path=file, name=column, values=table.column(column)), unit) for column in columns):
            return unit
    return "s"


def _section(file: Path, roles: Roles, shown: str) -> list[str]:
    table = read_table(file)
    guessed = guess_roles(table, roles, file)
    unit = time_unit(table, roles, guessed, file)
    lines = [] if unit == "s" else [*([f"[{shown[:-1]}]"] if shown else []), f'time_unit = "{unit}"', ""]
    lines.append(f"[{shown}roles]")
    for role, kind in roles.kinds.items():
        need = "required" if role in roles.required else "optional"
        if role in guessed:
            certain = _plain(role) == _plain(guessed[role])
            lines.append(
                f"{key(role)} = {quoted(guessed[role])}" + ("" if certain else f"  # a guess ({kind}, {need})")
            )
        else:
            lines.append(f'# {key(role)} = "YOUR_COLUMN"  # {kind}, {need}: no column looks like it')
    lines += ["", f"[{shown}columns]"]
    for column in table.column_names:
        if column not in guessed.values():
            kind, why = guess_kind(table.column(column), column, file)
            lines.append(f"{key(column)} = {quoted(kind)}  # {why}")
    return lines


def _match(files: list[Path], wanted: Mapping[str, Roles]) -> dict[str, Path]:
    """table -> file: by the file's name where it is the table's, else by how many required roles its columns fill."""
    matched = {name: file for name in wanted for file in files if file.name.split(".")[0] == name}
    for name, roles in wanted.items():
        rest = [file for file in files if file not in matched.values()]
        if name in matched or not rest:
            continue
        filled = {
            file: len(guess_roles(read_table(file), Roles(required=roles.required, optional={}), file)) for file in rest
        }
        best = max(rest, key=lambda file: filled[file])
        if filled[best] == len(roles.required) or name == next(iter(wanted)):
            matched[name] = best
    return {name: matched[name] for name in wanted if name in matched}


def _likeness(role: str, kind: str, column: str) -> float:
    ours, theirs = _plain(role), _plain(column)
    if ours == theirs:
        return 1.0
    if theirs in _ALSO.get(role, set()) or theirs in _ALSO.get(kind, set()):
        return 0.95
    if kind == "id" and ours.removesuffix("id") == theirs.removesuffix("id"):
        return 0.9
    return difflib.SequenceMatcher(None, ours, theirs).ratio() * 0.89


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fits(kind: str, column: cells.Column, required: bool) -> bool:
    try:
        if kind == "id":
            cells.ids(column, required)
        elif kind in ("number", "label"):
            cells.numbers(column)
    except InputError:
        return False
    return kind != "time" or any(_is_time(column, unit) for unit in cells.UNITS)


def _is_time(column: cells.Column, unit: str) -> bool:
    try:
        cells.times(column, unit)
    except InputError:
        return False
    return True
