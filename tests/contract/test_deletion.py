"""A case can be taken away, or its planted truth alone; what is left works. Tried on copies of the tree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from common import cases
from common.cases import Case
from tests.contract import tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOYS = [Case(f"toy_{kind}", f"tests.toy.{kind}") for kind in ("scorer", "ranker")]

EXPORT = """
import sys
from pathlib import Path
from common.cases import Case

case = Case(*sys.argv[1:3])
data, config = case.stage("data"), case.preset("smoke")
folder = Path(sys.argv[3])
folder.mkdir()
data.write(data.load(config), data.judgments(config), folder)
"""

TRAIN_AND_SERVE = """
import json, sys
from dataclasses import replace
from pathlib import Path
from common.cases import Case
from common.checks import Trial

case = Case(*sys.argv[1:3])
trial = Trial(case, Path(sys.argv[4]))
trial.config = replace(case.preset("smoke"), data="csv:" + sys.argv[3])
answer = trial.served.ask()
loaded = [name for name in sys.modules if name.startswith((case.package + ".world", case.package + ".simulate"))]
print(json.dumps({"reports": sorted(trial.result.reports), "answer": answer, "loaded": loaded}))
trial.close()
"""


@pytest.mark.parametrize("case", sorted(cases.find()))
def test_the_rest_is_green_without_a_case(case: str, tmp_path: Path) -> None:
    copy = tree.copy(tmp_path)
    tree.delete_case(copy, case)
    gone = tree.run(copy, "-c", f"import {case}")
    assert gone.returncode != 0, f"{case} is still imported from elsewhere: this test would prove nothing"
    assert case not in (copy / "pyproject.toml").read_text()
    said = tree.lint_imports(copy)
    assert said.returncode == 0, said.stdout + said.stderr
    left_out = [f"--ignore={path}" for path in untouched(copy)]
    assert left_out
    tests = tree.run(copy, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", *left_out, timeout=500)
    assert tests.returncode == 0, tests.stdout[-4000:] + tests.stderr[-2000:]


def untouched(copy: Path) -> list[Path]:
    """Test files under tests/common/*/ that name no case and look none up, and those of a case that name no other and look none up. `common` never
    imports a case, nor one case another, which the contracts above have just said of this copy: what they run is the same without it, and this
    suite has run it already."""
    left = [case for case in cases.find() if (copy / "tests" / case).is_dir()]
    files = {path: "" for path in (copy / "tests" / "common").glob("*/test_*.py")}
    files |= {path: case for case in left for path in (copy / "tests" / case).glob("**/test_*.py")}
    return sorted(path for path, own in files.items() if not _names(path.read_text(), {*cases.find(), "cases"} - {own}))


def _names(text: str, words: set[str]) -> bool:
    return any(word in text for word in words)


@pytest.mark.parametrize("case", [*TOYS, *cases.find().values()], ids=lambda case: case.name)
def test_it_trains_and_serves_without_its_planted_truth(case: Case, tmp_path: Path) -> None:
    copy, own = tree.copy(tmp_path), tmp_path / "own"
    wrote = tree.run(copy, "-c", EXPORT, case.name, case.package, str(own))
    assert wrote.returncode == 0, wrote.stderr[-3000:]
    for stage in ("world", "simulate"):
        place = copy / case.package.replace(".", "/") / stage
        shutil.rmtree(place) if place.is_dir() else place.with_suffix(".py").unlink()
    served = tree.run(copy, "-c", TRAIN_AND_SERVE, case.name, case.package, str(own), str(tmp_path / "trial"))
    assert served.returncode == 0, served.stderr[-3000:]
    said = json.loads(served.stdout.splitlines()[-1])
    assert {"baseline", "model"} <= set(said["reports"]) and "ceiling" not in said["reports"]
    assert said["answer"]["model_version"] and not said["loaded"]


def test_deleting_a_case_deletes_its_lines_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        'mail = "mail"\nmail_room = "other"\ninclude = [\n  "common*",\n  "mail*",\n]\nallowed = [\n  "mail.data",\n]\n'
    )
    tree.drop_lines(tmp_path / "pyproject.toml", "mail")
    left = 'mail_room = "other"\ninclude = [\n  "common*",\n]\nallowed = [\n]\n'
    assert (tmp_path / "pyproject.toml").read_text() == left
    (tmp_path / "coverage.yaml").write_text(
        'A-1: null\nA-2:\n  symbol: "mail.policy:fit"\n  page: null\nA-3:\n  symbol: "feed.x:y"\n'
    )
    tree.drop_entries(tmp_path / "coverage.yaml", "mail")
    assert (tmp_path / "coverage.yaml").read_text() == 'A-1: null\nA-2: null\nA-3:\n  symbol: "feed.x:y"\n'
