"""Many posts at once: those of like length share a call, in the number format the processor is quickest in."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from common.contract import Floats, Ints
from common.features.text import PAD
from common.training.formats import autocast
from harmful_content.features import Inputs

BUCKETS = (8, 16)  # words; what is longer shares the last one
WORTH = 32  # posts; splitting fewer saves less padding than another call costs


class Scores(Protocol):
    def score(self, inputs: Inputs) -> Floats: ...


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
    """Places of the rows [n, num_tokens] of each length there is; all in one where they are few."""
    if len(tokens) < WORTH:
        return [np.arange(len(tokens))]
    bucket = np.searchsorted(BUCKETS, (tokens != PAD).sum(axis=1))
    return [np.flatnonzero(bucket == one) for one in np.unique(bucket)]


def take(inputs: Inputs, rows: Ints) -> Inputs:
    """These rows; the pool of pictures is shared."""
    part = {name: getattr(inputs, name)[rows] for name in ("tokens", "image", "numbers", "codes")}
    return replace(inputs, **part)
