"""The cases side by side, on a tree of two tiny cases: what is written, and one thing wrong at a time that has to be noticed."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from common import compare
from common.cases import Case
from common.commands import compare as command
from common.errors import InputError

ROWS = [
    {"id": "goal", "step": "Frame", "title": "Goal", "why": "Letters are asked for, news is not."},
    {"id": "deadline", "step": "Serve", "title": "Deadline", "why": "A letter waits, a page does not."},
]
CELLS = {
    "goal": {"cell": "Letters that are opened", "link": "README.md#what-it-asks-really"},
    "deadline": {"cell": "{config.deadline_ms:.0f} ms, twice {calc 2 * 3:.1f}", "link": "mail.policy:Policy.limit"},
}
POLICY = '''"""Scores to a decision.

In:     scores.
Choice: a line | a <limit>
        with `a * b`, and 2 * 3.
Else:   none.
Breaks: a tie (policy: chance).

More of it: not a label.
"""
from mail.schema import Noun

LOW, HIGH = 1, 2


class Policy:
    limit: int = 3

    def decide(self) -> int: ...
'''


def case(name: str) -> Case:
    knobs = SimpleNamespace(Config=None, OVERRIDES={}, SMOKE=None, DEMO=None, DEFAULT=SimpleNamespace(deadline_ms=50.0), LARGE=None)  # fmt: skip
    return Case(name, name, {"config": knobs})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two cases: mail with its cells, news with the same and nothing else."""
    put(tmp_path / "docs" / "compare" / "rows.yaml", yaml.safe_dump(ROWS))
    for name in ("mail", "news"):
        put(tmp_path / name / "compare.yaml", yaml.safe_dump(CELLS))
        put(tmp_path / name / "README.md", "# A case\n\n## What it asks, `really`?\n")
    put(tmp_path / "mail" / "policy.py", POLICY)
    put(tmp_path / "mail" / "model" / "__init__.py", '"""A model.\n\nChoice: one.\n"""\n')
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


FOUND = {name: case(name) for name in ("mail", "news")}


def changed(root: Path, row: str, **fields: str) -> list[str]:
    """What is wrong once mail's cell reads so."""
    cells: dict[str, Any] = {**CELLS, row: {**CELLS.get(row, {}), **fields}}
    put(root / "mail" / "compare.yaml", yaml.safe_dump(cells))
    return compare.problems(FOUND, root)


def test_a_tree_in_order_has_no_problems(root: Path) -> None:
    assert compare.problems(FOUND, root) == [] and compare.missing(FOUND, root) == []


TWELVE = "a b c d e f g h i j k"


@pytest.mark.parametrize(
    ("row", "fields", "says"),
    [
        ("goal", {"cell": f"{TWELVE} l m"}, "13 words, at most 12"),
        ("goal", {"cell": f"{TWELVE} {{calc 1 + 1}} l"}, "13 words, at most 12"),
        ("goal", {"cell": " - "}, "0 words"),
        ("goal", {"cell": "within 50 of them"}, "a typed number 50"),
        ("goal", {"cell": "{config.deadline}"}, "Did you mean 'deadline_ms'?"),
        ("goal", {"cell": "{mail.demo.model.log_loss}"}, "No result file"),
        ("goal", {"link": "DESIGN.md"}, "there is no file 'DESIGN.md'"),
        ("goal", {"link": "README.md#what-it-answers"}, "has no heading 'what-it-answers'"),
        ("goal", {"link": "mail.policy:Policy.most"}, "there is no symbol 'mail.policy:Policy.most'"),
        ("goal", {"link": "mail.policy:Noun"}, "there is no symbol"),  # imported, not defined there
        ("goal", {"link": "mail.polity:Policy"}, "there is no symbol"),
        ("goals", CELLS["goal"], "there is no row 'goals'. Did you mean 'goal'?"),
    ],
)
def test_one_thing_wrong_is_one_problem(row: str, fields: dict[str, str], says: str, root: Path) -> None:
    wrong = changed(root, row, **fields)
    assert len(wrong) == 1 and says in wrong[0] and wrong[0].startswith("mail/compare.yaml: "), wrong


@pytest.mark.parametrize(
    ("cell", "link"),
    [
        (f"{TWELVE} l", "README.md"),
        (f"{TWELVE} {{calc 1 + 1}} - ", "mail.policy:Policy.decide"),
        ("`ndcg@20`", "mail.policy:HIGH"),
        ("a word", "../docs/compare/rows.yaml"),
        ("a word", "mail.model:none"),
    ],
)
def test_what_is_allowed_passes(cell: str, link: str, root: Path) -> None:
    put(root / "mail" / "model" / "__init__.py", "def none() -> None: ...\n")
    assert changed(root, "goal", cell=cell, link=link) == []


def test_a_missing_row_is_named(root: Path) -> None:
    put(root / "news" / "compare.yaml", yaml.safe_dump({"goal": CELLS["goal"]}))
    assert compare.problems(FOUND, root) == ["news/compare.yaml: no cell for the row 'deadline'"]
    put(root / "news" / "compare.yaml", "")
    assert len(compare.problems(FOUND, root)) == 2


def test_a_typed_number_in_a_sentence_is_refused(root: Path) -> None:
    put(
        root / "docs" / "compare" / "rows.yaml", yaml.safe_dump([{**ROWS[0], "why": "It is 3 times as slow."}, ROWS[1]])
    )
    assert compare.problems(FOUND, root) == ["docs/compare/rows.yaml: goal: a typed number 3"]


@pytest.mark.parametrize("rows", [[{**ROWS[0], "why": " "}], [{"id": "goal"}], [ROWS[0], ROWS[0]]])
def test_rows_that_are_not_whole_are_refused(rows: list[dict[str, str]], root: Path) -> None:
    put(root / "docs" / "compare" / "rows.yaml", yaml.safe_dump(rows))
    with pytest.raises(InputError, match=r"rows\.yaml"):
        compare.read_rows(root)


@pytest.mark.parametrize("cell", ["a word", {"cell": "a word"}])
def test_a_cell_without_a_link_is_refused(cell: object, root: Path) -> None:
    put(root / "mail" / "compare.yaml", yaml.safe_dump({"goal": cell}))
    with pytest.raises(InputError, match="exactly a cell and a link"):
        compare.problems(FOUND, root)


# ---- the pages


def test_the_page_has_a_table_for_each_step_and_a_column_for_each_case(root: Path) -> None:
    page = command.readme(FOUND, root)
    cell = "50 ms, twice 6.0 `calc` [`policy:Policy.limit`](../../mail/policy.py)"
    assert "## Frame\n\n| what | mail | news | why they differ |\n|---|---|---|---|\n| Goal | Letters that are" in page
    assert f"## Serve\n\n| what | mail | news | why they differ |\n|---|---|---|---|\n| Deadline | {cell} | " in page
    assert page.endswith(" | A letter waits, a page does not. |\n") and "compare.yaml` yet" not in page
    assert "[README.md](../../news/README.md#what-it-asks-really)" in page


def test_a_case_without_cells_has_a_sentence_and_no_column(root: Path) -> None:
    (root / "news" / "compare.yaml").unlink()
    page = command.readme(FOUND, root)
    assert "No `compare.yaml` yet, so no column here: news." in page and "| what | mail | why they differ |" in page
    assert compare.problems(FOUND, root) == []


def test_stages_are_read_from_docstrings_and_never_imported(root: Path) -> None:
    page = command.stages(FOUND, root)
    section = page.split("## policy\n\n")[1].split("\n\n")[0].splitlines()
    assert section == [
        "| what | mail | news |",
        "|---|---|---|",
        r"| Choice | a line \| a \<limit> with `a * b`, and 2 \* 3. | - |",
        "| Else | none. | - |",
        "| Breaks | a tie (policy: chance). | - |",
    ]
    assert "| Choice | one. | - |" in page.split("## model\n")[1]  # of a package


def test_what_was_written_is_not_stale_and_what_was_changed_is(root: Path) -> None:
    assert len(command.stale(FOUND, root)) == 2
    assert [path.name for path in command.write_all(FOUND, root)] == ["README.md", "stages.md"]
    assert command.stale(FOUND, root) == [] and command.write_all(FOUND, root) == []
    page = root / "docs" / "compare" / "README.md"
    page.write_text(page.read_text().replace("50 ms", "60 ms", 1))
    assert command.stale(FOUND, root) == ["docs/compare/README.md is not what the command writes; run `make compare`"]
    put(root / "mail" / "policy.py", POLICY.replace("none.", "two lines."))
    assert len(command.stale(FOUND, root)) == 2


def test_a_deleted_case_leaves_the_pages_of_the_others_as_they_are(root: Path) -> None:
    """Its column is looked past, and gone with the next writing; every row keeps its sentence."""
    command.write_all(FOUND, root)
    shutil.rmtree(root / "news")
    left = {"mail": FOUND["mail"]}
    assert command.stale(left, root) == []
    page = root / "docs" / "compare" / "README.md"
    old = page.read_text()
    page.write_text(old.replace("Letters that are opened", "Letters that are read", 1))
    assert len(command.stale(left, root)) == 1
    page.write_text(old)
    assert len(command.write_all(left, root)) == 2
    assert "news" not in page.read_text().replace("news is not", "") and ROWS[0]["why"] in page.read_text()
