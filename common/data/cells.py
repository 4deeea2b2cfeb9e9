"""One column of a person's file as one kind of array; what does not fit is refused with its file, column, row and value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.errors import InputError

MISSING = frozenset({"", "nan", "NaN", "NA", "null", "None"})
MAX_ID = 2**31
MAX_TEXT = 4_000  # characters: numpy gives every row the width of the longest
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_ID = r"^(0|[1-9][0-9]{0,9})(\.0+)?$"  # "7" and, as data frames write a column with gaps, "7.0"; "007" is a name
_LATEST = 100_000_000_000  # seconds: past the year 5000 it is not seconds


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column as read, and what it takes to speak of it. `values`: pyarrow.ChunkedArray."""

    path: Path
    name: str
    values: Any
    role: str = ""  # the role it plays, if any

    @property
    def is_text(self) -> bool:
        import pyarrow as pa

        return bool(pa.types.is_string(self.values.type))

    def refuse(self, row: int, expected: str, mend: str) -> NoReturn:
        raise InputError(
            f"{self.path}: column {self.name!r}, row {row + 1} (below the header): {_short(self.values[row].as_py())} is not {expected}. {mend}"
        )


@dataclass(frozen=True, kw_only=True)
class Ids:
    """An id column before its numbering: `numbers` where every id is an integer below 2^31 (-1 = missing), `texts` as written."""

    numbers: Ints | None
    texts: NDArray[Any]  # str objects, "" = missing


def numbers(column: Column, expected: str = "a number", mend: str = "") -> Floats:
    """float64, NaN for missing. Text is parsed as Python parses a float, exactly; true and false are 1 and 0; infinity is refused."""
    import pyarrow as pa

    mend = mend or (
        f"The role {column.role!r} needs numbers: mend the value, or name another column in schema.toml."
        if column.role
        else f'Mend the value, or declare the column otherwise in schema.toml: {column.name} = "category".'
    )
    types = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if column.is_text:
        result = _parse(column, expected, mend)
    elif any(fits(column.values.type) for fits in types):
        result = column.values.cast(pa.float64(), safe=False).to_numpy()
    else:
        column.refuse(0, expected, mend)
    infinite = np.isinf(result)
    if infinite.any():
        column.refuse(int(infinite.argmax()), expected.replace("a number", "a finite number"), mend)
    return np.array(result, dtype=np.float64)


def times(column: Column, unit: str = "s") -> Ints:
    """int64 seconds since the epoch, UTC, from whole `unit`s, ISO 8601 text (UTC where it names no zone) or timestamps; parts of a second
    are cut off. A missing time is refused."""
    import pyarrow as pa

    expected = f"a time in {unit}"
    mend = 'Seconds since 1970 (UTC) or ISO 8601 such as 2026-01-31T12:00:00Z; for milliseconds say time_unit = "ms" in schema.toml.'
    if pa.types.is_timestamp(column.values.type) or pa.types.is_date(column.values.type):
        stamps = column.values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        result = np.floor_divide(stamps.fill_null(-1).to_numpy(), 1_000_000)
    elif pa.types.is_integer(column.values.type):  # not by way of floats: nanoseconds need 61 bits
        result = np.floor_divide(column.values.fill_null(-1).to_numpy(), UNITS[unit])
    elif column.is_text and not re.fullmatch(r"-?[0-9.]*", column.values[0].as_py() or ""):
        result = _iso(column)
    else:
        parsed = numbers(column, expected, mend)
        result = np.floor_divide(np.where(np.isnan(parsed), -1, parsed), UNITS[unit]).astype(np.int64)
    wrong = (result < 0) | (result >= _LATEST)
    if wrong.any():
        column.refuse(int(wrong.argmax()), expected, mend)
    return np.asarray(result, dtype=np.int64)


def ids(column: Column, required: bool) -> Ids:
    """Integers >= 0 and < 2^31 as they are; anything else as text, to be numbered. A negative integer is refused, and so is a missing id
    where the role is required."""
    import pyarrow.compute as pc

    texts = strings(column)
    missing = np.array([text in MISSING for text in texts.tolist()])
    mend = "Ids are whole numbers >= 0, or names; leave the cell empty where there is none and the role is optional."
    if required and missing.any():
        column.refuse(int(missing.argmax()), "an id", "This role is required: fill the value in, or drop the row.")
    texts = np.where(missing, "", texts)
    import pyarrow as pa

    arrow = pa.array(texts, pa.string())
    negative = pc.match_substring_regex(arrow, r"^-[0-9]+(\.0+)?$").to_numpy(zero_copy_only=False)
    if negative.any():
        column.refuse(int(negative.argmax()), "an id", mend)
    whole = pc.match_substring_regex(arrow, _ID).to_numpy(zero_copy_only=False) | missing
    if not whole.all():
        return Ids(numbers=None, texts=texts)
    parsed = np.where(missing, "-1", texts).astype(np.float64).astype(np.int64)
    texts = np.where(missing, "", parsed.astype(str).astype(object))  # "7.0" and "7" are one id
    return Ids(numbers=parsed if (parsed < MAX_ID).all() else None, texts=texts)


def strings(column: Column) -> NDArray[Any]:
    """[n] str objects, "" for missing; whole numbers without a decimal point, true and false for booleans."""
    import pyarrow as pa

    if column.is_text:
        return np.array(column.values.fill_null("").to_pylist(), dtype=object)
    kind = column.values.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        cells = ["" if cell is None else "|".join(_text(item) for item in cell) for cell in column.values.to_pylist()]
    else:
        cells = [_text(cell) for cell in column.values.to_pylist()]
    return np.array([*cells, None], dtype=object)[:-1]  # the None keeps numpy from looking inside


def words(column: Column) -> NDArray[np.str_]:
    """[n] numpy strings, "" for missing: categories and text."""
    cells = strings(column)
    for row, cell in enumerate(cells):
        if len(cell) > MAX_TEXT:
            column.refuse(
                row, f"shorter than {MAX_TEXT:,} characters", f'Cut it, or say {column.name} = "ignore" in schema.toml.'
            )
        if cell.endswith("\0"):
            column.refuse(row, "text", "It ends in a NUL character: remove it.")
    return cells.astype(np.str_)


def lists(column: Column) -> NDArray[np.str_]:
    """[n] numpy strings: the items, stripped, joined by "|"; from text with "|" between items, or a real list column."""
    cells = words(column)
    return np.array(
        ["|".join(item.strip() for item in cell.split("|") if item.strip()) for cell in cells.tolist()], dtype=np.str_
    )


def _parse(column: Column, expected: str, mend: str) -> Floats:
    cells = column.values.fill_null("").to_pylist()
    known = {"true": 1.0, "True": 1.0, "false": 0.0, "False": 0.0, **dict.fromkeys(MISSING, math.nan)}
    result = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            result[row] = known[cell] if cell in known else float(cell.replace("_", "?"))  # Python would read 1_0 as 10
        except ValueError:
            column.refuse(row, expected, mend)
    return result


def _iso(column: Column) -> Ints:
    import pandas as pd

    cells = column.values.fill_null("").to_pylist()
    stamps = pd.to_datetime(pd.Series(cells), errors="coerce", utc=True, format="ISO8601")
    seconds = stamps.to_numpy(dtype="datetime64[s]").astype(np.int64)
    return np.asarray(np.where(stamps.isna(), -1, seconds), dtype=np.int64)


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    return repr(cell).removesuffix(".0") if isinstance(cell, float) else str(cell)


def _short(value: Any) -> str:
    text = repr(value)
    return "an empty cell" if value in ("", None) else text if len(text) <= 60 else text[:57] + "..."
