"""Which idea of the field is shown where, and the proof: docs/coverage.yaml, and tests that fail when the mapped symbol is broken.

Each syllabus id maps to null (not shown yet) or to {kind, symbol, test, page}:
- code, experiment: `symbol` is module:name or module:Class.method, `test` a pytest node that must fail once the symbol raises;
- page: `page` is path#ID, an entry that opens with the comment <!-- ID -->; it has no symbol, and its `test` must fail once it is dropped.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError, did_you_mean

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("code", "experiment", "page")
BREAK, DROP = "MLSD_COVERAGE_BREAK", "MLSD_COVERAGE_DROP"
TIMEOUT_S = 600
_MARKER = re.compile(r"<!-- ([A-Z]+-\d+) -->")


@dataclass(frozen=True, kw_only=True)
class Entry:
    kind: str | None = None
    symbol: str | None = None
    test: str | None = None
    page: str | None = None


def load(root: Path = ROOT) -> dict[str, Entry]:
    """Every syllabus id in order; an id nothing shows yet has kind None. Raises InputError on a field that does not exist."""
    import yaml

    listed: Mapping[str, Any] = yaml.safe_load((root / "docs" / "coverage.yaml").read_text())
    for name, fields in listed.items():
        unknown = set(fields or {}) - {"kind", "symbol", "test", "page"}
        if unknown:
            raise InputError(f"docs/coverage.yaml: {name} has {sorted(unknown)}. Known: kind, symbol, test, page.")
    return {name: Entry(**(fields or {})) for name, fields in listed.items()}


def as_json(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """{"ids": {ID: {kind, symbol, test, page}}}, kind null while unmapped."""
    return {"ids": {name: asdict(entry) for name, entry in entries.items()}}


def select(entries: Mapping[str, Entry], wanted: Sequence[str]) -> list[str]:
    """Ids by id or by prefix ("ADS"); nothing wanted means every mapped id. A prefix means its mapped ids, an id means itself."""
    found: list[str] = []
    for name in wanted or ("",):
        inside = [name] if name in entries else [known for known in entries if known.startswith(name)]
        if not inside:
            raise InputError(
                f"No syllabus id begins with {name!r}. {did_you_mean(name, {known.split('-')[0] for known in entries})}"
            )
        found += [known for known in inside if known == name or entries[known].kind]
    return list(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------------- is the map itself sound?


def problems(entries: Mapping[str, Entry], root: Path = ROOT) -> list[str]:
    """One line for each mapped id whose kind, symbol, test or page does not exist."""
    return [
        f"{name}: {problem}"
        for name, entry in entries.items()
        if entry.kind
        for problem in _problems(name, entry, root)
    ]


def _problems(name: str, entry: Entry, root: Path) -> list[str]:
    found = [] if entry.kind in KINDS else [f"kind {entry.kind!r} is none of {', '.join(KINDS)}"]
    if not entry.test or not _has_test(entry.test, root):
        found.append(f"there is no test {entry.test!r}")
    if entry.kind == "page":
        return (
            found
            + ([f"a page has no symbol, this one names {entry.symbol}"] if entry.symbol else [])
            + _page(name, entry, root)
        )
    if not entry.symbol or not _has_symbol(entry.symbol):
        found.append(f"there is no symbol {entry.symbol!r}; expected module:name or module:Class.method")
    if entry.page and not (root / entry.page.partition("#")[0]).is_file():
        found.append(f"there is no page {entry.page!r}")
    return found


def _has_symbol(symbol: str) -> bool:
    module, colon, path = symbol.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return False
    return bool(colon)


def _has_test(node: str, root: Path) -> bool:
    path, _, name = node.partition("::")
    file = root / path
    functions = ast.walk(ast.parse(file.read_text())) if file.is_file() else ()
    return any(isinstance(found, ast.FunctionDef) and found.name == name.partition("[")[0] for found in functions)


def _page(name: str, entry: Entry, root: Path) -> list[str]:
    path, _, anchor = (entry.page or "").partition("#")
    if anchor != name or not (root / path).is_file():
        return [f"there is no page {entry.page!r}; expected path#{name}"]
    found = page_entries(root / path).get(name)
    if not found:
        return [f"{path} has no entry that opens with <!-- {name} -->"]
    too_long = [f"its entry has {len(found)} lines, at most 10 with the question"] if len(found) > 10 else []
    bare = (
        []
        if len(found) > 1 and re.search(r"\b(mid|senior|staff)\b", "\n".join(found))
        else ["its entry lacks an answer or a level"]
    )
    return too_long + bare


def page_entries(path: Path) -> dict[str, list[str]]:
    """ID -> the lines of its entry: from the line with <!-- ID --> to the next such line or heading. The dropped id is left out."""
    entries: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in path.read_text().splitlines():
        marker = _MARKER.search(line)
        if marker or line.startswith("#"):
            current = entries.setdefault(marker[1], []) if marker else None
        if current is not None and line.strip():
            current.append(line)
    entries.pop(os.environ.get(DROP, ""), None)
    return entries


# -------------------------------------------------------------------------------------------------------------------- the proof


def prove(ids: Sequence[str], entries: Mapping[str, Entry], root: Path = ROOT) -> dict[str, str]:
    """ID -> "" if proved, else what is wrong. Each test must pass as things stand, and fail with the symbol broken or the entry dropped.

    A skipped test counts as not passed. Works in child processes; common/coverage_plugin.py does the breaking.
    """
    found = {name: "" if entries[name].kind else "nothing shows it yet: map it in docs/coverage.yaml" for name in ids}
    faulty = problems({name: entries[name] for name in ids}, root)
    found |= {name: problem for name, _, problem in (line.partition(": ") for line in faulty)}
    sound = [name for name, problem in found.items() if not problem]
    tests = {name: str(entries[name].test) for name in sound}
    healthy = not tests or passes(sorted(set(tests.values())), root)
    for name in sound:
        if not healthy and not passes([tests[name]], root):
            found[name] = f"{tests[name]} does not pass as things stand"
        elif passes([tests[name]], root, **_fault(name, entries[name])):
            found[name] = (
                f"{tests[name]} still passes with {entries[name].symbol or entries[name].page} gone: it proves nothing"
            )
    return found


def passes(tests: Sequence[str], root: Path = ROOT, **fault: str) -> bool:
    """Runs the tests in a child process; True if all passed and none was skipped. Raises InputError if pytest itself could not run."""
    flags = ["-qx", "-p", "pytest_timeout", "-p", "common.coverage_plugin"]
    command = [sys.executable, "-m", "pytest", *flags, *tests]
    environment = {key: value for key, value in os.environ.items() if key not in (BREAK, DROP)} | fault
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a second saved in each of hundreds of runs
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode not in (0, 1, 2):  # 2: the test file itself no longer imports
        raise InputError(f"pytest could not run {' '.join(tests)}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.returncode == 0


def _fault(name: str, entry: Entry) -> dict[str, str]:
    return {BREAK: entry.symbol} if entry.symbol else {DROP: name}
