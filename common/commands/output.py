"""What the commands print: tables for people, one JSON object for programs, progress on stderr.

With --json stdout carries the object alone. Libraries write to file descriptor 1 as well (LightGBM's C++ code does), so it is pointed at
stderr for the whole command and the object goes to a copy of the real one.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

WIDTH = 120
NARROWEST = 12  # a column is wrapped, but never below this


def say(text: str) -> None:
    """A line for the person watching; never on stdout."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show(name: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str = "Nothing yet.") -> None:
    """One named list: {"name": [...]} with --json, else a table, else the sentence that says why there is none."""
    if as_json:
        show_json({name: list(rows)})
    else:
        write(table(rows) if rows else empty)


def show_json(found: Mapping[str, Any]) -> None:
    import orjson

    text = orjson.dumps(found, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
    os.write(_results, text + b"\n")


_results = 1  # the file descriptor JSON results go to


@contextmanager
def results_alone() -> Iterator[None]:
    """While it lasts, whatever is written to stdout by anyone appears on stderr; `show_json` alone reaches the real stdout."""
    global _results  # noqa: PLW0603
    sys.stdout.flush()
    _results = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):  # Python's own stdout need not be descriptor 1
            yield
    finally:
        os.dup2(_results, 1)
        os.close(_results)
        _results = 1


def table(rows: Sequence[Mapping[str, Any]], width: int = WIDTH) -> str:
    """A table of the rows' keys and values, never wider than `width` (or the terminal); bold and ruled where it is a terminal."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[text(row.get(name)) for name in names] for row in rows]
    numeric = [all(_is_number(row.get(name)) for row in rows) for name in names]
    if sys.stdout.isatty():
        return _rich(names, cells, numeric, min(width, shutil.get_terminal_size((width, 24)).columns))
    return _plain([name.replace("_", " ") for name in names], cells, numeric, width)


def text(value: Any) -> str:
    """A value as a cell: numbers to four significant digits, counts with thousands apart, nothing for None."""
    match value:
        case None:
            cell = ""
        case bool():
            cell = "yes" if value else "no"
        case int():
            cell = f"{value:,}"
        case float():
            cell = f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
        case Mapping():
            cell = ", ".join(f"{key} {text(part)}" for key, part in value.items())
        case list() | tuple():
            cell = ", ".join(map(text, value))
        case _:
            cell = str(value)
    return cell


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _rich(names: list[str], cells: list[list[str]], numeric: list[bool], width: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(names, numeric, strict=True):
        drawn.add_column(Text(name.replace("_", " ")), justify="right" if right else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console(width=width)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip("\n")


def _plain(names: list[str], cells: list[list[str]], numeric: list[bool], width: int) -> str:
    sizes = [max(len(cell) for cell in column) for column in zip(names, *cells, strict=True)]
    while sum(sizes) + 2 * (len(sizes) - 1) > width and max(sizes) > NARROWEST:
        sizes[sizes.index(max(sizes))] -= 1
    lines = []
    for row in [names, ["-" * size for size in sizes], *cells]:
        wrapped = [
            textwrap.wrap(cell, size, break_on_hyphens=False) or [""] for cell, size in zip(row, sizes, strict=True)
        ]
        for i in range(max(map(len, wrapped))):
            parts = [column[i] if i < len(column) else "" for column in wrapped]
            padded = (p.rjust(s) if right else p.ljust(s) for p, s, right in zip(parts, sizes, numeric, strict=True))
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
