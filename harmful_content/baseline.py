"""TF-IDF over words and pairs of words, and one logistic regression a policy: text alone, and strong on it.

In:     the training rows: word numbers, labels.
Out:    a Scorer [n, num_policies], and which words spoke for a policy.
Choice: one line a policy over the same counts: trained in a second, and every weight has a word. It is the first fallback.
Else:   a list of keywords, in the first week; naive Bayes, where labels come one by one.
Breaks: what lies in the picture or between picture and text is not there for it; a negated sentence holds the words it negates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from common.contract import Floats, Ints
from common.errors import InputError
from common.features.encoders import hash_bucket
from common.features.text import PAD
from harmful_content.config import Config
from harmful_content.features import Features, Inputs
from harmful_content.schema import Dataset

PAIRS = 2**14  # buckets for pairs of neighbouring words
FILE = "baseline.safetensors"


def fit(dataset: Dataset, features: Features, config: Config) -> Baseline:
    inputs = features.inputs(dataset.train, dataset.history)
    label, weight = dataset.train.targets(config.hand_weight)
    return lines(inputs.tokens, label, weight, len(features.words), config)


def lines(tokens: Ints, label: Floats, weight: Floats, num_words: int, config: Config) -> Baseline:
    """tokens [n, num_tokens]; label and weight [n, num_policies]."""
    counts = _counts(tokens, num_words)
    num_with = np.diff(counts.tocsc().indptr)
    idf: Floats = np.log((1 + len(tokens)) / (1 + num_with)) + 1  # as scikit-learn smooths it
    design = _weighted(counts, idf)
    found = [_line(design, *column, config) for column in zip(label.T, weight.T, strict=True)]
    return Baseline(num_words, idf, np.stack([line[0] for line in found]), np.array([line[1] for line in found]))


def load(folder: Path) -> Baseline:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    try:
        saved = load_file(path)
        return Baseline(int(saved["num_words"][0]), saved["idf"], saved["weights"], saved["intercept"])
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: not a whole baseline ({str(error)[:120]}). Publish it again.") from error


@dataclass(frozen=True, eq=False)
class Baseline:
    num_words: int
    idf: Floats  # [num_words + PAIRS]
    weights: Floats  # [num_policies, num_words + PAIRS]
    intercept: Floats  # [num_policies]

    def score(self, inputs: Inputs) -> Floats:
        """[n, num_policies] probabilities."""
        found: Floats = 1 / (1 + np.exp(-self.logits(inputs.tokens)))
        return found

    def logits(self, tokens: Ints) -> Floats:
        """[n, num_tokens] -> [n, num_policies]"""
        found: Floats = _weighted(_counts(tokens, self.num_words), self.idf) @ self.weights.T + self.intercept
        return found

    def evidence(self, tokens: Ints, policy: int, most: int = 3) -> Ints:
        """The word numbers of one text [num_tokens] that speak for the policy, the loudest first."""
        there = np.unique(tokens[tokens != PAD])
        worth = self.weights[policy, there] * self.idf[there]
        order = np.argsort(-worth, kind="stable")[:most]
        loudest: Ints = there[order[worth[order] > 0]]
        return loudest

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {"idf": self.idf, "weights": self.weights, "intercept": self.intercept}
        save_file(arrays | {"num_words": np.array([self.num_words])}, folder / FILE)


def _counts(tokens: Ints, num_words: int) -> csr_matrix:
    """[n, num_words + PAIRS] how often each word and each pair of neighbours stands in the text."""
    there = tokens != PAD
    both = there[:, :-1] & there[:, 1:]
    pairs = num_words + hash_bucket(tokens[:, :-1] << 24 | tokens[:, 1:], PAIRS)
    rows = np.concatenate([np.nonzero(there)[0], np.nonzero(both)[0]])
    columns = np.concatenate([tokens[there], pairs[both]])
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(tokens), num_words + PAIRS))


def _weighted(counts: csr_matrix, idf: Floats) -> csr_matrix:
    """Each row times idf, at length 1; a text without a word stays 0."""
    weighted = csr_matrix(counts.multiply(idf))
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return csr_matrix(weighted.multiply(1 / np.maximum(length, 1e-12)[:, None]))


def _line(design: csr_matrix, label: Floats, weight: Floats, config: Config) -> tuple[Floats, float]:
    """-> weights, intercept. A policy that no known label violates gets the line that never says so."""
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(weight)
    positives = int(label[known].sum())
    if not 0 < positives < len(known):
        share = (positives + 0.5) / (len(known) + 1)
        return np.zeros(design.shape[1]), float(np.log(share / (1 - share)))
    line = LogisticRegression(
        C=config.inverse_penalty, solver="liblinear", dual=True, tol=1e-2, max_iter=1_000, random_state=0
    )
    line.fit(design[known], label[known], sample_weight=weight[known])
    return line.coef_[0], float(line.intercept_[0])
