"""A picture or a text as 64 bits that change little when it does: what is nearly the same is found by counting bits that differ.

In:     pixels, or the words of a text.
Out:    pictures, texts -> [n] uint64; apart -> how many bits differ; UNKNOWN for what has no print.
Choice: pHash for pictures: which of the lowest frequencies are strong, so that light and noise change little; SimHash for texts: the side on which
        the sum of its hashed pieces falls. Both are compared by one code, and a shelf of a million is read through in milliseconds.
Else:   a learned embedding and an index, for pictures that were redrawn; MinHash, where long texts share passages.
Breaks: a flipped or turned picture is another one; in a picture of little but noise, bits are chance (experiment `duplicates` counts both).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from common.contract import Ints
from harmful_content.schema import SIDE

Prints = NDArray[np.uint64]

BITS, LOW = 64, 8  # LOW x LOW frequencies
UNKNOWN = np.uint64(0)
GRAM = 4  # characters of a piece of text
FEWEST_WORDS = 3  # a text of less says too little to be known again
_GREY = np.array([0.299, 0.587, 0.114])  # of red, green, blue: luma, ITU-R BT.601
_PLACES = np.uint64(1) << np.arange(BITS, dtype=np.uint64)


def pictures(pixels: NDArray[np.uint8]) -> Prints:
    """[n, SIDE, SIDE, 3] -> [n]. A bit for each of the LOW x LOW lowest frequencies of the cosine transform: is it above their median? (Zauner 2010,
    Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.) The first is the mean light, and its bit is always set."""
    grey = pixels @ _GREY
    wave = np.cos(np.pi * np.arange(LOW)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE))
    strength = (wave @ grey @ wave.T).reshape(len(pixels), BITS)
    above = strength > np.median(strength[:, 1:], axis=1, keepdims=True)
    above[:, 0] = True
    return _packed(above)


def texts(said: Sequence[Sequence[str]]) -> Prints:
    """Words of each text -> [n]. Each piece of GRAM characters votes for or against each bit (Charikar 2002, Similarity Estimation Techniques from
    Rounding Algorithms, section 3). UNKNOWN below FEWEST_WORDS."""
    votes = np.array([_votes(words) for words in said]).reshape(-1, BITS)
    known = np.array([len(words) >= FEWEST_WORDS for words in said], dtype=bool)
    return np.where(known, _packed(votes > 0) | np.uint64(1), UNKNOWN)


def apart(one: Prints, others: Prints) -> Ints:
    """[n], [m] -> [n, m] bits that differ."""
    differ: Ints = np.bitwise_count(one[:, None] ^ others[None, :]).astype(np.int64)
    return differ


def _votes(words: Sequence[str]) -> NDArray[np.int64]:
    text = f" {' '.join(words)} "
    pieces = [text[at : at + GRAM] for at in range(max(1, len(text) - GRAM + 1))]
    found: NDArray[np.int64] = np.sum([_vote(piece) for piece in pieces], axis=0)
    return found


@lru_cache(maxsize=65_536)
def _vote(piece: str) -> NDArray[np.int64]:
    digest = np.frombuffer(blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest(), dtype=np.uint8)
    return 2 * np.unpackbits(digest).astype(np.int64) - 1


def _packed(bits: NDArray[np.bool_]) -> Prints:
    found: Prints = (bits * _PLACES).sum(axis=1, dtype=np.uint64)
    return found
