"""What a reader practises on: questions.yaml of a case, read strictly, and the answers that a sum or a choice can mark.

A list of entries; each has `id`, `kind`, `level` (mid, senior, staff), `ask`, `see` (a link inside the case), and by its kind
- estimate: `sum`, which the calculator does (common/capacity.py), `unit`, `within`: the factor that still counts as right;
- decide: `options` (letter: text), `answer` (a letter), `because`, `flips`: when another letter would be right;
- diagnose: `answer`, and `check`: a command that shows it;
- change: `answer`: what follows from the change, step by step;
- flawed: `design`, and `mistakes`: eight of {says, why}, `says` being words of the design.
`proof` lists claims of the ledger (NAME[row].column) that the answer rests on; no number of an answer is typed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from common.capacity import calculate
from common.errors import InputError, did_you_mean

LEVELS = ("mid", "senior", "staff")
KINDS: Mapping[str, tuple[str, ...]] = {
    "estimate": ("sum", "unit", "within"),
    "decide": ("options", "answer", "because", "flips"),
    "diagnose": ("answer", "check"),
    "change": ("answer",),
    "flawed": ("design", "mistakes"),
}
NUM_MISTAKES = 8


@dataclass(frozen=True, kw_only=True)
class Mistake:
    says: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """`ask` is what is read out; which of the others are filled depends on `kind`."""

    id: str
    kind: str
    level: str
    ask: str
    see: str
    sum: str = ""
    unit: str = ""
    within: float = 0.0
    options: Mapping[str, str] | None = None
    answer: str = ""
    because: str = ""
    flips: str = ""
    check: str = ""
    design: str = ""
    mistakes: tuple[Mistake, ...] = ()
    proof: tuple[str, ...] = ()


def load(path: Path) -> list[Question]:
    """Raises InputError naming the entry, the field and what was expected."""
    import yaml

    listed = yaml.safe_load(path.read_text())
    if not isinstance(listed, list):
        raise InputError(f"{path} holds {type(listed).__name__}; expected a list of questions. See common/practice.py.")
    questions = [_question(entry, f"{path.name}, entry {place}") for place, entry in enumerate(listed, 1)]
    names = [question.id for question in questions]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path}: the ids {sorted(repeated)} stand there twice. Rename one of each.")
    return questions


def grade(question: Question, given: str) -> bool:
    """Whether an estimate lies within its factor of the sum, or a letter is the right one. InputError for kinds nobody but the reader can
    mark, and for an answer that is no number or no option."""
    if question.kind == "decide":
        if given not in (question.options or {}):
            raise InputError(f"{given!r} is no option of {question.id}. {did_you_mean(given, question.options or ())}")
        return given == question.answer
    if question.kind != "estimate":
        raise InputError(
            f"{question.id} is a {question.kind} question: compare with its answer. Marked are estimate and decide."
        )
    try:
        guess = float(given.replace(",", ""))
    except ValueError:
        raise InputError(
            f"{given!r} is no number. {question.id} asks for {question.unit}: 1e9, 0.02 or 1,200."
        ) from None
    true = calculate(question.sum)
    return guess * true > 0 and abs(math.log(guess / true)) <= math.log(question.within)


def _question(entry: Any, place: str) -> Question:
    known = {field.name for field in fields(Question)}
    if not isinstance(entry, dict) or entry.get("kind") not in KINDS:
        kind = entry.get("kind") if isinstance(entry, dict) else entry
        raise InputError(f"{place}: kind {kind!r}. {did_you_mean(str(kind), KINDS)}")
    kind = str(entry["kind"])
    wanted = {"id", "kind", "level", "ask", "see", *KINDS[kind]}
    if missing := sorted(name for name in wanted if entry.get(name) in (None, "", [], {})):
        raise InputError(f"{place}: a question of kind {kind} lacks {', '.join(missing)}.")
    if unknown := sorted(set(entry) - wanted - {"proof"}):
        raise InputError(f"{place}: a question of kind {kind} has no {unknown[0]!r}. {did_you_mean(unknown[0], known)}")
    mistakes = tuple(_mistake(found, place) for found in entry.get("mistakes", ()))
    question = Question(**{**entry, "mistakes": mistakes, "proof": tuple(entry.get("proof", ()))})
    if found := _problem(question):
        raise InputError(f"{place} ({question.id}): {found}")
    return question


def _mistake(found: Any, place: str) -> Mistake:
    if not isinstance(found, dict) or set(found) != {"says", "why"}:
        raise InputError(f"{place}: a mistake is {{says, why}}, this one is {found!r}.")
    return Mistake(**found)


def _problem(question: Question) -> str:
    """ "" or what is wrong with values that are all there."""
    if question.level not in LEVELS:
        return f"level {question.level!r}; expected one of {', '.join(LEVELS)}."
    if question.kind == "estimate" and (calculate(question.sum) <= 0 or question.within <= 1):
        return f"the sum {question.sum!r} must be above 0 and `within` a factor above 1, got {question.within}."
    if question.kind == "decide" and question.answer not in (question.options or {}):
        return f"answer {question.answer!r} is none of the options {', '.join(question.options or {})}."
    if question.kind == "flawed":
        absent = [mistake.says for mistake in question.mistakes if mistake.says not in question.design]
        if absent or len(question.mistakes) != NUM_MISTAKES:
            return f"{len(question.mistakes)} mistakes, expected {NUM_MISTAKES}, each in words of the design; not there: {absent}."
    return ""
