"""Disguised words back to the words they are read as: look-alike letters, digits for letters, spaced and repeated letters, what is not seen.

In:     any text, and the words that training knows.
Out:    words, in the spelling under which the vocabulary has them; what is no disguise of a known word stays as it was written.
Choice: a decoding counts only if it gives a known word: 2025, mp3 and a text in Cyrillic stay what they are, because they decode to nothing.
Else:   a character model that reads the disguises themselves, where labelled disguises are many; else it learns this week's.
Breaks: a disguised word that training never saw undisguised; a known word that a number happens to spell (experiment `obfuscation` counts both).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice, product

from common.features.text import words

# Letters that look like a Latin one in most typefaces, Greek and Cyrillic: a small part of Unicode's confusables.txt (Unicode Technical Standard 39,
# Security Mechanisms, section 4), and the four (к м п т) that people use though the file has other twins for them.
_CONFUSABLE = {
    "a": "аα", "b": "ь", "c": "сϲ", "d": "ԁ", "e": "е", "h": "һ", "i": "іι", "j": "ј", "k": "к", "l": "ӏ", "m": "м", "n": "п", "o": "оοσ", "p": "рρ",
    "q": "ԛ", "r": "г", "s": "ѕ", "t": "т", "u": "υ", "v": "ѵν", "w": "ԝ", "x": "хχ", "y": "уγ",
}  # fmt: skip
_TO_LATIN = str.maketrans({other: latin for latin, others in _CONFUSABLE.items() for other in others})
_OTHER_LETTERS = re.compile("[Ͱ-ϿЀ-ԯ]")  # Greek and Cyrillic
_DIGITS = {"0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g", "$": "s", "@": "a", "!": "i"}  # fmt: skip
_SOUNDS = {
    "8": "ate",
    "4": "for",
    "2": "to",
    "1": "one",
}  # h8, b4, 2day: a digit said aloud; they stand beside the letters it looks like
_TOKEN = re.compile(r"[\w$@!]+")
_RUN = re.compile(r"(?<!\S)(?:\w[ .*_\-]){2,}\w(?!\S)")  # l e t t e r s, one by one
_LONG = re.compile(r"(.)\1{2,}")
_MOST = 32  # readings of a word that are tried
_SHORTEST, _LONGEST_RUN = 4, 64  # of a word that a decoding may give; of a run of letters, in characters


def visible(text: str) -> str:
    """Without the characters that nobody sees (zero-width, direction marks, soft hyphens: Unicode category Cf), and with Latin letters for those
    that look like them, in words that mix scripts. A word wholly in Greek or Cyrillic letters is a word of that language, and stays."""
    if text.isascii():
        return text
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return re.sub(r"\w+", lambda found: _latin(found[0]), seen)


class Speller:
    """What training knows, and how to read what it does not. Words with digits are not among the known: they would be their own decoding."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = frozenset(word for word in known if word.isalpha())
        self.read = lru_cache(maxsize=16_384)(self._read)

    def words(self, text: str, max_chars: int) -> list[str]:
        """The words of at most max_chars characters, disguises undone. Work is linear in the text: a run, a word and its readings are bounded."""
        seen = visible(text[:max_chars])
        seen = _RUN.sub(lambda found: self._joined(found[0]), seen)
        seen = _TOKEN.sub(lambda found: self._signed(found[0]), seen)
        return [self.read(word) for word in words(seen, max_chars)]

    def _read(self, word: str) -> str:
        """The first reading that is known; else the word."""
        if word in self.known or len(word) < 2:
            return word
        return next(
            (reading for reading in _readings(word) if len(reading) >= _SHORTEST and reading in self.known), word
        )

    def _signed(self, token: str) -> str:
        """w@tches -> watches, before signs part words; $5 and wow! are no words, and stay."""
        if not any(sign in token for sign in "$@!"):
            return token
        reading = self.read(token[: 2 * _LONGEST_RUN].lower().rstrip("!"))
        return reading if reading in self.known else token

    def _joined(self, run: str) -> str:
        """s m a s h -> smash; l a s t s l e e p -> last sleep: into the fewest known words, one of them no short one; else as it was."""
        letters = re.sub(r"[ .*_\-]", "", run[:_LONGEST_RUN]).lower().translate(_TO_LATIN)
        parts = self._parts(letters)
        if not parts or max(map(len, parts)) < _SHORTEST - 1:
            return run
        return " ".join(parts) + run[_LONGEST_RUN:]

    def _parts(self, letters: str) -> tuple[str, ...]:
        """The fewest known words that make up these letters; () if none do."""
        best: list[tuple[str, ...] | None] = [()]
        for end in range(1, len(letters) + 1):
            ways = [
                (*before, reading)
                for begin in range(end)
                if (before := best[begin]) is not None and (reading := self.read(letters[begin:end])) in self.known
            ]
            best.append(min(ways, key=len, default=None))
        return best[-1] or ()


def _latin(word: str) -> str:
    """Only a word that has letters of both scripts, and in which nothing foreign is left, is taken for a disguise."""
    read = word.lower().translate(_TO_LATIN)
    is_mixed = re.search("[A-Za-z]", word) is not None and _OTHER_LETTERS.search(word) is not None
    return read if is_mixed and not _OTHER_LETTERS.search(read) else word


def _readings(word: str) -> Iterator[str]:
    """Letters for digits, if there are digits and letters; then look-alikes throughout; then long runs of a letter cut to two, to one."""
    plain = word.translate(_TO_LATIN)
    for base in dict.fromkeys((plain, _LONG.sub(r"\1\1", plain), _LONG.sub(r"\1", plain))):
        has_digit = any(letter in _DIGITS for letter in base)
        if has_digit and any(letter.isalpha() for letter in base):
            options = [
                (*_DIGITS.get(letter, letter), *([_SOUNDS[letter]] if letter in _SOUNDS else [])) for letter in base
            ]
            yield from ("".join(reading) for reading in islice(product(*options), _MOST))
        elif not has_digit:
            yield base
