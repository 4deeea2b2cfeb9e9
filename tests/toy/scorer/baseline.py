"""Everybody opens the same share of everything.

In:     the training rows.
Out:    a Scorer that answers the share of letters opened.
Choice: one number; it is also the last step of the fallback ladder.
Else:   a rate per letter, where letters are few and old.
Breaks: a share that moves: the monitor compares it with the live one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Floats
from tests.toy.scorer.config import Config
from tests.toy.scorer.features import Features
from tests.toy.scorer.schema import Dataset


def fit(dataset: Dataset, features: Features, config: Config) -> Baseline:
    return Baseline(float(dataset.train.label.mean()))


def load(folder: Path) -> Baseline:
    return Baseline(json.loads((folder / "baseline.json").read_text())["share"])


@dataclass(frozen=True)
class Baseline:
    share: float

    def score(self, inputs: Floats) -> Floats:
        return np.full(len(inputs), self.share)

    def save(self, folder: Path) -> None:
        (folder / "baseline.json").write_text(json.dumps({"share": self.share}))
