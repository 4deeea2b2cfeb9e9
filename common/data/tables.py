"""Tables past the door, what a case wants from them, and the way back out: documented files that the door takes in again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data.durable import whole, write_bytes

KINDS = ("number", "category", "text", "list", "ignore")
"""What a column that plays no role may be."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What a case wants from one table: each role with its kind (id | time | number | label | text | category | list).

    `key`: the id role whose values stand once each, as an ad stands once in a catalogue. The first table wanted is the one that must be there.
    """

    required: Mapping[str, str]
    optional: Mapping[str, str]
    key: str | None = None

    @property
    def kinds(self) -> dict[str, str]:
        return {**self.required, **self.optional}


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table past the door. `roles`: role -> array. ids are int64 (strings are numbered in order of first appearance, and the mapping
    kept in `names`: names["user_id"][7] is what user 7 is called in the files), -1 for missing; times int64 seconds UTC; numbers float64
    with NaN for missing; categories and text str with "" for missing; lists str, items joined by "|".
    An optional role without a column is absent from `roles`."""

    roles: Mapping[str, NDArray[Any]]
    numbers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    categories: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    texts: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    lists: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    names: Mapping[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.roles.values())))


def write_tables(folder: Path, tables: Mapping[str, Table], suffix: str = ".csv") -> None:
    """TABLE.csv (or .csv.gz, .parquet) for each table and schema.toml last; `door.read_tables(folder, ...)` gives the same arrays, bit for
    bit. Numbered ids are written by name. The folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = ["[file]", *(f"{name} = {quoted(name + suffix)}" for name in tables)]
    for name, table in tables.items():
        further = {"number": table.numbers, "category": table.categories, "text": table.texts, "list": table.lists}
        columns = {role: _named(array, table.names.get(role)) for role, array in table.roles.items()}
        text += ["", f"[{name}.roles]", *(f"{key(role)} = {quoted(role)}" for role in columns)]
        text += ["", f"[{name}.columns]"]
        for kind, group in further.items():
            assert not columns.keys() & group.keys(), (
                f"{name}: {columns.keys() & group.keys()} would be two columns of one name"
            )
            columns |= group
            text += [f"{key(column)} = {quoted(kind)}" for column in group]
        _write_columns(folder / (name + suffix), columns)
    write_bytes(folder / "schema.toml", ("\n".join(text) + "\n").encode())


def quoted(text: str) -> str:
    """A TOML string: TOML's basic strings are JSON's."""
    return json.dumps(text, ensure_ascii=False)


def key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else quoted(text)


def _named(array: NDArray[Any], names: list[str] | None) -> NDArray[Any]:
    return array if names is None else np.array([*names, ""], dtype=object)[array]  # -1 reaches the "" at the end


def _write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """NaN and the id -1 become empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    def arrow(column: NDArray[Any]) -> Any:
        if column.dtype.kind == "f":
            return pa.array(column, mask=np.isnan(column))
        if column.dtype.kind in "iu":
            return pa.array(column, mask=column == -1)
        return pa.array(column.tolist(), pa.string())

    table = pa.table({name: arrow(column) for name, column in columns.items()})
    with whole(path) as temporary:
        if path.suffix == ".parquet":
            pq.write_table(table, temporary, write_page_checksum=True)
        elif path.suffix == ".gz":
            with pa.CompressedOutputStream(str(temporary), "gzip") as file:
                csv.write_csv(table, file)
        else:
            csv.write_csv(table, temporary)
