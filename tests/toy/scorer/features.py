"""Rows to inputs as of a moment.

In:     rows, and a store that answers as of their moments.
Out:    inputs [n, 4]: letters seen and open rate (log-odds) of the person, then of the letter.
Choice: smoothed rates since ever; they move with every event. Less their mean over the training rows, which is what `fit` learns: the
        model's ridge then pulls towards the average letter, not towards one that nobody has seen.
Else:   windows and decay, where tastes drift within the log.
Breaks: a rate read after the row's own opening: the check that cuts the future off the log catches it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Bools, FeatureStore, Floats
from common.features.views import Count, Rate, View
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Dataset, Rows

USER = View("user", ("user_id",), (Count("impression"), Rate("open", "impression", prior=0.4, strength=4)))
LETTER = View("letter", ("letter_id",), (Count("impression"), Rate("open", "impression", prior=0.4, strength=4)))
VIEWS = (USER, LETTER)


def fit(dataset: Dataset, config: Config) -> Features:
    raw = _raw(dataset.train, dataset.history)
    return Features(tuple(raw.mean(axis=0).tolist()))


def load(folder: Path) -> Features:
    return Features(tuple(json.loads((folder / "features.json").read_text())["mean"]))


@dataclass(frozen=True)
class Features:
    mean: tuple[float, ...]

    def inputs(self, rows: Rows, store: FeatureStore) -> Floats:
        return np.asarray(_raw(rows, store) - np.array(self.mean), dtype=np.float64)

    def is_unknown(self, inputs: Floats) -> Bools:
        """[n] was the person or the letter never seen? log(1 + 0) is 0, and the mean taken off and put back leaves exactly 0."""
        return np.asarray((inputs + np.array(self.mean))[:, [0, 2]].min(axis=1) == 0)

    def save(self, folder: Path) -> None:
        (folder / "features.json").write_text(json.dumps({"mean": self.mean}))


def _raw(rows: Rows, store: FeatureStore) -> Floats:
    both = [store.read(USER, rows.user_id, rows.moment), store.read(LETTER, rows.letter_id, rows.moment)]
    return np.hstack(
        [np.column_stack([np.log1p(seen), np.log(rate / (1 - rate))]) for seen, rate in map(np.transpose, both)]
    )
