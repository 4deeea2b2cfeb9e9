"""A file of requests, each let in or refused as over HTTP: JSON lines as they are, the columns of a table as fields of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson
from pydantic import TypeAdapter

from common.data.reading import SUFFIXES, read_table
from common.errors import InputError
from common.serving import guards

T = TypeVar("T")

JSON_LINES = ".jsonl"
STRETCH = 10_000  # rows of a table turned into Python objects at once


class Requests(Generic[T]):
    """The requests of a file, in its order, as often as they are asked for. `request`: what the case's route takes.

    .jsonl: one body a line. .csv, .csv.gz, .parquet: a column is a field, numbers.age is the field `age` of `numbers`; an empty cell of a CSV
    and a null of a Parquet file were not given. A cell of a CSV is text where the field takes text, else JSON.
    """

    def __init__(self, path: Path, request: type[T]) -> None:
        self.path = path
        self.adapter: TypeAdapter[T] = TypeAdapter(request)
        if not path.name.endswith((JSON_LINES, *SUFFIXES)):
            kinds = ", ".join((JSON_LINES, *SUFFIXES))
            raise InputError(f"{path}: cannot read requests from this kind of file. Expected one that ends in {kinds}.")
        if not path.is_file():
            raise InputError(f"{path}: no such file. Expected one request a line.")

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """-> (where it stands, the request). InputError names the line and the fields of the first one that HTTP would refuse."""
        for where, body in self.lines() if self.path.name.endswith(JSON_LINES) else self.rows():
            if len(body) > guards.MAX_BODY_BYTES:
                raise InputError(f"{self.path}, {where}: longer than the {guards.MAX_BODY_BYTES:,} bytes of a request.")
            try:
                request = guards.decode(self.adapter, body)
            except guards.Refused as refused:
                raise InputError(f"{self.path}, {where}: {refused.problem['why']}. Mend or drop it.") from None
            yield where, request

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """A line that is too long to be a request is not read to its end."""
        with self.path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(guards.MAX_BODY_BYTES + 2), b""), 1):
                yield f"line {number:,}", line.rstrip(b"\r\n")

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Rows count from 1, below the header: where a line ends inside of a cell, they are not lines."""
        table = read_table(self.path).flatten()  # a Parquet struct `numbers` becomes numbers.age, ...
        fields = columns(table.column_names, self.adapter.json_schema(), self.path)
        is_text = self.path.suffix != ".parquet"
        number = 0
        for stretch in table.to_batches(max_chunksize=STRETCH):
            for row in stretch.to_pylist(maps_as_pydicts="strict"):
                number += 1
                given = {field: value for field, value in zip(fields, row.values(), strict=True) if value is not None}
                yield f"row {number:,}", orjson.dumps(body(given, is_text), default=str)


@dataclass(frozen=True)
class Column:
    """The field a column fills: where it stands in the request, and whether it takes text."""

    path: tuple[str, ...]
    takes_text: bool


def columns(names: Sequence[str], schema: Mapping[str, Any], source: Path) -> list[Column]:
    found = [column(name, schema, schema.get("$defs", {})) for name in names]
    filled: dict[tuple[str, ...], int] = {}  # every field a column fills, and those it lies in
    for one in found:
        for depth in range(1, len(one.path) + 1):
            filled[one.path[:depth]] = filled.get(one.path[:depth], 0) + 1
    for one in found:
        if filled[one.path] > 1:
            raise InputError(f"{source}: two columns fill the field {'.'.join(one.path)!r}. Keep one of them.")
    return found


def column(name: str, schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Column:
    """What the JSON schema of the request says of a dotted name. A name it does not know is left for validation to refuse."""
    head, _, rest = name.partition(".")
    for option in options(schema, defs):
        fields, of_any = option.get("properties", {}), option.get("additionalProperties")
        if rest and head in fields:
            inner = column(rest, fields[head], defs)
            return Column((head, *inner.path), inner.takes_text)
        if name in fields or isinstance(of_any, Mapping):  # a mapping's key may hold dots of its own
            values = options(fields.get(name, of_any), defs)
            return Column((name,), any(value.get("type") == "string" for value in values))
    return Column((name,), True)


def options(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A schema with its references followed; several where any one of them will do."""
    if "$ref" in schema:
        return options(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        return [one for part in schema["anyOf"] for one in options(part, defs)]
    return [schema]


def body(given: Mapping[Column, Any], is_text: bool) -> dict[str, Any]:
    """`is_text`: the values are cells of a CSV."""
    found: dict[str, Any] = {}
    for field, value in given.items():
        if is_text and value == "":
            continue
        inside = found
        for name in field.path[:-1]:
            inside = inside.setdefault(name, {})
        inside[field.path[-1]] = parsed(value) if is_text and not field.takes_text else value
    return found


def parsed(cell: str) -> Any:
    """What is not JSON stays text, which validation refuses by the field's name."""
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
