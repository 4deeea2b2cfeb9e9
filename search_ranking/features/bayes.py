"""Multinomial naive Bayes over bags of tokens: one table of log odds, a sum per text, and an answer only when it is sure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats
from common.data import columns
from common.errors import InputError

SMOOTHING = 0.1  # added to every count: a token a class never held makes it unlikely, not impossible
_PRIOR = "\n"  # the row of the prior in the file: no token holds a line's end


@dataclass(frozen=True, eq=False)
class NaiveBayes:
    """token [t], labels [c], log P(token | label) [t, c], log P(label) [c]."""

    token: NDArray[np.str_]
    labels: tuple[str, ...]
    likelihood: Floats
    prior: Floats

    @classmethod
    def fit(
        cls,
        rows: Sequence[Sequence[str]],
        labels: Sequence[str],
        weights: Floats,
        even: bool = False,
        min_weight: float = 0,
    ) -> NaiveBayes:
        """rows [n] of tokens; weights [n, c]: how much of each row is of each label. P(token | label) = (weight of the token under the label
        + SMOOTHING) / the sum over tokens (Manning et al. 2008, chapter 13). even: labels equally likely beforehand."""
        row = np.repeat(np.arange(len(rows)), [len(tokens) for tokens in rows])
        token, column = np.unique(np.array([t for tokens in rows for t in tokens], dtype=np.str_), return_inverse=True)
        counts = np.zeros((len(token), len(labels)))
        for label in range(len(labels)):
            counts[:, label] = np.bincount(column, weights=weights[row, label], minlength=len(token))
        kept = counts.sum(axis=1) > min_weight
        smooth = counts[kept] + SMOOTHING
        share = np.ones(len(labels)) if even else weights.sum(axis=0) + SMOOTHING
        return cls(token[kept], tuple(labels), np.log(smooth / smooth.sum(axis=0)), np.log(share / share.sum()))

    def posterior(self, tokens: Sequence[str]) -> Floats:
        """P(label | tokens) [c]; tokens nobody showed say nothing."""
        total = self.prior.copy()
        at = [self._place[token] for token in tokens if token in self._place]
        if at:
            total += self.likelihood[at].sum(axis=0)
        odds = np.exp(total - total.max(initial=-np.inf))
        shares: Floats = odds / odds.sum()
        return shares

    def label(self, tokens: Sequence[str], confidence: float) -> str:
        """The likeliest label, "" below `confidence` or when no token is known: the prior alone is no evidence."""
        if not self.labels or not any(token in self._place for token in tokens):
            return ""
        shares = self.posterior(tokens)
        best = int(shares.argmax())
        return self.labels[best] if shares[best] >= confidence else ""

    def save(self, path: Path) -> None:
        """One row a token and a last one for the prior; labels in the name of the columns, as JSON, which keeps any string apart."""
        table = np.concatenate([self.likelihood, self.prior[None]])
        named = {json.dumps([at, label]): table[:, at] for at, label in enumerate(self.labels)}
        columns.write(path, {"token": np.append(self.token, _PRIOR), **named})

    @classmethod
    def load(cls, path: Path) -> NaiveBayes:
        found = columns.read(path)
        token = found.pop("token", np.empty(0, np.str_))
        if not len(token) or token[-1] != _PRIOR:
            raise InputError(
                f"{path}: columns {sorted(found)[:5]}, no tokens that end in a prior. Fit the features again."
            )
        labels = tuple(str(json.loads(name)[1]) for name in found)
        table = np.array(list(found.values()), dtype=np.float64).reshape(len(labels), len(token)).T
        return cls(token[:-1].astype(np.str_), labels, np.ascontiguousarray(table[:-1]), table[-1].copy())

    @cached_property
    def _place(self) -> dict[str, int]:
        return {token: at for at, token in enumerate(self.token.tolist())}
