"""Every import contract is seen to break when it is violated: on a copy, by one import that should not be there."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from common import cases
from tests.contract import tree

pytestmark = pytest.mark.slow

CASES = sorted(cases.find())
INDEPENDENT, PLATFORM, LAYERS = (
    "cases never import each other",
    "common never imports a case",
    "stages only look upstream",
)
TRUTH = "the planted truth has four readers"
OFFLINE = "nothing that trains or serves reaches data or truth, even indirectly"
OUTSIDE = "simulated users know the platform only from outside"

VIOLATIONS = [
    # contract, file, the import that should not be there; CASE and OTHER are cases
    (INDEPENDENT, "CASE/policy.py", "import OTHER.schema"),
    (INDEPENDENT, "CASE/__init__.py", "import OTHER"),
    (PLATFORM, "common/errors.py", "import CASE.schema"),
    (PLATFORM, "common/population.py", "def later() -> None:\n    from CASE import config"),
    (LAYERS, "CASE/schema.py", "import CASE.model"),
    (LAYERS, "CASE/serve.py", "import CASE.monitor"),
    (LAYERS, "CASE/helpers.py", "HELP = 1"),
    (TRUTH, "CASE/drills.py", "import CASE.world"),
    (TRUTH, "CASE/evaluate.py", "def later() -> None:\n    from CASE import world"),
    (OFFLINE, "CASE/features.py", "import CASE.data"),
    (OFFLINE, "CASE/serve.py", "import CASE.world"),
    (OFFLINE, "CASE/schema.py", "import CASE.world"),  # through schema, which every stage imports
    (OUTSIDE, "CASE/simulate.py", "import CASE.serve"),
    (OUTSIDE, "CASE/schema.py", "import CASE.evaluate"),  # through schema
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree.copy(tmp_path_factory.mktemp("imports"))


def test_the_tree_keeps_every_contract(clean: Path) -> None:
    said = tree.lint_imports(clean)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Contracts: 6 kept, 0 broken." in said.stdout, said.stdout


def test_every_contract_is_violated_below(clean: Path) -> None:
    contracts = tomllib.loads((clean / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == {name for name, _, _ in VIOLATIONS}


def test_every_case_stands_in_every_contract(clean: Path) -> None:
    contracts = tomllib.loads((clean / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        absent = [case for case in CASES if case not in str(contract)]
        assert not absent, f"{contract['name']!r} says nothing of {', '.join(absent)}"


@pytest.mark.parametrize(("contract", "file", "lines"), VIOLATIONS, ids=lambda value: value.replace("/", ".")[:40])
def test_a_violation_breaks_its_contract(clean: Path, contract: str, file: str, lines: str) -> None:
    if contract == INDEPENDENT and len(CASES) < 2:
        pytest.skip("one case alone has no other to import")
    case, other = CASES[0], CASES[-1]
    path = _file(clean, file.replace("CASE", case))
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + "\n" + lines.replace("CASE", case).replace("OTHER", other) + "\n")
    try:
        said = tree.lint_imports(clean)
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert said.returncode != 0, f"{lines!r} in {path} was not noticed"
    assert f"{contract} BROKEN" in said.stdout, said.stdout + said.stderr


def _file(root: Path, name: str) -> Path:
    """The stage's file, or the __init__.py of a stage that is a package by now."""
    package = root / name.removesuffix(".py")
    return package / "__init__.py" if package.is_dir() else root / name


def test_the_copy_imports_from_itself(clean: Path) -> None:
    said = tree.run(clean, "-c", "import common; print(common.__file__)")
    assert Path(said.stdout.strip()).is_relative_to(clean), said.stdout + said.stderr
    assert shutil.which("git") is None or not (clean / ".git").exists()
