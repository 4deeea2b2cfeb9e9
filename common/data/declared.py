"""schema.toml itself: found, read, its every word checked against the roles that are wanted and the columns that are there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.data import cells
from common.data.draft import guess_kind, guess_roles
from common.data.reading import SUFFIXES
from common.data.tables import KINDS, Roles, key, quoted
from common.errors import InputError, did_you_mean

Section = Mapping[str, Any]
"""What schema.toml says of one table: {"shown": "rows.", "roles": {role: column}, "columns": {column: kind}, "time_unit": "s"}."""


_WORDS = ("roles", "columns", "time_unit")


def read_schema(path: Path, wanted: Mapping[str, Roles]) -> dict[str, Any]:
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder (looked from {Path.cwd()}). Expected a {', '.join(SUFFIXES)} file or a folder of them, "
            "with schema.toml beside (in a folder: inside): see docs/data.md."
        )
    place = (path if path.is_dir() else path.parent) / "schema.toml"
    if not place.is_file():
        raise InputError(
            f"{place}: not there. It says which column plays which role; draft it with: mlsd data {path} --case CASE > {place}"
        )
    try:
        schema = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f'{place}: is not TOML: {error}. A line is our_role = "your column", quotes included.'
        ) from error
    known = ("file", *_WORDS, *wanted)
    for word in schema:
        if word not in known:
            raise InputError(
                f"{place}: [{word}] is neither a table nor a word of schema.toml. {did_you_mean(word, known)}"
            )
    return schema


def find_files(path: Path, schema: dict[str, Any], wanted: Mapping[str, Roles]) -> dict[str, Path]:
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


def section_of(schema: dict[str, Any], name: str, roles: Roles, path: Path, is_first: bool) -> Section:
    """The part of schema.toml that speaks of one table, its words checked. What stands in no section speaks of the first table."""
    flat = name not in schema and "roles" in schema and is_first
    section = schema if flat else schema.get(name, {})
    shown = "" if flat else f"{name}."
    if not isinstance(section, dict) or not section.get("roles"):
        lines = "".join(f'\n  {key(role)} = "YOUR_COLUMN"' for role in roles.required)
        raise InputError(f"{path}: schema.toml says nothing about the table {name!r}. Add:\n  [{shown}roles]{lines}")
    for word in {} if flat else section:
        if word not in _WORDS:
            raise InputError(f"{path}: schema.toml [{name}.{word}]: unknown. {did_you_mean(word, _WORDS)}")
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


def check_section(section: Section, roles: Roles, file: Path, read: Any) -> None:
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
