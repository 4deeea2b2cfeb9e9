"""Many posts at once, by the best scorer that answers in time: those of like length share a call, in the number format the processor is quickest in."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from common.contract import Floats, Ints
from common.features.text import PAD
from common.serving.deadline import Deadline, Stages
from common.serving.fallback import ladder
from common.training.formats import autocast
from harmful_content.features import Features, Inputs

BUCKETS = (8, 16)  # words; what is longer shares the last one
CALL = 1_000  # words of padding that cost what one more call does (measured: benchmarks/moderation.py)


class Scores(Protocol):
    def score(self, inputs: Inputs) -> Floats: ...


def best_rung(
    stages: Stages, deadline: Deadline, model: Scores, lines: Scores, features: Features, inputs: Inputs
) -> tuple[Floats, Floats] | None:
    """-> scores, and as if nobody had reported anything [n, num_policies] each, by the best rung that answers in time; None where none does."""

    def whole() -> tuple[Floats, Floats]:
        scores, without = bucketed(model, inputs), features.unreported(inputs)
        reported = np.flatnonzero((without.numbers != inputs.numbers).any(axis=1))
        unreported = scores.copy()
        if len(reported):
            unreported[reported] = bucketed(model, take(without, reported))
        return scores, unreported

    rungs = {"model": whole, "baseline": lambda: (lines.score(inputs),) * 2}
    found: tuple[Floats, Floats] | None = ladder(stages, deadline, rungs, last=lambda: None)[1]
    return found


def bucketed(scorer: Scores, inputs: Inputs) -> Floats:
    """[n, num_policies]. The scorer is asked once for each length there is."""
    with autocast():
        groups = by_length(inputs.tokens)
        if len(groups) == 1:
            return scorer.score(inputs)
        scores = [scorer.score(take(inputs, rows)) for rows in groups]
    found = np.empty((len(inputs), scores[0].shape[1]))
    found[np.concatenate(groups)] = np.concatenate(scores)
    return found


def by_length(tokens: Ints) -> list[Ints]:
    """Places of the rows [n, num_tokens] of each length there is; all in one where that pads less than more calls would cost."""
    length = (tokens != PAD).sum(axis=1)
    bucket = np.searchsorted(BUCKETS, length)
    groups = [np.flatnonzero(bucket == one) for one in np.unique(bucket)]
    apart = sum(len(rows) * int(length[rows].max()) for rows in groups)
    saved = len(tokens) * int(length.max(initial=0)) - apart
    return groups if saved > CALL * (len(groups) - 1) else [np.arange(len(tokens))]


def take(inputs: Inputs, rows: Ints) -> Inputs:
    """These rows; the pool of pictures is shared."""
    part = {name: getattr(inputs, name)[rows] for name in ("text", "tokens", "image", "numbers", "codes")}
    return replace(inputs, **part)
