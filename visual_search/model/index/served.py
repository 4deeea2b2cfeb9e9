"""The index that is served: Faiss over what it was built from, a short list beside it of what came since, and a mask of what is gone.

Faiss's own deletions are slow (lists), impossible (a graph) or renumber what stays (a scan), and adding to an index while another thread searches it
is undefined. So nothing is ever changed in place: a change replaces an array, and `copy.copy` of this object is a snapshot that goes on
answering as it did. An image is gone with the call that removes it, and found, by a scan, with the call that adds it. When the list grows
longer than LATE, it moves into a clone of the Faiss index.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Bools, Ints
from common.data import columns
from common.data.durable import whole, write_bytes
from common.errors import InputError
from visual_search.model.index.settings import FLAT, Setting, append, faiss, make, num_bytes, parameters
from visual_search.model.parts import Vectors

LATE = 4_000  # vectors scanned beside the index: a quarter of a millisecond
HOLES = 0.1  # of a scan's rows: beyond, what is gone is left out of the array
INDEX_BYTES = 4 * 2**30  # a larger file is refused before it is read
BLOCK = 128  # queries whose candidates are put in order at once
AGAIN = "Publish the model again."


class Served:
    """model/parts.Index. `ids` [n], `vectors` [n, dim]: by row of the Faiss index `base`, as is `alive`, what it still holds of them."""

    def __init__(self, setting: Setting, ids: Ints, vectors: Vectors, base: Any, alive: Bools | None = None) -> None:
        assert len(ids) == len(vectors), (len(ids), len(vectors))
        self.setting, self.base, self.ids, self.vectors = setting, base, ids, vectors
        self.alive = np.ones(len(ids), np.bool_) if alive is None else alive
        self.late_ids = np.empty(0, np.int64)
        self.late = np.empty((0, vectors.shape[1]), np.float32)

    def __len__(self) -> int:
        return int(self.alive.sum()) + len(self.late_ids)

    @property
    def nbytes(self) -> int:
        """What a search needs in memory. `vectors` lie in a file that is mapped: of them a search reads `rerank` times k, or none."""
        return num_bytes(self.base) + self.late.nbytes + self.late_ids.nbytes

    def search(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """[n, dim] -> ids and scores [n, k], best first; ids -1 and scores -inf where there are no more."""
        queries = np.ascontiguousarray(queries, np.float32)
        if not k:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        rows, scores = self._base(queries, k)
        ids = np.where(rows >= 0, self.ids[rows], -1) if len(self.ids) else rows
        if len(self.late_ids):
            ids = np.concatenate([ids, np.broadcast_to(self.late_ids, (len(ids), len(self.late_ids)))], axis=1)
            ids, scores = best(ids, np.concatenate([scores, queries @ self.late.T], axis=1), k)
        return ids, scores

    def _base(self, queries: Vectors, k: int) -> tuple[Ints, Vectors]:
        """-> rows, -1 where there are no more, and their scores."""
        wide = k * max(self.setting.rerank, 1)
        scores, rows = self.base.search(queries, wide, params=parameters(self.setting, wide, self._selector))
        scores = np.where(rows >= 0, scores, -np.inf).astype(np.float32)
        if self.setting.rerank:
            for at in range(0, len(queries), BLOCK):
                part = slice(at, at + BLOCK)
                exact = np.einsum("qd,qkd->qk", queries[part], self.vectors[rows[part]])
                scores[part] = np.where(rows[part] >= 0, exact, -np.inf)
            rows, scores = best(rows, scores, k)
        return rows, scores

    @cached_property
    def _selector(self) -> Any:
        """Which rows a search may bring; None: all."""
        return None if self.alive.all() else faiss.IDSelectorBitmap(np.packbits(self.alive, bitorder="little"))

    @cached_property
    def _by_id(self) -> Ints:
        """Rows that are alive, by their id."""
        rows = np.flatnonzero(self.alive)
        return rows[np.argsort(self.ids[rows], kind="stable")]

    def holds(self, ids: Ints) -> Bools:
        return (self._rows(ids) >= 0) | np.isin(ids, self.late_ids)

    def _rows(self, ids: Ints) -> Ints:
        """ids [n] -> [n] rows, -1 for what no row is alive for."""
        known = self.ids[self._by_id]
        if not len(known):
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, self._by_id[at], -1)

    def add(self, ids: Ints, vectors: Vectors) -> None:
        """ids [n], each once; one that is there already is replaced. vectors [n, dim], of length 1."""
        assert len(np.unique(ids)) == len(ids) == len(vectors), "an id comes twice, or without its vector"
        assert vectors.shape[1] == self.vectors.shape[1] and np.isfinite(vectors).all(), vectors.shape
        self.remove(ids[self.holds(ids)])
        self.late_ids = np.concatenate([self.late_ids, ids])
        self.late = np.concatenate([self.late, vectors.astype(np.float32)])
        if len(self.late_ids) > LATE:
            self.merge()

    def remove(self, ids: Ints) -> None:
        """An unknown id is an error of ours."""
        rows, late = self._rows(ids), np.isin(self.late_ids, ids)
        assert (rows >= 0).sum() + late.sum() == len(np.unique(ids)) == len(ids), (
            "an id to remove is not here, or twice"
        )
        self.late_ids, self.late = self.late_ids[~late], self.late[~late]
        if (rows >= 0).any():
            alive = self.alive.copy()
            alive[rows[rows >= 0]] = False
            self._replace(alive=alive)
            if self.setting.kind == FLAT and alive.mean() < 1 - HOLES:
                self.merge()

    def merge(self) -> None:
        """What came late moves into a clone of the index, which learns nothing new by it: its lists, codes and knobs stay as they were built. What is gone
        leaves it, but for a graph, which it still holds together."""
        if self.setting.kind == FLAT:
            ids, vectors = self.everything()
            self._replace(ids=ids, vectors=vectors, alive=np.ones(len(ids), np.bool_), base=make(self.setting, vectors))
        else:
            base = faiss.clone_index(self.base)
            if self.setting.lists and not self.alive.all():
                base.remove_ids(faiss.IDSelectorBatch(np.flatnonzero(~self.alive)))
            append(base, self.late, first=len(self.ids))
            self._replace(
                ids=np.concatenate([self.ids, self.late_ids]),
                vectors=np.concatenate([self.vectors, self.late]),
                alive=np.concatenate([self.alive, np.ones(len(self.late_ids), np.bool_)]),
                base=base,
            )
        self.late_ids, self.late = self.late_ids[:0], self.late[:0]

    def _replace(self, **parts: Any) -> None:
        vars(self).update(parts)
        for derived in ("_selector", "_by_id"):
            vars(self).pop(derived, None)

    def everything(self) -> tuple[Ints, Vectors]:
        """Ids and vectors of all that can be found, those that came last at the end."""
        ids, vectors = (
            (self.ids, self.vectors) if self.alive.all() else (self.ids[self.alive], self.vectors[self.alive])
        )
        if not len(self.late_ids):
            return ids, vectors
        return np.concatenate([ids, self.late_ids]), np.concatenate([vectors, self.late])

    def save(self, folder: Path) -> None:
        whole_one = copy.copy(self)
        whole_one.merge()
        write_bytes(folder / "setting.json", json.dumps(asdict(self.setting)).encode())
        columns.write(folder / "rows.parquet", {"image_id": whole_one.ids, "alive": whole_one.alive})
        write_vectors(folder / "vectors.npy", whole_one.vectors)
        with whole(folder / "images.faiss") as temporary:
            faiss.write_index(whole_one.base, str(temporary))


def load(folder: Path) -> Served:
    """InputError for a file that is torn, too large or does not fit the others."""
    setting = Setting(**json.loads((folder / "setting.json").read_bytes()))
    rows, vectors = columns.read(folder / "rows.parquet"), read_vectors(folder / "vectors.npy")
    ids, alive = rows["image_id"].astype(np.int64), rows["alive"].astype(np.bool_)
    kept = len(ids) if not setting.lists else int(alive.sum())
    if len(vectors) != len(ids):
        raise InputError(f"{folder}: {len(ids)} ids and {len(vectors)} vectors. {AGAIN}")
    return Served(setting, ids, vectors, read_index(folder / "images.faiss", (kept, vectors.shape[1])), alive)


def read_vectors(path: Path) -> Vectors:
    """[n, dim], mapped: what nobody asks for is not read."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a whole array ({str(error)[:120]}). {AGAIN}") from error
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise InputError(f"{path}: {vectors.dtype} {vectors.shape}, expected float32 [n, dim]. {AGAIN}")
    found: Vectors = vectors
    return found


def write_vectors(path: Path, vectors: Vectors) -> None:
    with whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(vectors, np.float32), allow_pickle=False)


def read_index(path: Path, shape: tuple[int, int]) -> Any:
    """Bounded reading: Faiss refuses a file that claims more than INDEX_BYTES, we one that does not fit the vectors beside it."""
    if path.stat().st_size > INDEX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, more than {INDEX_BYTES}. {AGAIN}")
    faiss.set_deserialization_vector_byte_limit(INDEX_BYTES)
    try:
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except RuntimeError as error:
        raise InputError(f"{path}: not a whole faiss index ({str(error)[:120]}). {AGAIN}") from error
    if (index.ntotal, index.d) != shape:
        told = f"holds {index.ntotal} vectors of {index.d} numbers, expected {shape[0]} of {shape[1]}"
        raise InputError(f"{path}: {told}. {AGAIN}")
    return index


def best(ids: Ints, scores: Vectors, k: int) -> tuple[Ints, Vectors]:
    """[n, any] -> the k of each row with the highest scores, in order."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
