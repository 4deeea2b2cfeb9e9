"""How long files and functions are, by package, beside what readable code elsewhere has: `make size` prints it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from common.contract import Table

ANCHORS = "readable code elsewhere: median file 60-230 lines, median function 5-13, hardly any function over 60"
ROOT = Path(__file__).resolve().parent.parent


class Function(NamedTuple):
    name: str  # path:line name
    lines: int


def table(root: Path = ROOT) -> Table:
    """One row a top-level package: number of files, their median and 90th percentile of lines, the same of functions, and the longest."""
    packages = sorted(path.parent for path in root.glob("*/__init__.py") if not path.parent.name.startswith("."))
    return [_row(package, root) for package in packages]


def _row(package: Path, root: Path) -> dict[str, object]:
    files = sorted(path for path in package.rglob("*.py") if path.read_text().count("\n") > 1)
    lengths = [path.read_text().count("\n") for path in files]
    found = [function for path in files for function in functions(path, root)]
    longest_file = max(zip(lengths, files, strict=True), default=(0, package))
    longest = max(found, key=lambda function: function.lines, default=Function("-", 0))
    return {
        "package": package.name,
        "files": len(files),
        "lines": sum(lengths),
        "file median": _quantile(lengths, 0.5),
        "file p90": _quantile(lengths, 0.9),
        "longest file": f"{longest_file[1].relative_to(root)} ({longest_file[0]})",
        "function median": _quantile([function.lines for function in found], 0.5),
        "function p90": _quantile([function.lines for function in found], 0.9),
        "longest function": f"{longest.name} ({longest.lines})",
    }


def functions(path: Path, root: Path = ROOT) -> Iterable[Function]:
    """Every function of a file with its number of lines, decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield Function(f"{path.relative_to(root)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)


def _quantile(lengths: Sequence[int], share: float) -> int:
    return round(float(np.quantile(lengths, share))) if lengths else 0


def num_lines(*code: object) -> int:
    """Lines of source without comments, docstrings and blank lines; each piece counts once."""
    total = 0
    for piece in dict.fromkeys(code):
        tree = ast.parse(textwrap.dedent(inspect.getsource(cast(Any, piece))))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
        total += sum(bool(line.strip()) for line in ast.unparse(tree).splitlines())
    return total


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
