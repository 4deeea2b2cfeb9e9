"""Texts as numbers for a word tower: the words of the gallery's texts, an end mark behind them. What no text of the gallery says is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.contract import Ints
from common.features.text import UNKNOWN, TokenTable, analyse, padded
from visual_search.model.encoders.towers import NUM_WORDS

FORGOTTEN = 0.3  # share of words left out while learning: people search with fewer than an owner writes


@dataclass(frozen=True)
class Words:
    table: TokenTable

    @classmethod
    def fit(cls, texts: Sequence[str], min_count: int) -> Words:
        """Words that min_count texts hold."""
        return cls(TokenTable.fit((sorted(set(analyse(text))) for text in texts), min_count))

    @property
    def end(self) -> int:
        """The id of the end mark, the last of the vocabulary."""
        return len(self.table)

    def known(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text the ids of the words that are known."""
        return [[word for word in self.table.ids(analyse(text)) if word != UNKNOWN][:NUM_WORDS] for text in texts]

    def common(self, known: Sequence[Sequence[int]], most: int) -> Ints:
        """The words that most of these texts hold, the commonest first."""
        words, counts = np.unique([word for words in known for word in set(words)], return_counts=True)
        found: Ints = words[np.argsort(-counts, kind="stable")][:most].astype(np.int64)
        return found

    def ids(self, known: Sequence[Sequence[int]]) -> Tensor:
        """[n, t], filled up with PAD."""
        longest = max(map(len, known), default=0)
        return torch.from_numpy(padded([[*words, self.end] for words in known], longest + 1))


def some(words: Sequence[int]) -> list[int]:
    """What is left when each word is forgotten by lot, one at least; draws from torch's global generator."""
    kept = [word for word, lot in zip(words, torch.rand(len(words)).tolist(), strict=True) if lot >= FORGOTTEN]
    return kept or list(words[:1])
