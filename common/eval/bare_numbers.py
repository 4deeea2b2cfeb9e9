"""Finds numbers in a page that no command wrote and no source backs.

A digit sequence in prose, a heading or a table is bare unless it is
- inside a claim or table marker, a code span, a code block (fenced, or indented by four spaces after an empty line), a link target, a comment;
- a fact of docs/facts.yaml, matched as a phrase: `150 ms` allows "150 ms", not "150";
- part of a name that starts with a letter (p99, ndcg@10, int8, ADS-49), a version (Python 3.11, 2.13.0), a date, a year in brackets;
- the number of a list item, of a step ("step 3", "## 6. Serve (8 minutes)"), or of one example ("user 42").
Numbers written as words pass: the rule is there to catch measurements, and nobody writes those as words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from common.errors import InputError

_ONE = "steps?|sections?|figures?|exercises?|questions?|points?|level|user|ad|video|post|query|image|port|seed"
ALLOWED = [
    re.compile(pattern, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"^(```|~~~).*?^\1",  # fenced code
        r"<!-- (claim|table) .*?<!-- /\1 -->",
        r"<!--.*?-->",
        r"(?<=\n\n)(?: {4}[^\n]*(?:\n|$)|\n(?= {4}))+",  # indented code
        r"(`+)[^`](?:(?!\n\n).)*?\1",  # code spans, which end with their paragraph
        r"\]\([^)\s]*\)|https?://[^\s)>]+",
        r"^#+ \d+\. |\(\d+( minutes)?\)$",  # the steps of a DESIGN page and their minutes
        r"^\s*\d+\. ",
        r"\b\d{4}-\d{2}-\d{2}\b",
        r"\((?:[^()\n]*[ ,])?(?:19|20)\d{2}\)",  # He et al. (2014)
        r"\bv?\d+\.\d+\.\d+\b|\b(?:Python|Apache|BY|HTTP)[- /]\d+(?:\.\d+)*",
        rf"\b(?:{_ONE}) \d+(?:(?: ?- ?|, | to | and )\d+)*\b",
        r"(?<![\w.])[a-z_@][\w@-]*(?:\.\w[\w@-]*)*",  # words, and names that carry digits
    )
]


def bare_numbers(text: str, facts: list[str]) -> list[tuple[int, str]]:
    """-> (line, number) of each bare number of a page, in order."""
    for pattern in ALLOWED[:-1]:
        text = pattern.sub(_blank, text)
    for fact in sorted(facts, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.,]){re.escape(fact)}(?!\w|[.,]\d)", _blank, text)
    text = ALLOWED[-1].sub(_blank, text)
    return [(text.count("\n", 0, found.start()) + 1, found[0]) for found in re.finditer(r"\d+(?:[.,]\d+)*", text)]


def read_facts(root: Path) -> list[str]:
    """The phrases of docs/facts.yaml: a list of {fact, source}. A fact without a source is refused."""
    import yaml

    path = root / "docs" / "facts.yaml"
    listed: list[dict[str, Any]] = (yaml.safe_load(path.read_text()) or []) if path.exists() else []
    for entry in listed:
        if set(entry) != {"fact", "source"} or not str(entry["source"]).strip():
            raise InputError(
                f"docs/facts.yaml: {entry} must have exactly a fact (the phrase) and a source that can be looked up."
            )
    return [str(entry["fact"]) for entry in listed]


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])
