"""The gallery: the index under contract. It knows whose vectors it holds, forgets what it is told to, and notices when it finds less.

Vectors of two encoders do not compare, though they look alike: so every search, and every image that comes, says whose vectors it brings. A
gallery never changes: `add` and `remove` give another, which shares what stayed, so whoever answers from the old one goes on doing so
(common/serving/current.py swaps them). An index that is added to for long is no longer the one that was measured: `alerts` searches again what
it was measured with, and says when more than a point has gone.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.contract import Ints
from common.data.durable import write_bytes
from common.errors import InputError
from common.monitoring.alerts import DATA_DRIFT, Alert
from visual_search.model.index import served
from visual_search.model.index.served import AGAIN, Served, read_vectors, write_vectors
from visual_search.model.index.tuner import K, ann_recall, cheapest, exact_neighbours
from visual_search.model.parts import Vectors

POINT = 0.01  # of recall: what may be lost before somebody is told
PROBES = 500  # queries kept to measure with, and images that came last
FEW = 40  # queries
MOST_GONE = 0.3  # of the rows: a graph, and an array, still carry what was removed
QUERIES, ARRIVALS = "queries", "arrivals"


def build(
    fingerprint: str, ids: Ints, vectors: Vectors, queries: Vectors, recall: float, deadline_ms: float
) -> Gallery:
    """The cheapest index that finds `recall` of the neighbours of held-out queries [m, dim] within the deadline. Half of them tune it, the others
    are kept to watch it with. With fewer than FEW, images of the gallery stand in for them. InputError where no index does."""
    if len(queries) < FEW:
        queries = vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[: 2 * PROBES])]
    tune, probes = queries[::2][:PROBES], queries[1::2][:PROBES]
    return watched(fingerprint, cheapest(ids, vectors, tune, recall, deadline_ms).index, probes)


def watched(fingerprint: str, index: Served, probes: Vectors) -> Gallery:
    """An index as it was built: what it finds now is what it will be held to."""
    ids, vectors = index.everything()
    some = vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:PROBES])]
    built = {name: _recall(index, ids, vectors, asked) for name, asked in ((QUERIES, probes), (ARRIVALS, some))}
    return Gallery(fingerprint, index, probes, built)


def load(folder: Path, fingerprint: str) -> Gallery:
    """InputError for a gallery of another encoder than `fingerprint`'s, and for files that are torn or do not fit each other."""
    kept = json.loads((folder / "gallery.json").read_bytes())
    if kept["fingerprint"] != fingerprint:
        raise InputError(f"{folder}: {_mismatch(fingerprint, kept['fingerprint'])}")
    index, probes = served.load(folder), read_vectors(folder / "probes.npy")
    if probes.shape[1] != index.vectors.shape[1]:
        raise InputError(f"{folder}: probes of {probes.shape[1]} numbers, vectors of {index.vectors.shape[1]}. {AGAIN}")
    return Gallery(fingerprint, index, probes, kept["built"])


@dataclass(frozen=True, eq=False)
class Gallery:
    """`fingerprint`: of the encoder whose vectors these are. `probes` [n, dim]: queries that neither tuned the index nor are tested with; `built`: the recall
    of them, and of a sample of its own images, when it was built."""

    fingerprint: str
    index: Served
    probes: Vectors
    built: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.index)

    def search(self, fingerprint: str, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """queries [n, dim] of the encoder with this fingerprint -> ids and scores [n, k], best first; -1 and -inf where there are no more."""
        self._check(fingerprint)
        return self.index.search(queries, k)

    def add(self, fingerprint: str, ids: Ints, vectors: Vectors) -> Gallery:
        """ids [n], each once, and their vectors [n, dim]; one that is there is replaced."""
        self._check(fingerprint)
        other = copy.copy(self.index)
        other.add(ids, vectors)
        return replace(self, index=other)

    def remove(self, ids: Ints) -> Gallery:
        """Ids it does not hold are gone already."""
        other = copy.copy(self.index)
        other.remove(np.unique(ids[self.index.holds(ids)]))
        return replace(self, index=other)

    def recall(self) -> dict[str, float]:
        """ann_recall@K now, beside a scan of everything: of the kept queries, and of the images that came last, which old queries do not ask for."""
        ids, vectors = self.index.everything()
        return {
            QUERIES: _recall(self.index, ids, vectors, self.probes),
            ARRIVALS: _recall(self.index, ids, vectors, vectors[-PROBES:]),
        }

    @property
    def removed(self) -> float:
        """Share of the index's rows that are gone and still carried along."""
        return 1 - float(self.index.alive.mean()) if len(self.index.ids) else 0.0

    def alerts(self, now: Mapping[str, float] | None = None) -> list[Alert]:
        """More than a POINT lost since it was built, or too much carried along. `now`: what `recall` said, which takes a scan for every probe: to be asked
        now and then (serve/watched.py)."""
        now = self.recall() if now is None else now
        found = [_lost(name, was, now[name]) for name, was in self.built.items() if now[name] < was - POINT]
        return [*found, *([_carried(self.removed)] if self.removed > MOST_GONE else [])]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.index.save(folder)
        write_vectors(folder / "probes.npy", self.probes)
        kept = {"fingerprint": self.fingerprint, "built": dict(self.built)}
        write_bytes(folder / "gallery.json", json.dumps(kept).encode())

    def _check(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint:
            raise InputError(_mismatch(fingerprint, self.fingerprint))


def _mismatch(asked: str, held: str) -> str:
    return (
        f"the gallery holds vectors of encoder {held[:12]}, and these are of {asked[:12]}: they do not compare. "
        "Embed every image with the new encoder, build a gallery from that, and change both at once: publish an artifact of both."
    )


def _recall(index: Served, ids: Ints, vectors: Vectors, queries: Vectors) -> float:
    """ids [n], vectors [n, dim]: everything that can be found."""
    if not len(ids) or not len(queries):
        return 1.0
    truth = ids[exact_neighbours(vectors, queries, K)]
    return ann_recall(index.search(queries, truth.shape[1])[0], truth)


def _lost(name: str, was: float, now: float) -> Alert:
    return Alert(
        name=f"ann_recall@{K}.{name}",
        value=now,
        expected=f"at least {was - POINT:.3f}: {was:.3f} when it was built",
        means=DATA_DRIFT,
        action="The index was cut for other images than it holds now: build it anew (mlsd run), beside the one that answers.",
    )


def _carried(gone: float) -> Alert:
    return Alert(
        name="gallery_removed",
        value=gone,
        expected=f"at most {MOST_GONE:g} of the index",
        means=DATA_DRIFT,
        action="The index still carries what was removed, and each search walks past it: build it anew (mlsd run).",
    )
