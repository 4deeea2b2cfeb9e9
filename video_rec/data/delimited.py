"""Tables as research data come: any separator, with a header or none, UTF-8 or older. What does not fit is refused by file and line.

`common.data.door` is for your own tables, declared in a schema.toml. These have a shape fixed elsewhere, so nobody need declare it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from common.contract import Floats, Ints
from common.data.cells import MAX_ID
from common.errors import InputError

_NUMBER = r"^[0-9]+(\.[0-9]+)?([eE]\+?[0-9]+)?$"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of text as read (`columns`: pyarrow.Table), and the line of the file that the first row stands on."""

    path: Path
    columns: Any
    first: int

    def texts(self, spellings: Sequence[str], optional: bool = False) -> list[str]:
        """[n]; a column that is optional and not there is empty."""
        column = self._column(spellings, optional)
        texts: list[str] = [""] * self.columns.num_rows if column is None else column.to_pylist()
        return texts

    def numbers(self, spellings: Sequence[str], expected: str, most: float, whole: bool = False) -> Floats:
        """[n] from 0 to `most`, whole ones if so asked; the first that is none is refused."""
        import pyarrow.compute as pc

        column = self._column(spellings)
        written = pc.match_substring_regex(column, _NUMBER)
        found = np.asarray(pc.if_else(written, column, "-1").cast("float64").to_numpy())
        wrong = (found < 0) | (found > most) | (whole & (found % 1 > 0))
        if wrong.any():
            row = int(wrong.argmax())
            self._refuse(row, f"{column[row].as_py()[:60]!r} is not {expected}. Mend or remove the line.")
        return found

    def ids(self, spellings: Sequence[str]) -> Ints:
        return self.numbers(spellings, "an id, a whole number below 2^31", MAX_ID - 1, whole=True).astype(np.int64)

    def once(self, keys: Ints, what: str) -> None:
        """Refuses the first row whose key [n] an earlier row has."""
        _, first, back = np.unique(keys, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[back] != np.arange(len(keys)))
        if len(again):
            before = self.first + int(first[back[again[0]]])
            self._refuse(int(again[0]), f"{what} on line {before} already. Keep one of the two lines.")

    def _refuse(self, row: int, said: str) -> NoReturn:
        raise InputError(f"{self.path}, line {self.first + row}: {said}")

    def _column(self, spellings: Sequence[str], optional: bool = False) -> Any:
        names = self.columns.column_names
        found = [place for place, name in enumerate(names) if name in spellings]
        if optional and not found:
            return None
        if len(found) != 1:
            many = f"{len(found)} columns" if found else "no column"
            said = f"{many} named {' or '.join(spellings)}, expected one. The header names {', '.join(names)}."
            raise InputError(f"{self.path}, line 1: {said}")
        return self.columns.column(found[0])


def read(path: Path, sign: str, names: Sequence[str] = (), latin: bool = False) -> Table:
    """`sign` separates; values are quoted where it is a comma. `names`: the columns of a file without a header. InputError: empty, torn,
    ragged, an encoding that is neither UTF-8 nor, with `latin`, latin-1."""
    import pyarrow as pa
    from pyarrow import csv

    text = _decoded(path, latin)
    one = sign if len(sign) == 1 else "\x1f"  # Arrow wants one character
    text = text.replace(sign.encode(), one.encode())
    torn: list[Any] = []

    def skip(row: Any) -> str:
        torn.append(row)
        return "skip"

    reading = csv.ReadOptions(column_names=names or None, use_threads=False)  # one thread: a torn row knows its line
    parsing = csv.ParseOptions(
        delimiter=one, quote_char='"' if one == "," else False, ignore_empty_lines=False, invalid_row_handler=skip
    )
    try:
        header = names or csv.open_csv(io.BytesIO(text), reading, parsing).schema.names
        torn.clear()
        typing = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
        columns = csv.read_csv(io.BytesIO(text), reading, parsing, typing)
    except pa.ArrowException as error:
        raise InputError(f"{path}: is not a table ({str(error).splitlines()[0]}). Unpack it again.") from error
    if torn:
        line = f"{torn[0].text.replace(one, sign)[:60]!r} has {torn[0].actual_columns} fields"
        raise InputError(
            f"{path}, line {torn[0].number}: {line}, expected {torn[0].expected_columns} with {sign!r} between. "
            "The file was cut short or damaged: unpack it again."
        )
    if not columns.num_rows:
        raise InputError(f"{path}: a header and no rows. Expected one row at least.")
    return Table(path=path, columns=columns, first=1 if names else 2)


def _decoded(path: Path, latin: bool) -> bytes:
    """As UTF-8. With `latin`, what is no UTF-8 is latin-1: accents in latin-1 are hardly ever valid UTF-8."""
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    if not text:
        raise InputError(f"{path}: is empty. Unpack it again.")
    wrong = text.find(b"\0")  # UTF-16 is full of them, text of any other kind has none
    if wrong < 0:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            if latin:
                return text.decode("latin-1").encode() + b"\n"
            wrong = error.start
    if wrong >= 0:
        line, known = text.count(b"\n", 0, wrong) + 1, "UTF-8 or latin-1" if latin else "UTF-8"
        raise InputError(f"{path}, line {line}: byte {text[wrong]:#04x} is not {known} text. Save the file as UTF-8.")
    return text + b"\n"
