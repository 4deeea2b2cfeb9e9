"""`make size`: how long our files and functions are, beside codebases that are held up as readable. A table, not a gate.

The anchors say: readable code has median files of 60 to 230 lines and median functions of 5 to 13; code meant to be read comments one line
in six, a library one in twenty.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common import cases
from common.commands import output

ROOT = Path(__file__).resolve().parents[1]
LONG = 60
ANCHORS: list[dict[str, Any]] = [
    {"where": "readable code, median files", "median file": "60-230", "median function": "5-13"},
    {"where": "encode/starlette", "median file": 145, "median function": 5},
]


def main() -> None:
    folders = ["common", *(case.package for case in cases.find().values()), "benchmarks", "tests"]
    rows = [measure(folder, sorted((ROOT / folder).rglob("*.py"))) for folder in folders if (ROOT / folder).is_dir()]
    output.write(output.table([*rows, *ANCHORS]))


def measure(where: str, paths: Iterable[Path]) -> dict[str, Any]:
    sources = [path.read_text() for path in paths if path.name != "__init__.py"]
    functions = [length for source in sources for length in function_lengths(source)] or [0]
    lines = [source.count("\n") for source in sources] or [0]
    return {
        "where": where,
        "files": len(sources),
        "lines": sum(lines),
        "median file": round(statistics.median(lines)),
        "longest file": max(lines),
        "median function": round(statistics.median(functions)),
        f"over {LONG}": sum(length > LONG for length in functions),
        "% comments, docstrings": round(100 * sum(map(words_lines, sources)) / max(sum(lines), 1)),
    }


def function_lengths(source: str) -> Iterator[int]:
    """Lines from `def` to the end, without the docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> int:
    first = node.body[0] if node.body and ast.get_docstring(node) is not None else None
    return 0 if first is None else (first.end_lineno or first.lineno) - first.lineno + 1


def words_lines(source: str) -> int:
    """Lines that talk to the reader: comments and docstrings."""
    talkers = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    docs = sum(docstring_lines(node) for node in ast.walk(ast.parse(source)) if isinstance(node, talkers))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return docs + len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


if __name__ == "__main__":
    main()
