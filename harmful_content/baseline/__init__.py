"""TF-IDF over words and pairs of words, and one logistic regression a question: text alone, and strong on it.

In:     the training rows: word numbers, labels; where config.letters says so, strings of letters beside them.
Out:    a Scorer [n, num_policies], and which words spoke for a policy.
Choice: one line a question over the same counts: trained in a second, and every weight has a word. It is the first fallback.
Else:   a list of keywords, in the first week; naive Bayes, where labels come one by one.
Breaks: what lies in the picture or between picture and text is not there for it; a negated sentence holds the words it negates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack

from common.contract import Floats, Ints
from common.errors import InputError
from common.features.encoders import hash_bucket
from common.features.text import PAD
from harmful_content.baseline import letters, thresholds
from harmful_content.baseline.questions import Questions
from harmful_content.config import Config
from harmful_content.features import Features, Inputs
from harmful_content.schema import Dataset

PAIRS = 2**14  # buckets for pairs of neighbouring words
MANY = 2_000  # positives from which a column's log-count ratio says more than noise
HELD = 0.3  # inverse penalty of a line over columns scaled by that ratio, in shares of the others'
FILE = "baseline.safetensors"
Texts = NDArray[np.str_]


def fit(dataset: Dataset, features: Features, config: Config) -> Baseline:
    inputs = features.inputs(dataset.train, dataset.history)
    questions = Questions.of(dataset.catalog.policy.tolist())
    answer, asked = questions.targets(*dataset.train.targets(config.hand_weight))
    line = lines(inputs.tokens, answer, asked, len(features.words), config, inputs.text, questions)
    if not config.task:
        return line
    valid = features.inputs(dataset.valid, dataset.history)
    known = questions.targets(*dataset.valid.targets(config.hand_weight))
    return replace(line, added=thresholds.fit(line.logits(valid.tokens, valid.text), *known, questions))


def lines(
    tokens: Ints,
    answer: Floats,
    asked: Floats,
    num_words: int,
    config: Config,
    text: Texts | None = None,
    questions: Questions | None = None,
) -> Baseline:
    """tokens [n, num_tokens], text [n] (None: words alone); questions (None: each of yes and no); answer and how much it counts [n, num_outputs]. Where classes are judged by macro F1
    rare answers count as much as common ones; many of them are learnt from columns scaled by their log-count ratio (Wang and Manning 2012)."""
    longest = 0 if text is None else config.letters
    counts = _counts(tokens, num_words)
    if text is not None and longest:
        counts = csr_matrix(hstack([counts, letters.counts(text.tolist(), longest)]))
    num_with = np.diff(counts.tocsc().indptr)
    idf: Floats = np.log((1 + len(tokens)) / (1 + num_with)) + 1  # as scikit-learn smooths it
    design = _weighted(counts, idf, num_words + PAIRS)
    found = [_line(design, *column, config) for column in zip(answer.T, asked.T, strict=True)]
    return Baseline(
        num_words=num_words, idf=idf, weights=np.stack([line[0] for line in found]),
        intercept=np.array([line[1] for line in found]), questions=questions or Questions((-1,) * len(found)),
        added=np.zeros(len(found)), letters=longest,
    )  # fmt: skip


def load(folder: Path) -> Baseline:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    try:
        saved = load_file(path)
        return Baseline(
            num_words=int(saved["num_words"][0]), idf=saved["idf"], weights=saved["weights"], intercept=saved["intercept"],
            questions=Questions(tuple(saved["group"].tolist())), added=saved["added"], letters=int(saved["letters"][0]),
        )  # fmt: skip
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: not a whole baseline ({str(error)[:120]}). Publish it again.") from error


@dataclass(frozen=True, eq=False, kw_only=True)
class Baseline:
    num_words: int
    idf: Floats  # [num_columns]: words, pairs, and strings of letters where there are any
    weights: Floats  # [num_outputs, num_columns]
    intercept: Floats  # [num_outputs]
    questions: Questions
    added: Floats  # [num_outputs], see thresholds.py
    letters: int

    def score(self, inputs: Inputs) -> Floats:
        """[n, num_policies] probabilities."""
        return self.questions.probabilities(self.logits(inputs.tokens, inputs.text) + self.added)

    def logits(self, tokens: Ints, text: Texts | None = None) -> Floats:
        """[n, num_tokens] and [n] -> [n, num_outputs]. Each class of a task has a line of its own against the others."""
        counts = _counts(tokens, self.num_words)
        if self.letters:
            assert text is not None, "these lines read letters"
            counts = csr_matrix(hstack([counts, letters.counts(text.tolist(), self.letters)]))
        found: Floats = _weighted(counts, self.idf, self.num_words + PAIRS) @ self.weights.T + self.intercept
        first = self.questions.num_yes
        found[:, first:] = -np.logaddexp(0, -found[:, first:])
        return found

    def evidence(self, tokens: Ints, policy: int, most: int = 3) -> Ints:
        """The word numbers of one text [num_tokens] that speak for the policy, the loudest first."""
        there = np.unique(tokens[tokens != PAD])
        worth = self.weights[self.questions.output(policy), there] * self.idf[there]
        order = np.argsort(-worth, kind="stable")[:most]
        loudest: Ints = there[order[worth[order] > 0]]
        return loudest

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {name: getattr(self, name) for name in ("idf", "weights", "intercept", "added")}
        numbers = {"num_words": [self.num_words], "letters": [self.letters], "group": self.questions.group}
        save_file(arrays | {name: np.array(value) for name, value in numbers.items()}, folder / FILE)


def _counts(tokens: Ints, num_words: int) -> csr_matrix:
    """[n, num_words + PAIRS] how often each word and each pair of neighbours stands in the text."""
    there = tokens != PAD
    both = there[:, :-1] & there[:, 1:]
    pairs = num_words + hash_bucket(tokens[:, :-1] << 24 | tokens[:, 1:], PAIRS)
    rows = np.concatenate([np.nonzero(there)[0], np.nonzero(both)[0]])
    columns = np.concatenate([tokens[there], pairs[both]])
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(tokens), num_words + PAIRS))


def _weighted(counts: csr_matrix, idf: Floats, num_words: int) -> csr_matrix:
    """Each row times idf; its words and its letters, which begin behind num_words, at length 1 each; a text without a word stays 0."""
    weighted = csr_matrix(counts.multiply(idf))
    parts = [weighted[:, :num_words], weighted[:, num_words:]] if weighted.shape[1] > num_words else [weighted]
    return csr_matrix(hstack([_unit(part) for part in parts])) if len(parts) > 1 else _unit(weighted)


def _unit(weighted: csr_matrix) -> csr_matrix:
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return csr_matrix(weighted.multiply(1 / np.maximum(length, 1e-12)[:, None]))


def _line(design: csr_matrix, label: Floats, weight: Floats, config: Config) -> tuple[Floats, float]:
    """-> weights, intercept. A question that no known label answers with yes gets the line that never says so."""
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(weight)
    positives = int(label[known].sum())
    if not 0 < positives < len(known):
        share = (positives + 0.5) / (len(known) + 1)
        return np.zeros(design.shape[1]), float(np.log(share / (1 - share)))
    rows, answer, scale = design[known], label[known], np.ones(design.shape[1])
    if config.task and positives >= MANY:
        scale = _log_count_ratio(rows, answer)
    line = LogisticRegression(
        C=config.inverse_penalty * (1.0 if (scale == 1).all() else HELD), class_weight="balanced" if config.task else None,
        solver="liblinear", dual=True, tol=1e-2, max_iter=1_000, random_state=0,
    )  # fmt: skip
    line.fit(rows @ diags(scale), answer, sample_weight=weight[known])
    return line.coef_[0] * scale, float(line.intercept_[0])


def _log_count_ratio(rows: csr_matrix, answer: Floats) -> Floats:
    """[num_columns] how far the share of a column among yes is from its share among no."""
    held = rows > 0
    yes, no = (np.asarray(held[answer == said].sum(axis=0)).ravel() + 1.0 for said in (1, 0))
    ratios: Floats = np.abs(np.log(yes / yes.sum()) - np.log(no / no.sum()))
    return ratios
