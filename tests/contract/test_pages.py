"""Every case with a DESIGN.md keeps the same headings, blocks and limits; and each of those checks notices a page that does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from common import cases, coverage, practice
from common.capacity import calculate
from common.errors import InputError
from common.eval import ledger
from tests.contract import pages
from tests.contract.pages import END, ROOT, STEPS, TOP, Known

CASES = [name for name in cases.find() if (ROOT / name / "DESIGN.md").exists()]
TOY = Known({"toy": ["window", "price"]}, {"toy": ["slow_model"]})


@pytest.fixture(scope="module")
def known() -> Known:
    found = cases.find()
    return Known(
        {name: list(case.stage("experiments").EXPERIMENTS) for name, case in found.items()},
        {name: list(case.stage("drills").DRILLS) for name, case in found.items()},
    )


def found(problems: Callable[[str], list[str]]) -> dict[str, list[str]]:
    """What is wrong, by case that has pages: a tree without such a case holds nothing, and skips nothing."""
    return {case: wrong for case in CASES if (wrong := problems(case))}


def test_a_design_page_has_its_shape(known: Known) -> None:
    assert found(lambda case: pages.design((ROOT / case / "DESIGN.md").read_text(), case, known)) == {}


def test_every_entry_of_questions_answers_one_line_of_the_syllabus() -> None:
    """An entry that is taken out is still named by its heading."""
    assert found(lambda case: pages.questions(ROOT / case / "QUESTIONS.md", list(coverage.load()))) == {}


def test_questions_to_practise_are_whole(known: Known) -> None:
    assert found(lambda case: pages.practice(ROOT / case / "questions.yaml", known)) == {}


@pytest.mark.parametrize(
    "page", [f"{case}/{name}" for case in CASES for name in ("DESIGN.md", "QUESTIONS.md")] + ["docs/world.md"]
)
def test_links_and_commands_of_a_page_lead_somewhere(page: str, known: Known) -> None:
    assert pages.links(ROOT / page) + pages.commands((ROOT / page).read_text(), known) == []


# ---- the checks are checked: a page that passes, and one thing wrong with it at a time

SENTENCE = "I say what I would build and why it is enough for the first week of traffic and money. "
STEP = f"""
**Say.** {SENTENCE * 5}

**Draw.**

    phone -> answer

**Decide.**

| chosen | not chosen | the number | flips when |
|---|---|---|---|
| a day, `window` | an hour | <!-- claim x.y -->0.5 `world`<!-- /claim --> | clicks come at once |
| second price | first price | 0.7 `real`, `price` | buyers shade their bids |

**Breaks.**

| what | how it looks | the check or drill that notices |
|---|---|---|
| the model hangs | the bid decides | `mlsd drill toy slow_model` |

**They will ask.**
- *mid* Why? Because.
- *staff, 2026* And then? Nothing.

**Try** (two minutes). `mlsd experiment toy window`: predict the sign first.
"""
PAGE = "\n".join(
    [
        "# toy",
        *(f"\n## {name}\n\n{SENTENCE * 3}" for name in TOP[:3]),
        "\n## Five numbers\n\n" + "- 0.5 `published`: a number\n" * 5,
        *(f"\n## {name}\n{STEP}" for name in STEPS),
        *(f"\n## {name}\n\nSome words." for name in END),
    ]
)


def test_a_page_in_order_passes() -> None:
    assert pages.design(PAGE, "toy", TOY) == []
    assert pages.commands(PAGE, TOY) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("## 3. Data (7 minutes)", "## 3. Data (8 minutes)", "headings"),
        ("## Ship order", "## Shipping", "headings"),
        ("**Draw.**", "**Drawing.**", "blocks"),
        ("**Breaks.**", "**Say.**", "blocks"),
        (SENTENCE * 5, SENTENCE * 3, "Say has 57 words"),
        (SENTENCE * 5, SENTENCE * 8, "Say has 152 words"),
        (f"{SENTENCE * 5}\n", f"{SENTENCE * 5}\n- a list\n", "holds a list"),
        (f"minute\n\n{SENTENCE * 3}", f"minute\n\n{SENTENCE * 9}", "The answer in a minute has 171 words"),
        ("    phone -> answer", "A phone.", "no picture"),
        ("- 0.5 `published`: a number\n", "", "five numbers"),
        ("| clicks come at once |", "| |", "empty cell"),
        ("0.7 `real`, `price`", "0.7, `price`", "no number with its origin stands for 'second price'"),
        ("0.7 `real`, `price`", "some `real`, `price`", "no number with its origin stands for 'second price'"),
        ("| the bid decides |", "| |", "Breaks has no full table"),
        ("- *mid* Why? Because.\n", "", "1 questions with a level"),
        ("*mid* Why", "*expert* Why", "questions with a level"),
        ("predict the sign first", "look", "Try wants"),
        ("Some words.", "Some words.\n" * 300, "at most 450"),
    ],
)
def test_a_page_out_of_order_fails(old: str, new: str, says: str) -> None:
    assert old in PAGE
    problems = pages.design(PAGE.replace(old, new, 1), "toy", TOY)
    assert len(problems) == 1 and says in problems[0], problems


def test_what_the_whole_page_must_hold_is_counted() -> None:
    """An experiment no decision cites, too few decisions, too few numbers from outside."""
    assert pages.design(PAGE.replace("`window`", "window"), "toy", TOY) == [
        "the experiment window is cited by no decision"
    ]
    row = "| second price | first price | 0.7 `real`, `price` | buyers shade their bids |\n"
    fewer = PAGE.replace(row, "", 1)
    assert pages.design(fewer, "toy", TOY) == ["13 decisions, at least 14"]
    at_home = re.sub("`(?:real|published)`", "`world`", PAGE)
    assert pages.design(at_home, "toy", TOY) == ["0 numbers real or published, at least 3"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("practise toy", "no such command"),
        ("experiment toy windows", "no experiment windows"),
        ("experiment boy window", "no case boy"),
        ("drill toy slow_rules", "no drill slow_rules"),
        ("drill toy slow_model --guess", "no option --guess"),
    ],
)
def test_a_command_that_names_nothing_fails(line: str, says: str) -> None:
    assert pages.commands(f"Try `mlsd {line} --json`.", TOY) == [f"`mlsd {line} --json`: {says}"]
    assert pages.commands("`mlsd experiment toy`, `mlsd drill toy --predict`, `mlsd run toy`", TOY) == []


def test_a_link_that_leads_nowhere_fails(tmp_path: Path) -> None:
    page, other = tmp_path / "A.md", tmp_path / "B.md"
    other.write_text("# Two words, `code` (5 minutes)\n")
    page.write_text("[x](B.md) [x](B.md#two-words-code-5-minutes) ![x](B.md) [x](https://x.org/y) [x](#top)\n\n# Top\n")
    assert pages.links(page) == []
    page.write_text(f"[x]({ROOT}/search_ranking/NOWHERE.md)")
    assert bool(pages.links(page)) is (ROOT / "search_ranking").is_dir()  # a case that is not here is not missed
    page.write_text("[x](C.md) ![x](c.svg) [x](B.md#three-words) [x](#bottom)\n")
    assert len(pages.links(page)) == 4


ENTRY = "### Why? (ADS-49) <!-- ADS-49 -->\n*mid* Because of [this](A.md).\n"


def test_an_entry_in_order_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "QUESTIONS.md"
    page.write_text(f"# Questions\n\n{ENTRY}")
    assert pages.questions(page, ["ADS-49"]) == []
    monkeypatch.setenv(coverage.DROP, "ADS-49")
    assert pages.questions(page, ["ADS-49"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("*mid*", "So:", "no level"),
        ("[this](A.md)", "this", "no link"),
        (".\n", "\nand so on" * 8, "9 lines, at most 8"),
        ("(ADS-49)", "(ADS-50)", "ADS-50 is named"),
        ("(ADS-49) <!-- ADS-49 -->", "(ADS-77) <!-- ADS-77 -->", "no id of the syllabus"),
        ("(ADS-49) <!-- ADS-49 -->", "", "names no id"),
    ],
)
def test_an_entry_out_of_order_fails(old: str, new: str, says: str, tmp_path: Path) -> None:
    page = tmp_path / "QUESTIONS.md"
    page.write_text(ENTRY.replace(old, new, 1))
    assert any(says in problem for problem in pages.questions(page, ["ADS-49", "ADS-50"]))


# ---- questions.yaml

ESTIMATE = {"id": "rate", "kind": "estimate", "level": "mid", "ask": "Ten a day?", "see": "A.md", "sum": "10 * 86400 / 2", "unit": "a day", "within": 2}  # fmt: skip
CHOICE = {"id": "price", "kind": "decide", "level": "senior", "ask": "Which?", "see": "A.md#top", "options": {"a": "one", "b": "two"}, "answer": "b", "because": "it is", "flips": "never"}  # fmt: skip
SEEN = {"id": "drop", "kind": "diagnose", "level": "mid", "ask": "What fell?", "see": "A.md", "answer": "the feed", "check": "mlsd drill toy slow_model"}  # fmt: skip
TEN = {"id": "ten", "kind": "change", "level": "staff", "ask": "Ten times?", "see": "A.md", "answer": "shards"}
FLAWED = {"id": "flawed", "kind": "flawed", "level": "staff", "ask": "Find eight.", "see": "A.md", "design": "a b c d e f g h", "mistakes": [{"says": letter, "why": "no"} for letter in "abcdefgh"]}  # fmt: skip
SET = [{**one, "id": f"{one['id']}{place}"} for one in (ESTIMATE, CHOICE, SEEN, TEN) for place in range(4)] + [FLAWED]


def _written(folder: Path, entries: object) -> Path:
    import yaml

    (folder / "A.md").write_text("# Top\n")
    (folder / "questions.yaml").write_text(yaml.safe_dump(entries))
    return folder / "questions.yaml"


def test_a_set_in_order_passes(tmp_path: Path) -> None:
    assert pages.practice(_written(tmp_path, SET), TOY, tmp_path) == []


@pytest.mark.parametrize(
    ("which", "change", "says"),
    [
        (0, {"sum": "10 * visitors"}, "A sum has no 'visitors'"),
        (0, {"sum": "ad_clack.cores"}, "no case 'ad_clack'"),
        (0, {"answer": "432000"}, "has no 'answer'"),
        (0, {"within": 1}, "a factor above 1"),
        (0, {"level": "expert"}, "level 'expert'"),
        (0, {"kind": "guess"}, "kind 'guess'"),
        (0, {"see": "B.md"}, "leads nowhere"),
        (0, {"proof": ["toy.none.x"]}, "No result file"),
        (4, {"answer": "c"}, "none of the options"),
        (4, {"see": "A.md#bottom"}, "leads nowhere"),
        (4, {"because": "it saves 12 %"}, "a typed number 12"),
        (4, {"flips": ""}, "lacks flips"),
        (8, {"check": "mlsd drill toy none"}, "no drill none"),
        (12, {"id": "rate0"}, "stand there twice"),
        (16, {"design": "a b c d e f g"}, "not there: ['h']"),
        (16, {"mistakes": FLAWED["mistakes"][:7]}, "7 mistakes, expected 8"),
        (16, {"mistakes": ["a"]}, "a mistake is {says, why}"),
    ],
)
def test_a_set_out_of_order_fails(which: int, change: dict[str, object], says: str, tmp_path: Path) -> None:
    entries = [{**one, **change} if place == which else one for place, one in enumerate(SET)]
    problems = pages.practice(_written(tmp_path, entries), TOY, tmp_path)
    assert len(problems) == 1 and says in problems[0], problems


def test_a_set_too_small_or_without_a_kind_fails(tmp_path: Path) -> None:
    problems = pages.practice(_written(tmp_path, SET[2:-1]), TOY, tmp_path)
    assert [problem.split(",")[0] for problem in problems] == [
        "14 questions",
        "2 of kind estimate",
        "0 of kind flawed",
    ]
    assert "expected a list" in pages.practice(_written(tmp_path, {"questions": []}), TOY, tmp_path)[0]


def test_the_calculator_marks_an_estimate_and_the_letter_a_choice(tmp_path: Path) -> None:
    first, *_ = practice.load(_written(tmp_path, SET))
    assert [practice.grade(first, given) for given in ("432,000", "8e5", "2.2e5", "9e5", "2e5", "-432000")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    choice = practice.load(_written(tmp_path, SET))[4]
    assert practice.grade(choice, "b") and not practice.grade(choice, "a")
    with pytest.raises(InputError, match="is no number"):
        practice.grade(first, "many")
    with pytest.raises(InputError, match="no option"):
        practice.grade(choice, "z")
    with pytest.raises(InputError, match="compare with its answer"):
        practice.grade(practice.load(_written(tmp_path, SET))[-1], "a")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.10 / (0.10 + 0.90 / 0.01)", 0.0011099),
        ("-log(exp(-2)) ** 2", -4.0),
        ("ceil(max(1.5, 0.5)) - min(1, 2)", 1.0),
    ],
)
def test_the_calculator_does_sums(expression: str, value: float) -> None:
    assert calculate(expression) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    "expression", ["__import__('os')", "open(1)", "x", "1 / 0", "9.0 ** 999", "True", "1 +", "[1]"]
)
def test_the_calculator_does_nothing_else(expression: str) -> None:
    with pytest.raises(InputError):
        calculate(expression)


def test_a_page_states_a_sum_and_a_changed_number_in_it_fails(tmp_path: Path) -> None:
    page = tmp_path / "A.md"
    page.write_text("Late: <!-- claim calc 1 - 0.99 ** 5:.1% -->?<!-- /claim --> of the pages.\n")
    assert ledger.write(page, tmp_path) and "4.9% `calc`" in page.read_text()
    assert ledger.check(page, tmp_path) == []
    page.write_text(page.read_text().replace("** 5", "** 6"))
    assert "the result says '5.9% `calc`'" in ledger.check(page, tmp_path)[0]


@pytest.mark.parametrize("case", sorted(cases.find()))
def test_the_calculator_knows_the_plan_of_a_case(case: str) -> None:
    plan = cases.get(case).stage("config").CAPACITY
    assert calculate(f"{case}.peak_qps / {case}.average_qps") == pytest.approx(plan.load.peak_factor)
    with pytest.raises(InputError, match="Did you mean 'peak_qps'"):
        calculate(f"{case}.peek_qps")
