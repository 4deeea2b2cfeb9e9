"""Whether a text can be read at all."""

from __future__ import annotations

import unicodedata

FEWEST_HIDDEN, MOST_HIDDEN = 20, 0.5  # characters nobody sees: fewer are typing, a greater share of the text hides it
_TURNS = set(
    "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
)  # that letters run the other way, whatever script they are of
_UNSEEN = {"Cf", "Cc", "Co", "Cs", "Mn", "Me"}
_SPACES = "\t\n\r"


def is_hidden(text: str) -> bool:
    """Is most of it what no reader sees (zero-width and control characters, marks piled on letters), or is it turned around again and again? Such a
    text says something else to a machine than to a reader."""
    if text.isascii() and text.isprintable():
        return False
    unseen = sum(unicodedata.category(letter) in _UNSEEN and letter not in _SPACES for letter in text)
    turned = sum(letter in _TURNS for letter in text)
    return turned >= FEWEST_HIDDEN or (unseen >= FEWEST_HIDDEN and unseen > MOST_HIDDEN * len(text))
