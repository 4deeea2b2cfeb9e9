"""Every page of the project says what its results say; and the ledger notices when one does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import InputError
from common.eval import ledger
from common.eval.bare_numbers import bare_numbers, read_facts


def _interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 50}


def _report(value: float) -> dict[str, object]:
    primary = {"name": "log_loss", **_interval(value), "direction": "lower", "origin": "world"}
    return {"primary": primary, "metrics": {"log_loss": _interval(value), "ndcg@10": _interval(0.5)}, "slices": {}}


RUN = {
    "case": "ad_click",
    "preset": "demo",
    "seconds": 14.2,
    "reports": {"baseline": _report(0.2), "model": _report(0.15), "ceiling": _report(0.12)},
    "paired": {"model-baseline": {"value": -0.05, "low": -0.06, "high": -0.04}},
    "artifact": "runs/x",
}
PAGE = """# A page

The model reaches <!-- claim ad_click.demo.model.log_loss -->?<!-- /claim --> after <!-- claim ad_click.demo.seconds:.0f -->?<!-- /claim --> s,
<!-- claim ad_click.demo.model-baseline:interval -->?<!-- /claim --> off, <!-- claim ad_click.demo.model.primary:interval -->?<!-- /claim -->.

<!-- table results ad_click.demo -->
<!-- /table -->
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "ad_click.demo.json").write_text(json.dumps(RUN))
    (tmp_path / "docs" / "facts.yaml").write_text('- {fact: 150 ms, source: "the brief"}\n')
    (tmp_path / "README.md").write_text(PAGE)
    return tmp_path


def test_every_page_of_the_project_says_what_its_results_say() -> None:
    assert ledger.check_all() == []


def test_written_pages_pass_and_writing_twice_changes_nothing(root: Path) -> None:
    assert ledger.write_all(root) == [root / "README.md"]
    text = (root / "README.md").read_text()
    assert "-->0.15 `world`<!--" in text and "-->14 `machine`<!--" in text
    assert "-->-0.05 [-0.06, -0.04]" in text and "0.15 [0.14, 0.16] `world`" in text
    assert "| ad_click | demo |" in text
    assert ledger.check_all(root) == []
    assert ledger.write_all(root) == []


def test_a_published_figure_stands_with_its_caveat(root: Path) -> None:
    primary = {"name": "log_loss", "value": 0.3076, "low": None, "high": None, "n": 0, "origin": "published"}
    published = {"primary": primary, "metrics": {}, "slices": {}, "comparable": "no, because rebuilt"}
    run = RUN | {"reports": {"baseline": _report(0.2), "model": _report(0.15), "published": published}}
    (root / "docs/results/ad_click.frappe.json").write_text(json.dumps(run))
    table = ledger.block("results ad_click.demo ad_click.frappe", root)
    assert "| 0.3076 `published`, comparable: no, because rebuilt |" in table and "| ad_click | frappe |" in table


def test_rows_of_a_benchmark_become_a_table(root: Path) -> None:
    (root / "benchmarks/results").mkdir(parents=True)
    rows = [{"what": "read | p99", "ms": 1.2345678, "ratio": {"median": 2.0, "low": 1.5, "high": 2.5}}]
    found = {"name": "reads", "origin": "machine", "machine": {"cpu": "x"}, "rows": rows}
    (root / "benchmarks/results/reads.json").write_text(json.dumps(found))
    table = ledger.block("rows reads", root)
    assert table.splitlines()[2] == "| read \\| p99 | 1.235 | 2 [1.5, 2.5] |"
    assert ledger.claim("reads.rows.0.ms", ".1f", root) == "1.2 `machine`"


@pytest.mark.parametrize("place", ["toy", "docs/decisions", "benchmarks", "tests/toy"])
def test_a_page_of_any_folder_is_read(root: Path, place: str) -> None:
    ledger.write_all(root)
    page = root / place / "README.md"
    page.parent.mkdir(parents=True)
    page.write_text("About 800 lines.\n")
    assert [problem.split(":")[:2] for problem in ledger.check_all(root)] == [[f"{place}/README.md", "1"]]
    page.write_text("About eight hundred lines.\n")
    assert ledger.check_all(root) == []


def test_a_page_not_yet_written_fails(root: Path) -> None:
    assert len(ledger.check_all(root)) == 5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("0.15 `world`", "0.14 `world`", "the result says '0.15 `world`'"),
        ("0.15 `world`", "0.15 `real`", "the result says"),
        ("| ad_click | demo |", "| ad_click | dem0 |", "the result says"),
        ("ad_click.demo.model.log_loss", "ad_click.demo.model.logloss", "finds no 'logloss'. Did you mean 'log_loss'"),
        ("ad_click.demo.seconds", "ad_clack.demo.seconds", "No result file"),
        ("table results ad_click.demo", "table resolts ad_click.demo", "There is no table"),
        ("after", "after 3 tries and", "bare number '3'"),
    ],
)
def test_a_page_that_says_something_else_fails(root: Path, old: str, new: str, says: str) -> None:
    ledger.write_all(root)
    page = root / "README.md"
    page.write_text(page.read_text().replace(old, new, 1))
    problems = ledger.check_all(root)
    assert len(problems) == 1 and says in problems[0], problems


def test_a_result_that_changed_fails_the_page(root: Path) -> None:
    ledger.write_all(root)
    (root / "docs/results/ad_click.demo.json").write_text(json.dumps(RUN | {"seconds": 99.0}))
    assert "'99 `machine`'" in ledger.check_all(root)[0]


def test_writing_an_unknown_claim_leaves_the_page_alone(root: Path) -> None:
    page = root / "README.md"
    page.write_text(PAGE + "<!-- claim nothing.here -->1<!-- /claim -->\n")
    before = page.read_text()
    with pytest.raises(InputError, match=r"nothing\.here"):
        ledger.write_all(root)
    assert page.read_text() == before and [path.name for path in root.iterdir() if path.is_file()] == ["README.md"]


@pytest.mark.parametrize(
    "text",
    [
        "It took 14 s.",
        "## 10x faster",
        "| a | 0.5 |",
        "About 2,000,000 videos.",
        "150 s and 1150 ms and 150 msec",
        "-3.5 %",
        "p<0.05",
        "recall@20=0.9",
        "$3",
        "- 4 of them",
        "rows 300000",
        "A stray ` here.\n\nIt took 14 s. And `another`.",
    ],
)
def test_a_bare_number_is_found(text: str) -> None:
    assert bare_numbers(text, ["150 ms"])


@pytest.mark.parametrize(
    "text",
    [
        "Within 150 ms, always.",
        "`2 + 2` and ``3 `4` ``",
        "```\n17 rows\n```",
        "Picture:\n\n    phone -> 500 -> 20\n    more 7\n\nText.",
        "See [here](docs/2026.md) or https://x.org/12.",
        "## 6. Serve (8 minutes)",
        "1. first\n2. second",
        "p99, ndcg@10, fp32, ADS-49, F1, R16",
        "Python 3.11 and torch 2.13.0",
        "On 2026-11-20, after He et al. (2014).",
        "In step 3, steps 1-7; user 42 saw ad 7.",
        "<!-- table rows x -->\n| 1 |\n<!-- /table -->",
        "<!-- ADS-49 -->",
    ],
)
def test_what_is_not_a_measurement_passes(text: str) -> None:
    assert bare_numbers(text, ["150 ms"]) == []


def test_a_fact_without_a_source_is_refused(root: Path) -> None:
    (root / "docs" / "facts.yaml").write_text("- {fact: 7 s}\n")
    with pytest.raises(InputError, match="source"):
        read_facts(root)
