"""An experiment's table is kept, cited by pages cell by cell, and drawn; and whatever no longer agrees with it is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common import cases
from common.cases import Case
from common.cli import main
from common.commands import experiment
from common.errors import InputError
from common.eval import ledger
from common.eval.chart import Chart


@dataclass(frozen=True)
class Config:
    data: str = "world"
    seed: int = 7


def new_ads(config: Config) -> list[dict[str, Any]]:
    """A chart."""
    ys = zip((0.0, 0.5, 1.0), (-0.02, 0.01, 0.04), strict=True)
    return [{"share": x, "difference": np.float64(y), "low": y - 0.01, "high": y + 0.01, "fit_s": 1.5} for x, y in ys]


def scorers(config: Config) -> list[dict[str, Any]]:
    """No chart: rows of one name, a text, origins that differ."""
    rows = [
        ("trees, v1.2", "old", 0.25, "world"),
        ("trees, v1.2", "new", 0.5, "world"),
        ("sums", "old", 12345.0, "calc"),
    ]
    return [{"scorer": a, "ads": b, "rows_per_s": c, "loss": c, "why": "x|y", "origin": d} for a, b, c, d in rows]


CHARTS = {"new_ads": Chart(title="New ads", x="share", y="difference")}
PAGE = """# A page

<!-- claim some.experiments.new_ads[0.5].difference -->?<!-- /claim --> <!-- claim some.experiments.new_ads[0.5].difference:interval -->?<!-- /claim -->
<!-- claim some.experiments.new_ads[1].fit_s:.2f -->?<!-- /claim --> <!-- claim some.experiments.new_ads.flip:interval -->?<!-- /claim -->
<!-- claim some.experiments.scorers[trees, v1.2][new].loss:.1% -->?<!-- /claim --> <!-- claim some.experiments.scorers[sums].loss -->?<!-- /claim -->
<!-- claim some.experiments.new_ads.seconds:.1f -->?<!-- /claim -->

<!-- table rows some.experiments.new_ads -->
<!-- /table -->

<!-- table rows some.experiments.scorers -->
<!-- /table -->
"""


def _case(charts: dict[str, Chart] = CHARTS) -> Case:
    stage = SimpleNamespace(EXPERIMENTS={"new_ads": new_ads, "scorers": scorers}, CHARTS=charts)
    presets = dict.fromkeys(("SMOKE", "DEMO", "DEFAULT", "LARGE"), Config())
    config = SimpleNamespace(Config=Config, OVERRIDES={"csv": {}}, **presets)
    return Case("some", "nowhere", replaced={"experiments": stage, "config": config})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Path:
    """A project in which both experiments were run with --write, and a page that cites them."""
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    monkeypatch.setattr(cases, "find", lambda: {"some": _case()})
    for name in ("new_ads", "scorers"):
        _main("experiment", "some", name, "--write", "--json")
        assert json.loads(capfd.readouterr().out)["experiment"] == name
    (tmp_path / "README.md").write_text(PAGE)
    ledger.write_all(tmp_path)
    return tmp_path


def _main(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv=words)
    assert not ended.value.code


def _kept(root: Path) -> Path:
    return root / "docs/results/some.experiments"


def test_every_chart_of_the_project_is_what_its_table_says() -> None:
    assert [problem for case in cases.find().values() for problem in experiment.problems(case)] == []
    assert all(
        set(experiment.charts(case)) <= set(case.stage("experiments").EXPERIMENTS) for case in cases.find().values()
    )


def test_what_is_kept_says_how_to_run_it_again(root: Path) -> None:
    found = json.loads((_kept(root) / "new_ads.json").read_text())
    wanted = {"case": "some", "experiment": "new_ads", "preset": "demo", "data": "world", "seed": 7, "origin": "world"}
    assert wanted.items() <= found.items() and {"python", "numpy"} <= set(found["packages"]) and found["seconds"] >= 0
    assert found["rows"] == new_ads(Config())
    assert found["flip"]["value"] == pytest.approx(1 / 3) and found["flip"]["high"] == pytest.approx(0.5)


def test_without_write_nothing_is_kept(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in _kept(root).iterdir()}
    (_kept(root) / "new_ads.json").unlink()
    _main("experiment", "some", "new_ads")
    assert sorted(_kept(root).iterdir()) == sorted(set(before) - {_kept(root) / "new_ads.json"})


def test_real_data_are_kept_beside_the_world_without_their_path(root: Path, tmp_path: Path) -> None:
    _main("experiment", "some", "new_ads", "--data", f"csv:{tmp_path}", "--write")
    text = (_kept(root) / "new_ads.csv.json").read_text()
    assert str(tmp_path) not in text and (_kept(root) / "new_ads.csv.svg").exists()
    assert ledger.claim("some.experiments.new_ads.csv[0].difference", None, root) == "-0.02 `real`"
    assert ledger.claim("some.experiments.new_ads[0].difference", None, root) == "-0.02 `world`"


def test_every_number_of_a_page_carries_its_origin(root: Path) -> None:
    text = (root / "README.md").read_text()
    *claims, seconds = re.findall(r"-->(\S.*?)<!-- /claim", text)
    assert re.fullmatch(r"\d+\.\d `machine`", seconds)
    assert claims == [
        "0.01 `world`",
        "0.01 [0, 0.02] `world`",
        "1.50 `machine`",
        "0.3333 [0.1667, 0.5] `world`",
        "50.0% `world`",
        "12,345 `calc`",
    ]
    assert "| share | difference `world` | fit_s `machine` |" in text and "| 0.5 | 0.01 [0, 0.02] | 1.5 |" in text
    assert "| scorer | ads | rows_per_s `machine` | loss | why |" in text
    assert "| sums | old | 12,345 | 12,345 `calc` | x\\|y |" in text
    assert ledger.check_all(root) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("0.01 `world`", "0.02 `world`", "the result says '0.01 `world`'"),
        ("1.50 `machine`", "1.50 `world`", "the result says"),
        ("| 0.5 | 0.01", "| 0.5 | 0.03", "the result says"),
        ("new_ads[0.5]", "new_ads[0.6]", "finds no row '0.6'. Did you mean '0.5'? Known: 0, 0.5, 1."),
        ("[sums].loss", "[sum].loss", "Did you mean 'sums'"),
        ("[sums].loss", "[sums].los", "finds no column 'los'. Did you mean 'loss'"),
        ("[trees, v1.2][new]", "[trees, v1.2]", "2 rows are 'some.experiments.scorers[trees, v1.2]'"),
        ("[trees, v1.2][new]", "[trees, v1.2][nw]", "Did you mean 'new'"),
        ("[sums].loss", "[sums].why", "a claim is a number"),
        ("scorers[sums]", "scorer[sums]", "No result file"),
        ("rows some.experiments.scorers", "rows some.experiments.scorer", "No result file"),
    ],
)
def test_a_page_that_says_something_else_fails(root: Path, old: str, new: str, says: str) -> None:
    page = root / "README.md"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new, 1))
    found = ledger.check_all(root)
    assert len(found) == 1 and says in found[0], found


def test_the_chart_on_disk_is_that_of_the_table(root: Path) -> None:
    assert experiment.problems(_case()) == [] == experiment.draw(_case())
    picture = _kept(root) / "new_ads.svg"
    assert "world, preset demo, seed 7" in picture.read_text() and not (_kept(root) / "scorers.svg").exists()


def _table(folder: Path) -> None:
    path = folder / "new_ads.json"
    path.write_text(path.read_text().replace('"difference": 0.01', '"difference": 0.011'))


def _gone(folder: Path) -> None:
    path = folder / "scorers.json"
    (folder / "older.json").write_text(path.read_text().replace('"experiment": "scorers"', '"experiment": "older"'))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "new_ads.svg").unlink(), ["new_ads.svg: not what its table says"]),
        (lambda folder: (folder / "new_ads.svg").write_text("<svg/>"), ["new_ads.svg: not what its table says"]),
        (_table, ["new_ads.json: not what its table says", "new_ads.svg: not what its table says"]),
        (lambda folder: (folder / "scorers.svg").write_text("<svg/>"), ["scorers.svg: no entry of CHARTS"]),
        (_gone, ["older.json: some has no such experiment now"]),
    ],
)
def test_what_no_longer_agrees_is_named(root: Path, damage: Callable[[Path], None], says: list[str]) -> None:
    damage(_kept(root))
    found = experiment.problems(_case())
    assert len(found) == len(says) and all(one in line for one, line in zip(says, found, strict=True)), found


def test_a_chart_that_changed_is_drawn_again_from_the_table_on_file(root: Path) -> None:
    changed = _case({"new_ads": Chart(title="Other words", x="share", y="difference")})
    assert experiment.draw(changed) == [_kept(root) / "new_ads.svg"]
    assert experiment.problems(changed) == [] and experiment.problems(_case())
    wrong = _case({"new_ads": Chart(title="New ads", x="shore", y="difference")})
    assert "Did you mean 'share'" in experiment.problems(wrong)[0]
    with pytest.raises(InputError, match="Did you mean 'new_ads'"):
        experiment.charts(_case({"new_add": CHARTS["new_ads"]}))


def test_an_origin_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = SimpleNamespace(EXPERIMENTS={"bad": lambda config: [{"a": 1, "b": 2, "origin": "wrold"}]})
    with pytest.raises(InputError, match="Did you mean 'world'"):
        experiment.ran(Case("some", "nowhere", replaced={"experiments": stage}), "bad", "demo", Config(), [])
