"""Reading files people bring: CSV and Parquet to columns, sha256 of what was read, and a readable refusal of everything torn or odd."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from common.errors import InputError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
MAX_LINE = 16 * 2**20  # bytes: a longer "line" is a file without line ends, or a quote that never closes


def read_table(path: Path) -> Any:
    """A .csv, .csv.gz or .parquet file -> pyarrow.Table. CSV columns are strings, "" where empty; Parquet columns keep their types.

    InputError: no such file, another suffix, empty, torn, not UTF-8, ragged rows, one column that should have been several, a column name
    twice or missing, no rows.
    """
    import pyarrow as pa

    _check_path(path)
    try:
        table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: {_explain(path, str(error))}") from error
    _check_columns(path, table.column_names)
    if not table.num_rows:
        raise InputError(
            f"{path}: holds {len(table.column_names)} columns and no rows. Expected one row at least below the header."
        )
    return table


def sha256(path: Path) -> str:
    """Of a file, in 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expect_sha256(path: Path, expected: str) -> None:
    """InputError unless the file is the very one that was meant."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected one with sha256 {expected}.")
    found = sha256(path)
    if found != expected.lower():
        raise InputError(
            f"{path}: has sha256 {found}, expected {expected}. It is another version or was damaged: fetch it again."
        )


def _csv(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    options = csv.ReadOptions(block_size=MAX_LINE, use_threads=False)  # one thread: error messages then carry the row
    names = csv.open_csv(
        path, read_options=options, parse_options=csv.ParseOptions(newlines_in_values=True)
    ).schema.names
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return csv.read_csv(path, options, csv.ParseOptions(newlines_in_values=True), convert)


def _parquet(path: Path) -> Any:
    """Categories of a data frame and the string types of other writers become plain strings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)
    for i, column in enumerate(table.columns):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        if kind != column.type:
            table = table.set_column(i, table.column_names[i], column.cast(kind))
    return table


def _check_path(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Expected a {', '.join(SUFFIXES)} file.")
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"{path}: cannot read this kind of file. Expected one that ends in {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty. Expected a header and one row at least.")


def _check_columns(path: Path, names: list[str]) -> None:
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        sign = next(sign for sign in ";\t|" if sign in names[0])
        raise InputError(
            f"{path}: the header is one column, {names[0]!r}. Columns are separated by commas here, not by {sign!r}."
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"{path}: the column {twice[0]!r} is there {Counter(names)[twice[0]]} times. Rename all but one in the header."
        )
    if "" in names:
        raise InputError(f"{path}: column {names.index('') + 1} has no name in the header. Name it, or drop it.")


def _explain(path: Path, message: str) -> str:
    """pyarrow's message in words for the person whose file it is."""
    first = message.splitlines()[0]
    if "straddl" in message:
        return f"holds a line longer than {MAX_LINE // 2**20} MB. Is a quote left open, or are the line ends missing?"
    if "UTF8" in message or "UTF-8" in message.upper():
        return f"is not UTF-8 text ({first}). Save it as UTF-8."
    if path.name.endswith(".gz") and "CSV" not in message:
        return f"the compressed file is cut short or damaged ({first}). Copy it again."
    if path.suffix == ".parquet":
        return f"is not a whole Parquet file ({first}). It was cut short or is of another kind."
    return (
        f"cannot be read as CSV ({first}). Every row needs as many values as the header has names, separated by commas."
    )
