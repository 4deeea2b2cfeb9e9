"""Encoders: columns of rows to what a model takes. Fitted once, saved in the case's JSON, the same offline and online."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from common.errors import InputError

UNKNOWN = 0


@dataclass(frozen=True)
class Vocabulary:
    """Known categories, sorted. `encode` gives 1..n, 0 for what training did not show (or showed fewer than `min_count` times)."""

    known: NDArray[Any]  # int64 or str, sorted

    @classmethod
    def fit(cls, column: NDArray[Any], min_count: int = 1) -> Vocabulary:
        """column [n] of ids (int64) or str; -1 and "" are missing and never known."""
        values, counts = np.unique(column, return_counts=True)
        missing = values == "" if values.dtype.kind == "U" else values < 0
        return cls(values[(counts >= min_count) & ~missing])

    def __len__(self) -> int:
        """How many codes there are, the unknown one included: the size of an embedding table."""
        return len(self.known) + 1

    def encode(self, column: NDArray[Any]) -> Ints:
        """[...] -> int64 of the same shape."""
        if len(self.known) == 0:
            return np.zeros(column.shape, dtype=np.int64)
        if column.strides == (0,) and len(column) > 1:  # one value, said for every row
            return np.broadcast_to(self.encode(column[:1]), column.shape)
        at = np.minimum(np.searchsorted(self.known, column), len(self.known) - 1)
        return np.where(self.known[at] == column, at + 1, UNKNOWN)

    def as_json(self) -> dict[str, Any]:
        return {"type": "str" if self.known.dtype.kind == "U" else "int", "known": self.known.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Vocabulary:
        if saved.get("type") not in ("str", "int") or not isinstance(saved.get("known"), list):
            raise InputError(f"Not a saved vocabulary: {str(saved)[:80]}. Expected type str or int, and known, a list.")
        return cls(np.array(saved["known"], dtype=np.str_ if saved["type"] == "str" else np.int64))


@dataclass(frozen=True)
class Standardizer:
    """(x - mean) / sd by column, fitted without the NaNs; a NaN becomes 0, the mean. `missing` says where that happened."""

    mean: Floats
    sd: Floats

    @classmethod
    def fit(cls, numbers: Floats) -> Standardizer:
        """numbers [n, k]; a column without spread (or without a value) is only centred."""
        there = np.isfinite(numbers)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, numbers, 0.0).sum(axis=0) / count
        variance = (np.where(there, numbers - mean, 0.0) ** 2).sum(axis=0) / count
        sd = np.sqrt(variance)
        return cls(mean, np.where(sd > 1e-12 * np.maximum(np.abs(mean), 1.0), sd, 1.0))

    def scale(self, numbers: Floats, missing: bool = False) -> Floats:
        """[n, k] -> [n, k]; with `missing` [n, 2k], the second half 1 where the number was missing."""
        there = np.isfinite(numbers)
        scaled = np.where(there, (numbers - self.mean) / self.sd, 0.0)
        return np.concatenate([scaled, ~there], axis=1) if missing else scaled

    def as_json(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "sd": self.sd.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Standardizer:
        return cls(np.array(saved["mean"], dtype=np.float64), np.array(saved["sd"], dtype=np.float64))


@dataclass(frozen=True)
class TextVocabulary:
    """Known words of a text column; documents become rows of word codes."""

    words: Vocabulary

    @classmethod
    def fit(cls, texts: NDArray[np.str_], min_count: int = 2) -> TextVocabulary:
        found = [token for text in texts.tolist() for token in tokens(text)]
        return cls(Vocabulary.fit(np.array(found, dtype=np.str_), min_count))

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.words.known.tolist(), start=1)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: NDArray[np.str_], length: int) -> Ints:
        """[n] -> [n, length] codes of the first `length` known words, 0 pads."""
        out = np.zeros((len(texts), length), dtype=np.int64)
        for row, text in enumerate(texts.tolist()):
            codes = [self._codes[token] for token in tokens(text) if token in self._codes][:length]
            out[row, : len(codes)] = codes
        return out

    def as_json(self) -> dict[str, Any]:
        return self.words.as_json()

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> TextVocabulary:
        return cls(Vocabulary.from_json(saved))


def tokens(text: str) -> list[str]:
    """Words of a text: NFKC, lower case, runs of letters and digits."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())


def hash_bucket(ids: Ints, num_buckets: int, seed: int = 0) -> Ints:
    """ids [...] -> 0..num_buckets-1, the same on every machine (splitmix64, Steele et al. 2014); unlike Python's hash()."""
    with np.errstate(over="ignore"):
        mixed = ids.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed % np.uint64(num_buckets)).astype(np.int64)


def signed_log(numbers: Floats) -> Floats:
    """sign(x) log(1 + |x|): counts and money on a scale a linear model can use; NaN stays NaN."""
    return np.sign(numbers) * np.log1p(np.abs(numbers))
