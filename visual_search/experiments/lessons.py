"""What the ranker reads of images for requests: of those shown in training, to be taught anew, and of candidates, to be put in order anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Floats, Ints, Ranking
from visual_search.experiments.trained import Trained
from visual_search.model import Asked
from visual_search.schema import Requests, Rows, Texts


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Images for requests, [n]: `row`, whose request; `values` [n, len(READ)], as the ranker reads them. `asked` and `text` are of the requests."""

    row: Ints
    image_id: Ints
    asked: Asked
    text: Texts
    values: Floats

    @staticmethod
    def of(lab: Trained, requests: Rows | Requests, row: Ints, image_id: Ints) -> Shown:
        seen = lab.features.seen(requests)
        asked = lab.model.asked(seen, requests.text)
        text, said = np.unique(requests.text, return_inverse=True)
        dense = lab.features.dense(
            seen.histogram, seen.which[row], text, said[row], image_id, requests.moment[row], lab.dataset.history
        )
        values = lab.model.values(asked, row, image_id, dense)
        return Shown(row=row, image_id=image_id, asked=asked, text=requests.text, values=values)

    @staticmethod
    def among(lab: Trained, candidates: Ranking) -> Shown:
        row, place = np.nonzero(candidates.ids >= 0)
        return Shown.of(lab, lab.test, row, candidates.ids[row, place])


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What was shown in training, where it stood, and whether it was clicked."""

    shown: Shown
    slot: Floats
    label: Floats

    @staticmethod
    def of(lab: Trained) -> Lessons:
        rows = lab.dataset.train
        rows = rows.take(np.isfinite(rows.label))
        shown = Shown.of(lab, rows, np.arange(len(rows)), rows.image_id)
        return Lessons(shown=shown, slot=rows.slot.astype(np.float64), label=rows.label)


def ordered(candidates: Ranking, scores: Floats) -> Ranking:
    """candidates [n, k]; scores of those that are no padding, in their order -> by score, ties as they stood."""
    found = np.full(candidates.ids.shape, -np.inf)
    found[candidates.ids >= 0] = scores
    return Ranking.best_first(candidates.ids, found)
