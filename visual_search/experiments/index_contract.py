"""What the index promises while images come and go, and the alarm that says when it no longer holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Experiment, Ints, Table
from common.training import seeding
from visual_search.config import Config
from visual_search.experiments import vectors as drawn
from visual_search.experiments.trained import mean
from visual_search.model import gallery as stage
from visual_search.model.gallery import Gallery
from visual_search.model.index.served import Served
from visual_search.model.index.settings import FLAT, HNSW, IVF, IVF_PQ, Setting, make
from visual_search.model.index.tuner import K, each_recall, exact_neighbours, num_lists, tuned
from visual_search.model.parts import Vectors

NUM, COME, GO, ASKED = 20_000, 10_000, 5_000, 10_000
AT_ONCE = 100
RECALL = 0.95
OF = "the lab's"  # a fingerprint: one encoder's vectors, all of them


@dataclass(frozen=True)
class Change:
    """vectors [NUM, dim] there are, [COME, dim] that come; ids that go, of both; queries that tune and are kept, and others that judge."""

    there: Vectors
    come: Vectors
    go: Ints
    kept: Vectors
    judged: Vectors


def index_contract(config: Config) -> Table:
    """After COME images came and GO went: is any that is gone still found, and how much less is found than when the index was built?

    A row is an index over NUM vectors grown from the trained encoder's, tuned to RECALL of K neighbours and then left as it is. `deleted_found`: of ASKED
    queries, those that met an image that is gone. `recall_lost`: as built, less now, of queries that neither tuned nor watch it, with its interval.
    `alarm`: what Gallery.alerts says, from the queries it keeps and the images that came last. The control is an index whose centres were learnt from
    others than come: those turned into directions in which the first had no spread; there the alarm must rise. Decides that the index is rebuilt when the alarm
    says so, and not every night."""
    usual, stale = changes(config)
    dim = usual.there.shape[1]
    lists = num_lists(NUM)
    cut = Setting(kind=IVF, lists=lists, probes=1)
    settings = {
        "exact": (Setting(kind=FLAT), usual),
        "HNSW": (Setting(kind=HNSW, links=8, ef=K), usual),
        "IVF": (cut, usual),
        "IVF-PQ": (Setting(kind=IVF_PQ, lists=lists, probes=1, code=dim // 4, rerank=4), usual),
        "IVF, stale centres (control)": (cut, stale),
    }
    seeding.limit(1)
    try:
        return [_row(name, setting, change) for name, (setting, change) in settings.items()]
    finally:
        seeding.limit(seeding.num_threads())


def changes(config: Config) -> tuple[Change, Change]:
    """The same images there; those that come are of the same kind, or of another."""
    hard, rng = drawn.gallery(config, NUM + COME), np.random.default_rng(0)
    order = rng.permutation(NUM + COME)
    there, come = hard.vectors[order[:NUM]], hard.vectors[order[NUM:]]
    turn = np.linalg.qr(rng.standard_normal((there.shape[1], there.shape[1])))[0].astype(np.float32)
    go = rng.permutation(NUM + COME)[:GO]
    kept, judged = _near(there, 600, rng), _near(hard.vectors, ASKED, rng)
    mixed = rng.permutation(np.concatenate([judged[::2], judged[1::2] @ turn]))
    return Change(there, come, go, kept, judged), Change(there, come @ turn, go, kept, mixed)


def _near(vectors: Vectors, num: int, rng: np.random.Generator) -> Vectors:
    """Queries beside images, as photos of the same things are."""
    found = vectors[rng.integers(0, len(vectors), num)]
    found = found + 0.1 / found.shape[1] ** 0.5 * rng.standard_normal(found.shape)
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _row(name: str, setting: Setting, change: Change) -> dict[str, object]:
    gallery = _built(setting, change)
    before = _recall(gallery, change.judged[-1_000:])
    gallery = lived(gallery, change)
    after, alerts = _recall(gallery, change.judged[-1_000:]), gallery.alerts()
    found = gallery.search(OF, change.judged, K)[0]
    return {
        "index": name, "setting": str(gallery.index.setting), "recall_built": float(before.mean()), "recall_now": float(after.mean()),
        **mean("recall_lost", (before - after).astype(np.float64), np.arange(len(before))),
        "deleted_found": int(np.isin(found, change.go).any(axis=1).sum()), "queries": len(found),
        "adds": len(change.come), "deletes": len(change.go), "alarm": len(alerts), "images": len(gallery),
    }  # fmt: skip


def _built(setting: Setting, change: Change) -> Gallery:
    ids = np.arange(len(change.there))
    index = Served(setting, ids, change.there, make(setting, change.there))
    tune, probes = change.kept[::2], change.kept[1::2]
    tuned(index, tune, exact_neighbours(change.there, tune, K), RECALL)
    return stage.watched(OF, index, probes)


def lived(gallery: Gallery, change: Change) -> Gallery:
    """All that come and go, AT_ONCE at a time."""
    first, num = len(change.there), len(change.come)
    for at in range(0, num, AT_ONCE):
        part = slice(at, at + AT_ONCE)
        gallery = gallery.add(OF, first + np.arange(num)[part], change.come[part])
        gallery = gallery.remove(change.go[at * len(change.go) // num : (at + AT_ONCE) * len(change.go) // num])
    return gallery.remove(change.go)  # some were to go before they came


def _recall(gallery: Gallery, queries: Vectors) -> Vectors:
    ids, vectors = gallery.index.everything()
    return each_recall(gallery.search(OF, queries, K)[0], ids[exact_neighbours(vectors, queries, K)])


EXPERIMENTS: Mapping[str, Experiment] = {"index_contract": index_contract}
