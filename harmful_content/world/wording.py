"""From words to texts: sentences filled in, dialect, three languages, disguises."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from common.contract import Ints
from harmful_content.schema import POLICIES
from harmful_content.world import lexicon as words

Draw = tuple[int, int, int, int]
"""Whole numbers that chance gave."""
LANGUAGES = ("en", "oru", "vel")
DISGUISES = ("", "digits", "spaces", "lookalikes")
_WORD, _BRACKETS = re.compile(r"[a-z]+"), re.compile(r"\[(.*?)\]")
_DIGITS = str.maketrans("aeiost", "4310$7")
_LOOKALIKES = str.maketrans("aeopcx", "аеорсх")  # Cyrillic letters that look the same
_RARE = (
    "bri",
    "cal",
    "dor",
    "eno",
    "fim",
    "gra",
    "hem",
    "isto",
    "jor",
    "lun",
    "mep",
    "nar",
    "osto",
    "pel",
    "quin",
    "sta",
)
_SYLLABLES = {
    "oru": ("ka", "lo", "mi", "ru", "te", "su", "na", "vo", "pi", "de", "ha", "jo", "ze", "bu", "fi", "ga"),
    "vel": (
        "ven",
        "dal",
        "sir",
        "tom",
        "gul",
        "nes",
        "bor",
        "kim",
        "lar",
        "pud",
        "fes",
        "hol",
        "ris",
        "jan",
        "wek",
        "zum",
    ),
}


def phrase(policy: int, is_new: bool, is_late: bool, is_test: bool, draw: Draw) -> str:
    """A sentence against a policy, its term in brackets until `finished`. The test has some terms and all frames of its own; of the new kind, the
    last days have some."""
    term, frame, group, place = draw
    terms: tuple[str, ...]
    frames: tuple[str, ...]
    if is_new:
        terms, frames = (common + own if is_late else common for common, own in (words.TREND_TERMS, words.TREND_FRAMES))
    else:
        terms, frames = _terms(policy, is_test), words.FRAMES[POLICIES[policy]][is_test]
    return fill(_pick(frames, frame), f"[{_pick(terms, term)}]", group, place)


def twin(said: str, is_test: bool, draw: int) -> str:
    return _pick(words.TWINS[is_test], draw).format(said=said)


def hedged(said: str, is_test: bool, draw: int) -> str:
    return f"{_pick(words.HEDGES[is_test], draw)} {said}"


def friendly(policy: int, is_test: bool, draw: Draw) -> str:
    return fill(_pick(words.FRIENDLY[is_test], draw[1]), _pick(_terms(policy, is_test), draw[0]), draw[2], draw[3])


def meme(policy: int, is_cold: bool, is_test: bool, draw: Draw) -> str:
    common, own = words.SCENES[POLICIES[policy]]
    scene = _pick((*common, *own) if is_test else common, draw[1])
    return fill(f"{_pick(words.GREETINGS[is_cold], draw[0])} {scene}", "", draw[2], draw[3])


def plain(topic: int, is_test: bool, draw: Draw) -> str:
    opening, closing = _pick(words.OPENINGS[is_test], draw[0]), _pick(words.CLOSINGS[is_test], draw[1])
    return fill(f"{opening} {words.THINGS[4 * topic + draw[2] % 4]} {closing}", "", 0, draw[3])


def language_names(language: Ints) -> NDArray[np.str_]:
    return np.array(LANGUAGES)[language]


def fill(frame: str, term: str, group: int, place: int) -> str:
    return frame.format(term=term, group=_pick(words.GROUPS, group), place=_pick(words.PLACES, place))


def in_dialect(text: str, draw: int) -> str:
    """Two of its words around the sentence."""
    return f"{_pick(words.DIALECT, draw)} {text} {_pick(words.DIALECT, draw // 4)}"


def with_rare(text: str, post_id: int, draw: int) -> str:
    """With a word that hardly another post has: people name things nobody has heard of."""
    drawn = blake2b(post_id.to_bytes(8, "big"), digest_size=4).digest()
    name = "".join(_RARE[byte % len(_RARE)] for byte in drawn)
    return f"{text} {name}" if draw % 2 else f"{name} {text}"


def misspelt(text: str, draw: int) -> str:
    """With two letters of one of its words in the wrong order, the first one never: swaps of these words spell nothing rude."""
    said = text.split()
    long = [at for at, word in enumerate(said) if _swaps(word)]
    if long:
        word, swaps = said[long[draw % len(long)]], _swaps(said[long[draw % len(long)]])
        swap = swaps[draw // 7 % len(swaps)]
        said[long[draw % len(long)]] = word[:swap] + word[swap + 1] + word[swap] + word[swap + 2 :]
    return " ".join(said)


def finished(text: str, language: int, disguise: int) -> str:
    """Translated word by word, little words included, so that two languages share no word; then the terms in brackets are disguised."""
    if LANGUAGES[language] != "en":
        text = _WORD.sub(lambda found: _word(found[0], language), text)
    return _BRACKETS.sub(lambda found: disguised(found[1], disguise), text)


def disguised(term: str, disguise: int) -> str:
    """h8 for hate, s p a c e s, letters of another script that look the same."""
    match DISGUISES[disguise]:
        case "digits":
            return term.translate(_DIGITS)
        case "spaces":
            return " ".join(term.replace(" ", ""))
        case "lookalikes":
            return term.translate(_LOOKALIKES)
    return term


def _swaps(word: str) -> tuple[int, ...]:
    """The places from which two neighbouring letters, the first left where it is, can be swapped so that it shows."""
    return tuple(at for at in range(1, len(word) - 1) if word[at] != word[at + 1]) if len(word) > 3 else ()


@lru_cache(maxsize=8_192)
def _word(word: str, language: int) -> str:
    syllables = _SYLLABLES[LANGUAGES[language]]
    digest = blake2b(f"{LANGUAGES[language]}/{word}".encode(), digest_size=8).digest()
    return "".join(syllables[byte % len(syllables)] for byte in digest[: 3 + len(word) // 6])


def _terms(policy: int, is_test: bool) -> tuple[str, ...]:
    common, own = words.TERMS[POLICIES[policy]]
    return (*common, *own) if is_test else common


def _pick(table: tuple[str, ...], draw: int) -> str:
    return table[draw % len(table)]
