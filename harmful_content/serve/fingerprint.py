"""What makes two posts the same, and whether a text can be read at all."""

from __future__ import annotations

import unicodedata
from hashlib import blake2b

from common.features.text import words
from harmful_content.schema import MOST_CHARS, Images

FEWEST_WORDS = 3  # of a text without a picture: a shorter one is written by many, and means many things
FEWEST_HIDDEN, MOST_HIDDEN = 20, 0.5  # characters nobody sees: fewer are typing, a greater share of the text hides it
_TURNS = set(
    "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
)  # that letters run the other way, whatever script they are of
_UNSEEN = {"Cf", "Cc", "Co", "Cs", "Mn", "Me"}
_SPACES = "\t\n\r"


def fingerprint(text: str, images: Images) -> int:
    """Of the words in one spelling and of every pixel, below 2^52: two posts that share it are copies. What looks alike is not: an arrow turned
    around is another post. 0 where there is too little to tell posts apart."""
    said = words(text, MOST_CHARS)
    if not len(images) and len(said) < FEWEST_WORDS:
        return 0
    digest = blake2b(" ".join(said).encode("utf-8", "surrogatepass"), digest_size=8)
    if len(images):
        digest.update(images.pixels[-1].tobytes())
    return int.from_bytes(digest.digest(), "big") >> 12 or 1


def is_hidden(text: str) -> bool:
    """Is most of it what no reader sees (zero-width and control characters, marks piled on letters), or is it turned around again and again? Such a
    text says something else to a machine than to a reader."""
    if text.isascii() and text.isprintable():
        return False
    unseen = sum(unicodedata.category(letter) in _UNSEEN and letter not in _SPACES for letter in text)
    turned = sum(letter in _TURNS for letter in text)
    return turned >= FEWEST_HIDDEN or (unseen >= FEWEST_HIDDEN and unseen > MOST_HIDDEN * len(text))
