"""Rows or requests to inputs as of a moment.

In:     rows or requests, and a store that answers as of their moments.
Out:    inputs [n, 10]: the last ten books the person read, newest first, -1 pads.
Choice: the books themselves; the model knows what goes with what.
Else:   counts by topic, where topics are known.
Breaks: the book of the row itself among them: the check that cuts the future off the log catches it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Ints
from common.features.views import Recent, View
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Dataset, Requests, Rows

USER = View("user", ("user_id",), (Recent("read", "book_id", 10),))
VIEWS = (USER,)


def fit(dataset: Dataset, config: Config) -> Features:
    return Features(int(dataset.catalog.book_id[-1]) + 1)


def load(folder: Path) -> Features:
    return Features(json.loads((folder / "features.json").read_text())["num_books"])


@dataclass(frozen=True)
class Features:
    num_books: int

    def inputs(self, rows: Rows | Requests, store: FeatureStore) -> Ints:
        recent = store.read(USER, rows.user_id, rows.moment).astype(np.int64)
        return np.where(recent < self.num_books, recent, -1)  # a book that came after training is no key of the model

    def save(self, folder: Path) -> None:
        (folder / "features.json").write_text(json.dumps({"num_books": self.num_books}))
