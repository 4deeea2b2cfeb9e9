"""What a recall and a deadline cost: the tuner's choice, beside a setting out of a book, and what a page loses to what is not found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Table
from common.errors import InputError
from common.training import seeding
from visual_search.config import Config
from visual_search.experiments import vectors as drawn
from visual_search.experiments.trained import Trained, mean, trained
from visual_search.experiments.vectors import Hard
from visual_search.model.index import tuner
from visual_search.model.index.served import Served
from visual_search.model.index.settings import IVF, Setting, make
from visual_search.model.index.tuner import K, Tried, cheapest
from visual_search.model.parts import Vectors

NUM = 60_000  # more than are scanned for nothing (tuner.FREE)
ASKED = ((0.95, 2.0), (0.99, 2.0), (0.95, 0.2), (0.8, 2.0))
BOOK, BOOK_MS = "out of a book (foil)", 2.0


def index_tuner(config: Config) -> Table:
    """What does it cost to find more, or sooner?

    A row is a recall (of the K nearest, on queries held out) and a deadline in ms (19 of 20 single queries, one thread); columns are the setting that the tuner
    takes over NUM vectors grown from the trained encoder's, its bytes a vector in memory, and its recall on queries it was not tuned on. `refused`:
    no setting reaches both. The foil is the rule found in books: as many lists as the root of the number of vectors, and eight of them read.
    `gain_lost`: what the page of a test request loses, in planted gain, when the case's own gallery is searched at that recall and not
    scanned. Decides config.recall."""
    hard, case = drawn.gallery(config, min(NUM, 40 * config.num_images)), trained(config)
    tune, judged = hard.queries[::2], hard.queries[1::2]
    seeding.limit(1)
    try:
        rows = [{**_row(hard, tune, judged, recall, ms), **_lost(case, recall)} for recall, ms in ASKED]
        return [*rows, _book(hard, judged)]
    finally:
        seeding.limit(seeding.num_threads())


def _row(hard: Hard, tune: Vectors, judged: Vectors, recall: float, ms: float) -> dict[str, object]:
    asked = {"recall": recall, "deadline_ms": ms}
    try:
        choice = cheapest(np.arange(len(hard.vectors)), hard.vectors, tune, recall, ms)
    except InputError:
        return asked | {"setting": "none", "refused": 1}
    return asked | _found(hard, choice.index, judged, choice.tried[-1]) | {"tried": len(choice.tried), "refused": 0}


def _found(hard: Hard, index: Served, judged: Vectors, tried: Tried) -> dict[str, object]:
    found = index.search(judged, K)[0]  # as it is served: of K that are found the first ten are shown
    return {
        "setting": str(tried.setting),
        "bytes": tried.nbytes / len(hard.vectors),
        "p95_ms": tried.ms,
        **drawn.recall(f"ann_recall@{K}", found, hard.truth(judged, K)),
        **drawn.recall("ann_recall@10", found[:, :10], hard.truth(judged, 10)),
    }


def _book(hard: Hard, judged: Vectors) -> dict[str, object]:
    setting = Setting(kind=IVF, lists=round(len(hard.vectors) ** 0.5), probes=8)
    index = Served(setting, np.arange(len(hard.vectors)), hard.vectors, make(setting, hard.vectors))
    tried = tuner.measured(index, judged, hard.truth(judged, K), 0.0)
    return {"recall": BOOK, "deadline_ms": BOOK_MS} | _found(hard, index, judged, tried) | {"tried": 1, "refused": 0}


def _lost(case: Trained, recall: float) -> dict[str, float | None]:
    """The same pages from the case's gallery behind lists that find `recall`, and behind a scan."""
    gallery = case.model.gallery
    (ids, vectors), queries = gallery.index.everything(), np.array(gallery.probes)
    setting = Setting(kind=IVF, lists=tuner.num_lists(len(ids)), probes=1)
    index = Served(setting, ids, vectors, make(setting, vectors))
    tuner.tuned(index, queries, tuner.exact_neighbours(vectors, queries, K), recall)
    listed = replace(case.model, gallery=replace(gallery, index=index))
    scan, found = (case.gains(case.reranked(case.test, case.retrieved(case.test, by))) for by in (case.model, listed))
    return mean("gain_lost", scan - found, case.test.user_id)


EXPERIMENTS: Mapping[str, Experiment] = {"index_tuner": index_tuner}
