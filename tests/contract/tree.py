"""A copy of the repository to break: source, tests and pages, no environment; what a test does to it nobody else sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "*cache", ".hypothesis", "__pycache__", "runs", "*.egg-info")
LONE = '''"""Run by Python at its start: takes the editable install off the path, so that a copy without a case is without it."""
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
'''


def copy(into: Path) -> Path:
    """The working tree under `into`/tree, which imports from itself alone."""
    shutil.copytree(ROOT, into / "tree", ignore=LEFT_OUT)
    (into / "lone").mkdir()
    (into / "lone" / "sitecustomize.py").write_text(LONE)
    return into / "tree"


def run(tree: Path, *command: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """`python COMMAND` in the copy, by this environment's Python, with the copy's packages in place of the installed ones."""
    path = os.pathsep.join([str(tree), str(tree.parent / "lone")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=tree, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return run(tree, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache")


def delete_case(tree: Path, case: str) -> None:
    """What CONTRIBUTING says of deleting a case, done: its folder, its tests, and every line that names it in two files."""
    shutil.rmtree(tree / case)
    shutil.rmtree(tree / "tests" / case, ignore_errors=True)
    drop_lines(tree / "pyproject.toml", case)
    drop_entries(tree / "docs" / "coverage.yaml", case)


def drop_lines(path: Path, case: str) -> None:
    """pyproject.toml: every line that names the case. It has one line per case and module, so nothing else goes with them."""
    kept = [line for line in path.read_text().splitlines() if not _names(case).search(line)]
    path.write_text("\n".join(kept) + "\n")


def drop_entries(path: Path, case: str) -> None:
    """coverage.yaml: an id whose entry names the case is unmapped again; the list of ids stays whole."""
    if not path.exists():
        return
    entries: list[list[str]] = []
    for line in path.read_text().splitlines():
        if line[:1].isspace() and entries:
            entries[-1].append(line)
        else:
            entries.append([line])
    kept = [
        [f"{entry[0].split(':')[0]}: null"] if len(entry) > 1 and _names(case).search("\n".join(entry)) else entry
        for entry in entries
    ]
    path.write_text("\n".join(line for entry in kept for line in entry) + "\n")


def _names(case: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){case}(?!\w)")
