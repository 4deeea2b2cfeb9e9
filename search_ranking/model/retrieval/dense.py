"""The index over an encoder's vectors: exact below a size, inverted lists (faiss IVF) above; documents come and go while it is asked.

As in `search_ranking.baseline.lexical`: what was built, a mask of what is gone since, an overlay of what was put since (scanned, so exact),
a new state swapped in by the writer. Vectors mean something only beside those of the same encoder, so an index carries its encoder's fingerprint,
a question carries its own, and one of another encoder is refused: the products would be numbers like any others, and the answers random.
So an index is never exchanged alone. A new one comes with its encoder and the ranker that learnt beside it, as a version: the alias moves, the
server mounts it beside the one that answers (`mlsd serve --wait`), and what was put since training is put into it too.
Which index is right for millions of vectors is the business of visual_search.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Ints, Ranking
from common.data.durable import write_bytes
from common.errors import InputError
from search_ranking.features.among import Among, EachAmong

Vectors = NDArray[np.float32]

EXACT_BELOW = 100_000  # documents: up to here a scan takes some milliseconds and finds everything
PER_LIST, PROBES = (
    256,
    24,
)  # documents in a list on average; lists looked at
TOGETHER = 0.2  # share of the documents below which copying their vectors costs less than scanning all
SHARE, AT_LEAST = 0.05, 256  # built anew when more than this share of the documents, and so many, came or went


@dataclass(frozen=True, eq=False)
class State:
    fingerprint: str
    doc_id: Ints  # of what was built, then of what was put
    vectors: Vectors
    alive: Bools
    num_built: int
    lists: Any = None  # faiss.Index over the built ones; None: scan

    @cached_property
    def known(self) -> tuple[Ints, Ints]:
        """Ids, ascending, and the row of each: worked out once a state. Nearly sorted already, which a stable sort is quick with."""
        rows = np.flatnonzero(self.alive)
        rows = rows[np.argsort(self.doc_id[rows], kind="stable")]
        return self.doc_id[rows], rows

    def kept(self) -> tuple[Ints, Vectors]:
        """By ascending id."""
        doc_id, rows = self.known
        return doc_id, self.vectors[rows]

    def without(self, doc_id: Ints) -> State:
        return replace(self, alive=self.alive & ~np.isin(self.doc_id, doc_id))

    @property
    def due(self) -> bool:
        changed = len(self.doc_id) - self.num_built + int((~self.alive[: self.num_built]).sum())
        return changed > max(AT_LEAST, SHARE * self.num_built)


@dataclass(eq=False)
class Dense:
    """`search` and `score` from any thread; `put` and `delete` too, one after another."""

    _state: State
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return int(self._state.alive.sum())

    @property
    def fingerprint(self) -> str:
        return self._state.fingerprint

    def search(self, queries: Vectors, fingerprint: str, k: int, among: EachAmong | None = None) -> Ranking:
        """queries [n, dim] of the encoder with this fingerprint -> the k of the greatest product among what may be answered to each, ties by
        place; -1 pads."""
        state = self._of(fingerprint, queries)
        if among is None:
            return _nearest(state, queries, k)
        each = [_nearest(_narrowed(state, among(row)), queries[[row]], k) for row in range(len(queries))]
        none = np.empty((0, k))
        return Ranking(
            ids=np.concatenate([none.astype(np.int64), *(one.ids for one in each)]),
            scores=np.concatenate([none, *(one.scores for one in each)]),
        )

    def score(self, queries: Vectors, fingerprint: str, ids: Ints) -> NDArray[np.float64]:
        """ids [n, k] -> [n, k] products; 0 for an id that is not there."""
        state = self._of(fingerprint, queries)
        doc_id, rows = state.known
        if not len(rows):
            return np.zeros(ids.shape)
        at = np.minimum(np.searchsorted(doc_id, ids), len(rows) - 1)
        products = np.einsum("nd,nkd->nk", queries, state.vectors[rows[at]]).astype(float)
        return np.where(doc_id[at] == ids, products, 0.0)

    def put(self, doc_id: Ints, vectors: Vectors, fingerprint: str) -> None:
        """Adds documents, or replaces those of the same id."""
        with self._writing:
            old = self._of(fingerprint, vectors)
            _once(doc_id)
            left = old.without(doc_id)
            state = replace(
                left,
                doc_id=np.concatenate([left.doc_id, doc_id]),
                vectors=np.concatenate([left.vectors, vectors]),
                alive=np.concatenate([left.alive, np.ones(len(doc_id), bool)]),
            )
            self._state = _built(*state.kept(), state.fingerprint) if state.due else state

    def delete(self, doc_id: Ints) -> None:
        """An id that is not there is no error: it is gone."""
        with self._writing:
            state = self._state.without(doc_id)
            self._state = _built(*state.kept(), state.fingerprint) if state.due else state

    def save(self, folder: Path) -> None:
        """dense.safetensors. Lists are made again when it is read: they are a function of the vectors."""
        from safetensors.numpy import save

        doc_id, vectors = self._state.kept()
        arrays: dict[str, NDArray[np.generic]] = {"doc_id": doc_id, "vectors": vectors}
        write_bytes(folder / "dense.safetensors", save(arrays, metadata={"fingerprint": self.fingerprint}))

    def _of(self, fingerprint: str, vectors: Vectors) -> State:
        state = self._state
        if fingerprint != state.fingerprint:
            raise InputError(
                f"The index holds vectors of encoder {state.fingerprint[:12]}, not of {fingerprint[:12]}: their products mean nothing. "
                "Encode with that encoder, or publish this one with an index of its own."
            )
        if vectors.ndim != 2 or vectors.shape[1] != state.vectors.shape[1] or not np.isfinite(vectors).all():
            raise InputError(f"Vectors {vectors.shape}, expected finite numbers [n, {state.vectors.shape[1]}].")
        return state


def build(doc_id: Ints, vectors: Vectors, fingerprint: str) -> Dense:
    """doc_id [n], each once; vectors [n, dim] of unit length."""
    _once(doc_id)
    order = np.argsort(doc_id)
    return Dense(_built(np.asarray(doc_id, np.int64)[order], np.asarray(vectors, np.float32)[order], fingerprint))


def load(folder: Path, fingerprint: str) -> Dense:
    """What `save` wrote, for the encoder of this fingerprint; InputError where it is torn or of another encoder."""
    from safetensors import SafetensorError, safe_open

    path = folder / "dense.safetensors"
    try:
        with safe_open(path, "np") as file:
            said = (file.metadata() or {})["fingerprint"]
            doc_id, vectors = file.get_tensor("doc_id"), file.get_tensor("vectors")
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole index ({str(error)[:120]}). Publish the model again.") from error
    fits = vectors.ndim == 2 and doc_id.shape == vectors.shape[:1] and np.isfinite(vectors).all()
    if not fits or (doc_id.dtype, vectors.dtype) != (np.int64, np.float32) or (np.diff(doc_id) <= 0).any():
        raise InputError(f"{path}: not a whole index (its ids do not fit its vectors). Publish the model again.")
    found = build(doc_id, vectors, said)
    found._of(fingerprint, vectors[:0])
    return found


def _built(doc_id: Ints, vectors: Vectors, fingerprint: str) -> State:
    made = _lists(vectors) if len(doc_id) >= EXACT_BELOW else None
    return State(fingerprint, doc_id, vectors, np.ones(len(doc_id), bool), len(doc_id), made)


def _lists(vectors: Vectors) -> Any:
    import faiss

    num = max(len(vectors) // PER_LIST, 1)
    index: Any = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], num, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = 1, 8, 64, 1
    index.train(vectors)
    index.add(vectors)
    index.nprobe = min(PROBES, num)
    return index


def _nearest(state: State, queries: Vectors, k: int) -> Ranking:
    split = 0 if state.lists is None else state.num_built
    scanned = np.where(state.alive[split:], queries @ state.vectors[split:].T, -np.inf)
    place = np.broadcast_to(np.arange(split, len(state.doc_id)), scanned.shape)
    if state.lists is not None:
        found, at = _ask(state, queries, k)
        scanned, place = np.concatenate([found, scanned], axis=1), np.concatenate([at, place], axis=1)
    if scanned.shape[1] > k > 0:
        some = np.argpartition(-scanned, k - 1, axis=1)[:, :k]
        scanned, place = np.take_along_axis(scanned, some, 1), np.take_along_axis(place, some, 1)
    return _ranked(state, scanned, place, k)


def _narrowed(state: State, among: Among) -> State:
    """As if what may not be answered were gone. While fewer than EXACT_BELOW are left they are scanned, as a catalogue of that size is: few are
    brought together first, many are left where they lie. Of more, as many more lists are looked at as fewer stand in each."""
    kept = state.alive & among.of(state.doc_id)
    left = np.count_nonzero(kept)
    if state.lists is not None and left >= EXACT_BELOW:
        return replace(state, alive=kept)
    if left >= TOGETHER * len(kept):
        return replace(state, alive=kept, num_built=0, lists=None)
    rows = np.flatnonzero(kept)
    return replace(
        state, doc_id=state.doc_id[rows], vectors=state.vectors[rows], alive=kept[rows], num_built=0, lists=None
    )


def _ask(state: State, queries: Vectors, k: int) -> tuple[Vectors, Ints]:
    """The lists, past what is gone: it is left out while looking, not afterwards, so k are found where k are there. Where fewer are left, they lie
    in more lists."""
    import faiss

    alive = state.alive[: state.num_built]
    mask, share = np.packbits(alive, bitorder="little"), max(float(alive.mean()), 1e-9)
    library: Any = faiss  # its stubs know neither the arrays nor the names these take
    asked = library.SearchParametersIVF(
        sel=library.IDSelectorBitmap(mask), nprobe=min(round(state.lists.nprobe / share), state.lists.nlist)
    )
    scores, at = state.lists.search(np.ascontiguousarray(queries), k, params=asked)
    return np.where(at >= 0, scores, -np.inf), at


def _ranked(state: State, scores: Vectors, place: Ints, k: int) -> Ranking:
    order = np.lexsort((place, -scores), axis=1)
    ordered, place = np.take_along_axis(scores, order, 1).astype(float), np.take_along_axis(place, order, 1)
    ids = np.where(np.isfinite(ordered), state.doc_id[place] if len(state.doc_id) else -1, -1)
    more = ((0, 0), (0, max(k - ids.shape[1], 0)))
    return Ranking(
        ids=np.pad(ids, more, constant_values=-1)[:, :k], scores=np.pad(ordered, more, constant_values=-np.inf)[:, :k]
    )


def _once(doc_id: Ints) -> None:
    if len(np.unique(doc_id)) != len(doc_id):
        raise InputError("A document id stands twice in one call. Give each document once.")
