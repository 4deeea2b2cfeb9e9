"""The door: `schema.toml` beside a file says which of your columns plays which of our roles; what it does not name is refused.

    [file]                      # optional: rows = "impressions.csv"; catalog, users, events likewise (a folder with several tables)
    [roles]                     # our role = your column
    user_id = "uid"
    label = "clicked"
    [columns]                   # further columns: number | category | text | list | ignore
    device = "category"

Tables in a folder have a section each: [rows.roles], [rows.columns], [catalog.roles], ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What a case wants from one table: each role with its kind (id | time | number | label | text | category | list)."""

    required: Mapping[str, str]
    optional: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table past the door. `roles`: role -> array. ids are int64 (strings are numbered in order of first appearance, and the mapping
    kept in `names`), times int64 seconds UTC, numbers float64 with NaN for missing, categories and text str with "" for missing."""

    roles: Mapping[str, NDArray[np.generic]]
    numbers: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, NDArray[np.str_]]
    texts: Mapping[str, NDArray[np.str_]]
    names: Mapping[str, list[str]]


def read_tables(path: Path, wanted: Mapping[str, Roles]) -> dict[str, Table]:
    """path: a .csv/.csv.gz/.parquet file (the table "rows") or a folder of them, with schema.toml beside (or inside) it. -> tables by name.
    Refused with the line to add or mend: no schema.toml, a required role missing, a column it does not name, wrong types, repeated ids."""
    raise NotImplementedError


def draft(path: Path, wanted: Mapping[str, Roles]) -> str:
    """The text of a schema.toml for that file: roles guessed from names and types, every other column with a kind. `mlsd data FILE` prints it."""
    raise NotImplementedError
