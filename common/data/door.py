"""The door: `schema.toml` beside a file says which of your columns plays which of our roles; what it does not name is refused.

    [file]                      # optional: rows = "impressions.csv"; catalog, users, events likewise (a folder with several tables)
    [roles]                     # our role = your column
    user_id = "uid"
    label = "clicked"
    [columns]                   # further columns: number | category | text | list | ignore
    device = "category"

Tables in a folder have a section each: [rows.roles], [rows.columns], [catalog.roles], ... Times that are not seconds: time_unit = "ms" at
the top, or under [rows]. A role of one name is one vocabulary: user "anna" has the same number in every table of the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Ints
from common.data import cells
from common.data.declared import Section, check_section, find_files, read_schema, section_of
from common.data.draft import draft
from common.data.reading import read_table
from common.data.tables import KINDS, Roles, Table, write_tables
from common.errors import InputError

__all__ = ["Roles", "Table", "draft", "read_tables", "write_tables"]


def read_tables(path: Path, wanted: Mapping[str, Roles]) -> dict[str, Table]:
    """path: a .csv/.csv.gz/.parquet file (the first table wanted) or a folder of them, with schema.toml beside (or inside) it. -> tables by
    name; a table that is wanted but not in the folder is absent, the first excepted.

    Refused with the line to add or mend: no schema.toml, a required role missing, a column it does not name, wrong types, repeated ids.
    """
    schema = read_schema(path, wanted)
    files = find_files(path, schema, wanted)
    sections = {name: section_of(schema, name, wanted[name], path, name == next(iter(wanted))) for name in files}
    read = {name: read_table(file) for name, file in files.items()}
    for name in files:
        check_section(sections[name], wanted[name], files[name], read[name])
    numbered = _number_ids(files, sections, wanted, read)
    tables = {name: _table(name, files[name], sections[name], wanted[name], read[name], numbered) for name in files}
    for name, table in tables.items():
        _check_key(files[name], sections[name], wanted[name].key, table)
    return tables


Numbered = tuple[dict[tuple[str, str], Ints], dict[str, list[str]]]  # (table, role) -> ids; role -> names


def _number_ids(
    files: Mapping[str, Path], sections: Mapping[str, Section], wanted: Mapping[str, Roles], read: Mapping[str, Any]
) -> Numbered:
    """One numbering a role over all tables: integers stay as they are where all are, names are numbered in order of first appearance."""
    found: dict[str, dict[str, cells.Ids]] = {}
    for name in files:
        for role, column in sections[name]["roles"].items():
            if wanted[name].kinds[role] == "id":
                parsed = cells.ids(_column(files[name], column, read[name], role), role in wanted[name].required)
                found.setdefault(role, {})[name] = parsed
    numbered: dict[tuple[str, str], Ints] = {}
    names: dict[str, list[str]] = {}
    for role, tables in found.items():
        plain = {name: one.numbers for name, one in tables.items() if one.numbers is not None}
        if len(plain) < len(tables):
            plain, names[role] = _vocabulary({name: one.texts for name, one in tables.items()})
        numbered |= {(name, role): column for name, column in plain.items()}
    return numbered, names


def _vocabulary(texts: Mapping[str, Any]) -> tuple[dict[str, Ints], list[str]]:
    import pandas as pd

    every = np.concatenate(list(texts.values()))
    every[every == ""] = None  # missing: code -1
    codes, names = pd.factorize(every)
    cuts = np.cumsum([len(column) for column in texts.values()])[:-1]
    return dict(zip(texts, np.split(codes.astype(np.int64), cuts), strict=True)), [str(name) for name in names]


def _table(name: str, file: Path, section: Section, roles: Roles, read: Any, numbered: Numbered) -> Table:
    ids, names = numbered
    filled = {
        role: ids[name, role]
        if roles.kinds[role] == "id"
        else _values(roles.kinds[role], _column(file, column, read, role), section)
        for role, column in section["roles"].items()
    }
    further: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for column, kind in section["columns"].items():
        if kind != "ignore":
            further[kind][column] = _values(kind, _column(file, column, read), section)
    return Table(
        roles=filled,
        numbers=further["number"],
        categories=further["category"],
        texts=further["text"],
        lists=further["list"],
        names={role: names[role] for role in filled if role in names},
    )


def _values(kind: str, column: cells.Column, section: Section) -> Any:
    return cells.times(column, section["time_unit"]) if kind == "time" else _READ[kind](column)


_READ: Mapping[str, Callable[[cells.Column], Any]] = {
    "number": cells.numbers,
    "label": cells.numbers,
    "category": cells.words,
    "text": cells.words,
    "list": cells.lists,
}


def _check_key(file: Path, section: Section, role: str | None, table: Table) -> None:
    if role is None or role not in table.roles:
        return
    _, first, counts = np.unique(table.roles[role], return_index=True, return_counts=True)
    if (counts > 1).any():
        row = int(first[counts > 1].min())
        again = int(np.flatnonzero(table.roles[role] == table.roles[role][row])[1])
        shown = table.names[role][table.roles[role][row]] if role in table.names else table.roles[role][row]
        raise InputError(
            f"{file}: column {section['roles'][role]!r}: {shown!r} stands in row {row + 1} and again in row {again + 1}. "
            f"Each {role} stands once in this table: drop one of the rows."
        )


def _column(file: Path, name: str, read: Any, role: str = "") -> cells.Column:
    return cells.Column(path=file, name=name, values=read.column(name), role=role)
