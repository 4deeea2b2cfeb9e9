"""docs/compare: the thirty rows, a cell from every case, links that lead somewhere, and pages that say what the command would write."""

from __future__ import annotations

import json
import re

import pytest

from common import compare
from common.cli import main
from common.commands import compare as command
from tests.contract import pages
from tests.contract.pages import ROOT

FOUND = compare.in_tree(ROOT)
IDS = [
    "goal",
    "objective",
    "unit_scored",
    "label",
    "label_delay",
    "label_bias",
    "negatives",
    "split",
    "primary_metric",
    "wrong_metric",
    "online_metric",
    "guardrail",
    "baseline",
    "model",
    "next_rung",
    "calibrated",
    "candidates",
    "deadline",
    "precomputed",
    "freshest_feature",
    "fallback",
    "fails_open",
    "cold_start",
    "exploration",
    "retraining",
    "rollback_trigger",
    "abuse",
    "fairness_risk",
    "cost_driver",
    "tenx",
]


def test_the_rows_are_the_thirty_in_order() -> None:
    rows = compare.read_rows(ROOT)
    assert [row.id for row in rows] == IDS and len(IDS) == 30
    steps = [row.step for row in rows]
    assert steps == [step for step in dict.fromkeys(steps) for _ in range(steps.count(step))], (
        "a step stands in two places"
    )


def test_every_cell_is_short_and_leads_somewhere() -> None:
    assert compare.problems(FOUND, ROOT) == []


def test_the_pages_say_what_the_command_would_write() -> None:
    assert command.stale(FOUND, ROOT) == []


@pytest.mark.parametrize("page", ["README.md", "stages.md"])
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    """By the reader of links that every other page goes through."""
    assert pages.links(ROOT / compare.FOLDER / page) == []


def test_every_row_of_the_page_is_full() -> None:
    page = (ROOT / compare.FOLDER / "README.md").read_text()
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if re.match(r"\| (?!what )", line)]
    assert len(lines) == len(IDS)
    assert all(cell.strip() for line in lines for cell in line)


def test_every_stage_of_every_case_says_what_it_chose() -> None:
    assert "| - |" not in command.stages(FOUND, ROOT)


@pytest.mark.slow
def test_the_command_shows_the_rows_and_ends_well(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv=["compare", "--json"])
    said = json.loads(capfd.readouterr().out)
    assert ended.value.code == 0 and said["problems"] == []
    assert [row["row"] for row in said["rows"]] == IDS
    assert all(set(row["cells"]) == set(FOUND) - set(said["missing"]) for row in said["rows"])


@pytest.mark.slow
def test_the_command_fails_on_a_page_that_is_stale(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LAST", "why they are the same")
    with pytest.raises(SystemExit) as ended:
        main(argv=["compare"])
    assert ended.value.code == 1 and "run `make compare`" in capfd.readouterr().out
