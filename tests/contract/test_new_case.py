"""A third case from a toy, step by step as tests/toy/README.md says, on a copy: it is listed, linted, run and checked."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from common.errors import InputError
from tests.contract import tree
from tests.toy import new_case

CHECK = """
import json, sys
from pathlib import Path
from common import cases, checks

trial = checks.Trial(cases.get(sys.argv[1]), Path(sys.argv[2]))
table = checks.run(trial)
trial.close()
print(json.dumps([row for row in table if not row["passed"]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("toy", new_case.TOYS)
def test_a_copied_toy_is_a_case(toy: str, tmp_path: Path) -> None:
    copy = tree.copy(tmp_path)
    started = tree.run(copy, "-m", "tests.toy.new_case", toy, "a_third_case")
    assert started.returncode == 0, started.stderr
    _install(copy)
    linted = tree.lint_imports(copy)
    assert linted.returncode == 0, linted.stdout
    ran = tree.run(copy, "-m", "a_third_case", "run", "--preset", "smoke", "--json", "--out", str(tmp_path / "runs"))
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert json.loads(ran.stdout)["case"] == "a_third_case"
    checked = tree.run(copy, "-c", CHECK, "a_third_case", str(tmp_path / "trial"))
    assert checked.returncode == 0, checked.stderr[-3000:]
    assert json.loads(checked.stdout.splitlines()[-1]) == []


@pytest.mark.skipif(not importlib.util.find_spec("ruff"), reason="only on a machine with ruff: make install")
@pytest.mark.parametrize("toy", new_case.TOYS)
def test_a_copied_toy_is_linted(toy: str, tmp_path: Path) -> None:
    """Its name sorts before "common", the toy's after: imports want another order."""
    copy = tree.copy(tmp_path)
    assert tree.run(copy, "-m", "tests.toy.new_case", toy, "a_third_case").returncode == 0
    linted = tree.run(copy, "-m", "ruff", "check", "a_third_case")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_line_that_names_a_case_gets_a_sister() -> None:
    before = (
        '[project.entry-points."mlsd.cases"]\nmail = "mail"\nfeed = "feed"\ninclude = [\n  "mail*",\n  "mailbox",\n]\n'
    )
    after = '[project.entry-points."mlsd.cases"]\nmail = "mail"\nnews = "news"\nfeed = "feed"\ninclude = [\n  "mail*",\n  "news*",\n  "mailbox",\n]\n'
    assert new_case.with_sister(before, "news") == after


@pytest.mark.parametrize(
    "words", [("scorre", "news"), ("scorer", "No Name"), ("scorer", "common"), ("scorer", "numpy")]
)
def test_a_wrong_start_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(InputError):
        new_case.start(*words, tree.ROOT)


def _install(copy: Path) -> None:
    """What `make install` would make visible: the entry points of the copy's pyproject.toml."""
    import tomllib

    points = tomllib.loads((copy / "pyproject.toml").read_text())["project"]["entry-points"]["mlsd.cases"]
    info = copy.parent / "lone" / "mlsd-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlsd\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[mlsd.cases]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
    )
