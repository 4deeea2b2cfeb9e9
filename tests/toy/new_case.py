"""Starts a case from a toy: `python -m tests.toy.new_case scorer open_letter`. README.md beside this file says the same by hand."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError, did_you_mean

TOYS = ("scorer", "ranker")
NEXT = """{name}/ is a copy of tests/toy/{toy}, and pyproject.toml names it. Next:
  make install                                               the entry point is seen from now on
  .venv/bin/mlsd run {name} --preset smoke                   baseline, model, ceiling
  .venv/bin/pytest tests/contract/test_checks.py -k {name}   the checks every case must pass
  make compare                                               docs/compare names it as lacking {name}/compare.yaml until you write that
"""


def start(toy: str, name: str, root: Path) -> None:
    """Copies the toy to root/NAME, gives it a folder of tests, and gives every line of pyproject.toml that names a case a sister."""
    if toy not in TOYS:
        raise InputError(f"There is no toy {toy!r}. {did_you_mean(toy, TOYS)}")
    if not (root / "pyproject.toml").is_file():
        raise InputError(f"{root} holds no pyproject.toml. Run this in the root of the project.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or (root / name).exists() or importlib.util.find_spec(name):
        raise InputError(
            f"{name!r} cannot be the new case: expected lower-case letters, digits and _, no such folder yet, and no "
            f"installed package of that name, which the folder would hide."
        )
    copy(toy, root / name, name, name)
    (root / name / "__init__.py").write_text(f'"""{name}: say here what it asks. Copied from tests/toy/{toy}."""\n')
    if importlib.util.find_spec("ruff"):  # another name sorts elsewhere among the imports
        subprocess.run([sys.executable, "-m", "ruff", "check", "--select", "I", "--fix", "-q", root / name], check=True)
    (root / "tests" / name).mkdir()
    (root / "tests" / name / "__init__.py").write_text("")
    pyproject = root / "pyproject.toml"
    pyproject.write_text(with_sister(pyproject.read_text(), name))


def copy(toy: str, folder: Path, package: str, name: str) -> None:
    """tests/toy/TOY as `package` in `folder`, its routes and artifacts under `name`."""
    folder.mkdir(parents=True)
    for path in sorted((Path(__file__).parent / toy).glob("*.py")):
        text = path.read_text().replace(f"tests.toy.{toy}", package).replace(f"toy_{toy}", name)
        (folder / path.name).write_text(text)


def with_sister(pyproject: str, name: str) -> str:
    """One line per case and module: each line that names the first listed case is followed by the same line for the new one."""
    listed = re.search(r'\[project\.entry-points\."mlsd\.cases"\]\n(\w+) =', pyproject)
    if not listed:
        raise InputError(
            'pyproject.toml lists no case under [project.entry-points."mlsd.cases"] whose lines could be followed.'
        )
    first = re.compile(rf"(?<!\w){listed[1]}(?!\w)")
    lines: list[str] = []
    for line in pyproject.splitlines():
        lines.append(line)
        if first.search(line):
            lines.append(first.sub(name, line))
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> None:
    if len(words) != 2:
        raise InputError("Expected two words: python -m tests.toy.new_case scorer|ranker NAME")
    toy, name = words
    start(toy, name, Path.cwd())
    sys.stdout.write(NEXT.format(toy=toy, name=name))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
