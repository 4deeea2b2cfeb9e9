"""Disguises are undone where they hide a known word, and nothing else changes."""

from __future__ import annotations

import string
import time

import numpy as np
import pytest

from common.features.text import words
from harmful_content.experiments.obfuscation import HARMLESS, WAYS
from harmful_content.features.spelling import Speller, visible
from harmful_content.world import KEYWORD_PARTS
from harmful_content.world.wording import DISGUISES, disguised

KNOWN = (
    "smash",
    "hate",
    "tarvo",
    "last",
    "sleep",
    "free",
    "coins",
    "unclean",
    "cool",
    "watches",
    "the",
    "a",
    "i",
)
MOST = 5_000


@pytest.fixture(scope="module")
def speller() -> Speller:
    return Speller(KNOWN)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sm45h", "smash"), ("h8", "hate"), ("7arv0", "tarvo"), ("s m a s h", "smash"), ("s.m.a.s.h", "smash"), ("l a s t s l e e p", "last sleep"),
        ("a s m a s h", "a smash"), ("frее соins", "free coins"), ("sm\u200bash", "smash"), ("co\u00adins", "coins"), ("smaaaash", "smash"), ("coooool", "cool"),
        ("$mash", "smash"), ("w@tches", "watches"), ("s m 4 s h", "smash"), ("unсlеаn", "unclean"), ("SMASH", "smash"), ("ｓｍａｓｈ", "smash"),
    ],
)  # fmt: skip
def test_a_disguised_word_is_read_as_the_word(speller: Speller, written: str, read: str) -> None:
    assert " ".join(speller.words(written, MOST)) == read


@pytest.mark.parametrize(
    "text",
    [*(text for texts in HARMLESS.values() for text in texts), "", " ", "$5", "wow!", "b4", "smmaassh", "1 2 3 4 5"],
)
def test_what_only_looks_disguised_stays_as_it_was(speller: Speller, text: str) -> None:
    assert speller.words(text, MOST) == words(text, MOST)


def test_every_way_of_the_experiment_is_undone_but_the_foil() -> None:
    speller = Speller(KEYWORD_PARTS)
    left = {name: sum(speller.words(way(word), MOST) != [word] for word in KEYWORD_PARTS) for name, way in WAYS.items()}
    assert left.pop("letters swapped") == len(KEYWORD_PARTS)
    assert max(left.values()) <= 1, left  # a word may be another's reading


def test_the_disguises_of_the_world_are_undone() -> None:
    speller = Speller(KEYWORD_PARTS)
    for way in range(len(DISGUISES)):
        read = [speller.words(disguised(word, way), MOST) == [word] for word in sorted(KEYWORD_PARTS)]
        assert np.mean(read) > 0.9, DISGUISES[way]


def test_a_word_wholly_of_another_script_is_no_disguise() -> None:
    assert visible("мама мыла раму") == "мама мыла раму" and visible("καλημέρα") == "καλημέρα"
    assert visible("smаsh") == "smash", "one letter among Latin ones is"
    assert visible("smшsh") == "smшsh", "a letter that looks like none is not"


def test_whatever_comes_gives_words_and_known_words_stay(speller: Speller) -> None:
    rng = np.random.default_rng(0)
    letters = [*string.printable, *"аеорсхαо\u200b\u202e\u0301$@é漢字", *KNOWN]
    for _ in range(500):
        found = speller.words("".join(rng.choice(letters, 40)), MOST)
        assert all(word and not any(letter.isspace() for letter in word) for word in found)
        said = [word for word in rng.choice(KNOWN, 8).tolist() if len(word) > 1]
        assert speller.words(" ".join(said), MOST) == said


def test_nothing_is_known_nothing_is_undone() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        text = "".join(rng.choice([*"abcs1403 .$"], 30))
        assert Speller(()).words(text, MOST) == words(text, MOST)


def test_work_is_bounded_however_the_text_is_made() -> None:
    """Ten times the text may cost at most some thirty times: no square, no explosion of readings."""

    def seconds(text: str) -> float:
        times = []
        for _ in range(3):
            fresh, began = Speller(KNOWN), time.process_time()
            fresh.words(text, 10**6)
            times.append(time.process_time() - began)
        return min(times)

    for piece in ("a ", "а1", "1a" * 20 + " ", "\u200b", "$a$", "a.b.", "aaaa"):
        assert seconds(piece * 5_000) < 30 * seconds(piece * 500) + 0.2, piece
