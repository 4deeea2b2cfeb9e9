"""A picture or a text as 64 bits that change little when it does: what is nearly the same is found by counting bits that differ.

In:     pixels, or the words of a text.
Out:    pictures, texts -> [n] uint64; apart -> how many bits differ; UNKNOWN for what has no print. fingerprints -> of what is the same, not nearly.
Choice: pHash for pictures: which of the lowest frequencies are strong, so that light and noise change little; SimHash for texts: the side on which
        the sum of its hashed pieces falls. Both are compared by one code, and a shelf of a million is read through in milliseconds.
Else:   a learned embedding and an index, for pictures that were redrawn; MinHash, where long texts share passages.
Breaks: a flipped or turned picture is another one; in a picture of little but noise, bits are chance (experiment `duplicates` counts both).
"""

from __future__ import annotations

from collections.abc import Sequence
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
    Rounding Algorithms, section 3). UNKNOWN below FEWEST_WORDS. A crafted text of MOST_CHARS takes half a millisecond."""
    votes = np.array([_votes(words) for words in said]).reshape(-1, BITS)
    known = np.array([len(words) >= FEWEST_WORDS for words in said], dtype=bool)
    return np.where(known, _packed(votes > 0) | np.uint64(1), UNKNOWN)


def fingerprints(said: Sequence[Sequence[str]], pixels: Sequence[bytes]) -> Ints:
    """Words and pixels of each post -> [n], above 0: two posts that share it say the same under the same picture. What looks alike does not: an arrow
    turned around is another post, and of a long text one sentence more may be the objection to it, though the prints agree."""
    return np.array([_fingerprint(*post) for post in zip(said, pixels, strict=True)], dtype=np.int64)


def apart(one: Prints, others: Prints) -> NDArray[np.uint8]:
    """[n], [m] -> [n, m] bits that differ."""
    differ: NDArray[np.uint8] = np.bitwise_count(one[:, None] ^ others[None, :])
    return differ


def _fingerprint(words: Sequence[str], pixels: bytes) -> int:
    digest = blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=8)
    digest.update(pixels)
    return int.from_bytes(digest.digest(), "big") >> 12 or 1


def _votes(words: Sequence[str]) -> NDArray[np.int64]:
    letters = np.frombuffer(f" {' '.join(words)} ".ljust(GRAM).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    pieces = np.lib.stride_tricks.sliding_window_view(letters.astype(np.uint64), GRAM)
    hashed = np.zeros(len(pieces), dtype=np.uint64)
    for column in pieces.T:
        hashed = _mixed(hashed ^ column)
    said: NDArray[np.int64] = np.unpackbits(hashed.view(np.uint8).reshape(-1, BITS // 8), axis=1).sum(
        axis=0, dtype=np.int64
    )
    votes: NDArray[np.int64] = 2 * said - len(pieces)
    return votes


def _mixed(x: Prints) -> Prints:
    """Every bit of the result depends on every bit of x (the finaliser of splitmix64: Steele, Lea, Flood 2014, Fast Splittable Pseudorandom Number
    Generators). Overflow wraps, and is meant to."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _packed(bits: NDArray[np.bool_]) -> Prints:
    found: Prints = (bits * _PLACES).sum(axis=1, dtype=np.uint64)
    return found
