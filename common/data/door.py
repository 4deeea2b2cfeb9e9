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

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Ints
from common.data import cells
from common.data.draft import draft, guess_kind, guess_roles
from common.data.reading import SUFFIXES, read_table
from common.data.tables import KINDS, Roles, Table, key, quoted, write_tables
from common.errors import InputError, did_you_mean

__all__ = ["Roles", "Table", "draft", "read_tables", "write_tables"]


def read_tables(path: Path, wanted: Mapping[str, Roles]) -> dict[str, Table]:
    """path: a .csv/.csv.gz/.parquet file (the first table wanted) or a folder of them, with schema.toml beside (or inside) it. -> tables by
    name; a table that is wanted but not in the folder is absent, the first excepted.

    Refused with the line to add or mend: no schema.toml, a required role missing, a column it does not name, wrong types, repeated ids.
    """
    schema = _read_schema(path)
    files = _files(path, schema, wanted)
    sections = {name: _section(schema, name, wanted[name], path) for name in files}
    read = {name: read_table(file) for name, file in files.items()}
    for name in files:
        _check_section(name, sections[name], wanted[name], files[name], read[name])
    numbered = _number_ids(files, sections, wanted, read)
    tables = {name: _table(name, files[name], sections[name], wanted[name], read[name], numbered) for name in files}
    for name, table in tables.items():
        _check_key(files[name], sections[name], wanted[name].key, table)
    return tables


Section = Mapping[str, Any]  # {"roles": {role: column}, "columns": {column: kind}, "time_unit": "s"}
Numbered = tuple[dict[tuple[str, str], Ints], dict[str, list[str]]]  # (table, role) -> ids; role -> names


# ---------------------------------------------------------------------------------------------------------------------- schema.toml


def _read_schema(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder (looked from {Path.cwd()}).")
    place = (path if path.is_dir() else path.parent) / "schema.toml"
    if not place.is_file():
        raise InputError(
            f"{place}: not there. It says which column plays which role; draft it with: mlsd data {path} --case CASE > {place}"
        )
    try:
        return tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f'{place}: is not TOML: {error}. A line is our_role = "your column", quotes included.'
        ) from error


def _files(path: Path, schema: dict[str, Any], wanted: Mapping[str, Roles]) -> dict[str, Path]:
    """Table -> file, in the order of `wanted`."""
    first = next(iter(wanted))
    named = schema.get("file", {})
    for name in named:
        if name not in wanted:
            raise InputError(f"{path}: schema.toml [file] names a table {name!r}. {did_you_mean(name, wanted)}")
    if path.is_file():
        return {first: path}
    files: dict[str, Path] = {}
    for name in wanted:
        there = [path / named[name]] if name in named else [path / (name + suffix) for suffix in SUFFIXES]
        there = [file for file in there if name in named or file.is_file()]
        if len(there) > 1:
            choice = ", ".join(file.name for file in there)
            raise InputError(
                f"{path}: {choice} could all be the table {name!r}. Say which in schema.toml under [file]: {name} = {quoted(there[0].name)}"
            )
        if not there and (name in schema or name == first):
            raise InputError(
                f'{path}: there is no {name}.csv. If it is called otherwise, say so in schema.toml under [file]: {name} = "YOUR_FILE.csv"'
            )
        if there:
            files[name] = there[0]
    return files


def _section(schema: dict[str, Any], name: str, roles: Roles, path: Path) -> Section:
    """The part of schema.toml that speaks of one table, its words checked."""
    flat = name not in schema and "roles" in schema
    section = schema if flat else schema.get(name, {})
    shown = "" if flat else f"{name}."
    if not isinstance(section, dict) or not section.get("roles"):
        lines = "".join(f'\n  {key(role)} = "YOUR_COLUMN"' for role in roles.required)
        raise InputError(f"{path}: schema.toml says nothing about the table {name!r}. Add:\n  [{shown}roles]{lines}")
    for group in ("roles", "columns"):
        for entry, value in section.get(group, {}).items():
            if not isinstance(value, str):
                raise InputError(f"{path}: schema.toml [{shown}{group}]: {entry} = {value!r} is not text in quotes.")
    for role in section["roles"]:
        if role not in roles.kinds:
            raise InputError(
                f"{path}: schema.toml [{shown}roles]: there is no role {role!r}. {did_you_mean(role, roles.kinds)}"
            )
    for column, kind in section.get("columns", {}).items():
        if kind not in KINDS:
            raise InputError(
                f"{path}: schema.toml [{shown}columns]: {column} = {kind!r} is no kind. {did_you_mean(kind, KINDS)}"
            )
    unit = section.get("time_unit", "s")
    if unit not in cells.UNITS:
        raise InputError(f"{path}: schema.toml: time_unit = {unit!r}. {did_you_mean(str(unit), cells.UNITS)}")
    return {"shown": shown, "roles": section["roles"], "columns": section.get("columns", {}), "time_unit": unit}


def _check_section(name: str, section: Section, roles: Roles, file: Path, read: Any) -> None:
    """Does schema.toml fit the file: every column named once, every required role filled."""
    shown, there = section["shown"], read.column_names
    for entry, column in [*section["roles"].items(), *((column, column) for column in section["columns"])]:
        if column not in there:
            raise InputError(
                f"{file}: has no column {column!r}, which schema.toml names ({entry}). {did_you_mean(column, there)}"
            )
    unnamed = [column for column in there if column not in {*section["roles"].values(), *section["columns"]}]
    for role in roles.required:
        if role not in section["roles"]:
            guess = guess_roles(
                read.select(unnamed), Roles(required={role: roles.required[role]}, optional={}), file
            ).get(role, "YOUR_COLUMN")
            raise InputError(
                f"{file}: the role {role!r} ({roles.required[role]}) is required and schema.toml does not say which column plays it. "
                f"Add under [{shown}roles]:\n  {key(role)} = {quoted(guess)}"
            )
    if unnamed:
        lines = "".join(
            f"\n  {key(column)} = {quoted(guess_kind(read.column(column), column, file)[0])}" for column in unnamed
        )
        raise InputError(
            f"{file}: schema.toml does not say what {', '.join(map(repr, unnamed))} {'is' if len(unnamed) == 1 else 'are'}. "
            f"Add under [{shown}columns], with one of {', '.join(KINDS)}:{lines}"
        )


# ---------------------------------------------------------------------------------------------------------------------- columns


def _number_ids(
    files: Mapping[str, Path], sections: Mapping[str, Section], wanted: Mapping[str, Roles], read: Mapping[str, Any]
) -> Numbered:
    """One numbering a role over all tables: integers stay as they are where all are, names are numbered in order of first appearance."""
    found: dict[str, dict[str, cells.Ids]] = {}
    for name in files:
        for role, column in sections[name]["roles"].items():
            if wanted[name].kinds[role] == "id":
                parsed = cells.ids(_column(files[name], column, read[name]), role in wanted[name].required)
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
        else _values(roles.kinds[role], _column(file, column, read), section)
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
    if kind == "time":
        return cells.times(column, section["time_unit"])
    return {
        "number": cells.numbers,
        "label": cells.numbers,
        "category": cells.words,
        "text": cells.words,
        "list": cells.lists,
    }[kind](column)


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


def _column(file: Path, name: str, read: Any) -> cells.Column:
    return cells.Column(path=file, name=name, values=read.column(name))
