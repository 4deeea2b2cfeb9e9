"""What a case's DESIGN.md, QUESTIONS.md and questions.yaml must be; each function returns what is wrong, one line each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from common.cli import COMMANDS, build
from common.coverage import page_entries
from common.errors import InputError
from common.eval import ledger
from common.eval.bare_numbers import bare_numbers, read_facts
from common.eval.tables import ORIGINS
from common.practice import KINDS, LEVELS, Question, load

ROOT = Path(__file__).parents[2]
CASES = ("ad_click", "search_ranking", "harmful_content", "visual_search", "video_rec")
TOP = ("The question", "The answer in a minute", "The picture", "Five numbers")
OPTIONAL = "Unlike ad_click"
STEPS = (
    "1. Clarify (5 minutes)", "2. Frame (4 minutes)", "3. Data (7 minutes)", "4. Model (10 minutes)", "5. Evaluate (6 minutes)",
    "6. Serve (8 minutes)", "7. Operate (5 minutes)",
)  # fmt: skip
END = ("Ship order", "Where this world lies", "If the question is really ...", "At your level")
BLOCKS = ("Say", "Draw", "Decide", "Breaks", "They will ask", "Try")
DECIDE = ("chosen", "not chosen", "the number", "flips when")
BREAKS = ("what", "how it looks", "the check or drill that notices")
MOST_LINES, FEWEST_DECISIONS, FEWEST_OUTSIDE, FEWEST_QUESTIONS, FEWEST_OF_A_KIND, MOST_ANSWER_LINES = (
    450,
    14,
    3,
    16,
    3,
    8,
)
SAY, MINUTE = (60, 130), (40, 140)

_BLOCK = re.compile(rf"^\*\*({'|'.join(BLOCKS)})\.?\*\*", re.MULTILINE)
_TAG = re.compile(rf"`({'|'.join(ORIGINS)})`")
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"`mlsd ([^`]+)`")


@dataclass(frozen=True)
class Known:
    """What the commands of a page may name, by case."""

    experiments: Mapping[str, Collection[str]]
    drills: Mapping[str, Collection[str]]


def sections(text: str) -> dict[str, str]:
    """Heading of the second level -> what stands below it; comments, and with them the markers of claims, are taken out."""
    plain = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    parts = re.split(r"^## (.+)$", plain, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(section: str) -> dict[str, str]:
    """Say, Draw ... -> its text, in the order of the page."""
    found = list(_BLOCK.finditer(section))
    ends = [match.start() for match in found[1:]] + [len(section)]
    return {match[1]: section[match.end() : end] for match, end in zip(found, ends, strict=True)}


def rows(block: str, head: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The cells of the table with that head. A pipe escaped by a backslash is part of its cell."""
    inside = False
    for line in block.splitlines():
        cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1])
        if cells == head:
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-: "):
            yield cells


def design(text: str, case: str, known: Known) -> list[str]:
    """DESIGN.md: shape, words, decisions, experiments. Links and commands are checked for every page alike."""
    found = sections(text)
    wanted = [*TOP, *([OPTIONAL] if OPTIONAL in found else []), *STEPS, *END]
    if list(found) != wanted:
        return [f"headings {list(found)}, expected {wanted}"]
    problems = [f"{len(text.splitlines())} lines, at most {MOST_LINES}"] * (len(text.splitlines()) > MOST_LINES)
    problems += _words("The answer in a minute", found["The answer in a minute"], MINUTE)
    five = [line for line in found["Five numbers"].splitlines() if line.startswith("- ")]
    if len(five) != 5 or not all(_TAG.search(line) for line in five):
        problems.append(f"five numbers with their origins are to be remembered, there are {len(five)}")
    for step in STEPS:
        problems += [f"{step}: {problem}" for problem in _step(found[step])]
    problems += _decisions([row for step in STEPS for row in rows(blocks(found[step]).get("Decide", ""), DECIDE)])
    decided = "\n".join(blocks(found[step]).get("Decide", "") for step in STEPS)
    problems += [
        f"the experiment {name} is cited by no decision"
        for name in known.experiments[case]
        if f"`{name}`" not in decided
    ]
    outside = len(re.findall(r"`(?:real|published)`", "".join(found.values())))
    return problems + [f"{outside} numbers real or published, at least {FEWEST_OUTSIDE}"] * (outside < FEWEST_OUTSIDE)


def _step(section: str) -> list[str]:
    parts = blocks(section)
    if tuple(parts) != BLOCKS or len(_BLOCK.findall(section)) != len(BLOCKS):
        return [f"blocks {_BLOCK.findall(section)}, expected {list(BLOCKS)}"]
    problems = _words("Say", parts["Say"], SAY)
    if re.search(r"^\s*([-*]|\d+\.) ", parts["Say"], re.MULTILINE):
        problems.append("Say is spoken, and holds a list")
    if not re.search(r"^ {4}\S|^```|^\|", parts["Draw"], re.MULTILINE):
        problems.append("Draw has no picture and no table")
    broken = list(rows(parts["Breaks"], BREAKS))
    if not broken or not all(len(row) == 3 and all(row) for row in broken):
        problems.append(f"Breaks has no full table of {' | '.join(BREAKS)}")
    asked = re.findall(r"^- \*(\w+)[^*]*\* (.+)", parts["They will ask"], re.MULTILINE)
    if not 2 <= len(asked) <= 5 or not {level for level, _ in asked} <= set(LEVELS):
        problems.append(f"{len(asked)} questions with a level, 2 to 5 expected, each - *mid* and so on")
    if len(_COMMAND.findall(parts["Try"])) != 1 or "redict" not in parts["Try"] or "minute" not in parts["Try"]:
        problems.append("Try wants one command, its minutes, and what to predict first")
    return problems


def _decisions(found: list[tuple[str, ...]]) -> list[str]:
    problems = [f"{len(found)} decisions, at least {FEWEST_DECISIONS}"] * (len(found) < FEWEST_DECISIONS)
    for row in found:
        if len(row) != len(DECIDE) or not all(row):
            problems.append(f"a decision with an empty cell: {row}")
        elif not (_TAG.search(row[2]) and re.search(r"\d", row[2])):
            problems.append(f"no number with its origin stands for {row[0]!r}")
    return problems


def _words(name: str, text: str, limits: tuple[int, int]) -> list[str]:
    """Origins are not spoken."""
    count = len(re.findall(r"\S*\w\S*", _TAG.sub("", text)))
    return [] if limits[0] <= count <= limits[1] else [f"{name} has {count} words, {limits[0]} to {limits[1]} expected"]


# --------------------------------------------------------------------------------------------------------------- any page


def links(page: Path) -> list[str]:
    """Links to files and headings that are not there. Links to the web are not followed."""
    problems = []
    for found in _LINK.finditer(page.read_text()):
        target, _, anchor = (found[1] or found[2]).partition("#")
        if re.match(r"https?:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() and _taken_out(file):
            continue
        if not file.exists():
            problems.append(f"{page.name}: there is no {target}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            problems.append(f"{page.name}: {file.name} has no heading #{anchor}")
    return problems


def _taken_out(file: Path) -> bool:
    """Whether a link leads into a case that is not here: a case can be deleted, and pages about the others stay as they are."""
    return (
        file.is_relative_to(ROOT) and (case := file.relative_to(ROOT).parts[0]) in CASES and not (ROOT / case).is_dir()
    )


def anchors(page: Path) -> set[str]:
    """The anchors GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"<!--.*?-->", "", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def commands(text: str, known: Known) -> list[str]:
    """Commands in code spans that name a command, case, experiment or drill there is none of."""
    return [f"`mlsd {line}`: {problem}" for line in _COMMAND.findall(text) for problem in _command(line.split(), known)]


def _command(words: list[str], known: Known) -> list[str]:
    names = {"experiment": known.experiments, "drill": known.drills}.get(words[0])
    if words[0] not in COMMANDS:
        return ["no such command"]
    unknown = [f"no option {word}" for word in words if word.startswith("-") and word not in _options()[words[0]]]
    if unknown or names is None or len(words) < 2:
        return unknown
    if words[1] not in names:
        return [f"no case {words[1]}"]
    return (
        [f"no {words[0]} {words[2]}"] if words[2:3] and words[2][0] != "-" and words[2] not in names[words[1]] else []
    )


@cache
def _options() -> Mapping[str, Collection[str]]:
    """Command -> its options."""
    found: Any = get_command(build())
    return {name: {opt for param in one.params for opt in param.opts} for name, one in found.commands.items()}


# -------------------------------------------------------------------------------------------- QUESTIONS.md, questions.yaml


def questions(page: Path, syllabus: Collection[str]) -> list[str]:
    """QUESTIONS.md: `### A question? (ADS-49) <!-- ADS-49 -->`, then at most eight lines with a level and a link."""
    named = re.findall(r"^### .*\(([A-Z]+-\d+)\)", page.read_text(), re.MULTILINE)
    entries, headings = page_entries(page), re.findall(r"^### .+", page.read_text(), re.MULTILINE)
    problems = [
        f"{name} is named by a heading, and no entry opens with <!-- {name} -->" for name in {*named} - {*entries}
    ]
    problems += [
        f"the heading {line!r} names no id" for line in headings if not re.search(r"\([A-Z]+-\d+\) <!--", line)
    ]
    for name, lines in entries.items():
        answer = "\n".join(lines[1:])
        if name not in syllabus:
            problems.append(f"{name} is no id of the syllabus")
        if name not in named or not lines[0].startswith("### "):
            problems.append(f"{name} opens with {lines[0]!r}, expected ### A question? ({name}) <!-- {name} -->")
        if not 1 <= len(lines) - 1 <= MOST_ANSWER_LINES:
            problems.append(f"{name} has {len(lines) - 1} lines, at most {MOST_ANSWER_LINES}")
        if not re.search(rf"\*({'|'.join(LEVELS)})\*", answer):
            problems.append(f"{name} has no level")
        if not re.search(r"\]\([^)]+\)", answer):
            problems.append(f"{name} has no link")
    return problems


def practice(path: Path, known: Known, root: Path = ROOT) -> list[str]:
    """questions.yaml: enough of each kind, nothing typed that a command could write, and every reference leads somewhere."""
    try:
        found = load(path)
    except InputError as error:
        return [str(error)]
    problems = [f"{len(found)} questions, at least {FEWEST_QUESTIONS}"] * (len(found) < FEWEST_QUESTIONS)
    for kind in KINDS:
        count = sum(question.kind == kind for question in found)
        if count != 1 if kind == "flawed" else count < FEWEST_OF_A_KIND:
            problems.append(f"{count} of kind {kind}, expected {'one' if kind == 'flawed' else FEWEST_OF_A_KIND}")
    return problems + [f"{question.id}: {line}" for question in found for line in _entry(question, path, known, root)]


def _entry(question: Question, path: Path, known: Known, root: Path) -> list[str]:
    answers = [question.answer, question.because, question.flips, *(mistake.why for mistake in question.mistakes)]
    problems = [
        f"a typed number {number} in an answer" for _, number in bare_numbers("\n".join(answers), read_facts(root))
    ]
    problems += commands(f"`{question.check}`" if question.check else "", known)
    page, _, anchor = question.see.partition("#")
    if not (path.parent / page).is_file() or (anchor and anchor not in anchors(path.parent / page)):
        problems.append(f"see {question.see!r} leads nowhere")
    for claim in question.proof:
        try:
            ledger.lookup(claim, root)
        except InputError as error:
            problems.append(str(error))
    return problems
