"""The vector index: what a scan finds, whatever came and went; another encoder's vectors are refused."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.contract import Ints
from common.errors import InputError
from search_ranking.features.among import Among
from search_ranking.model.retrieval import dense
from search_ranking.model.retrieval.dense import Vectors

DIM = 8


def unit(rng: np.random.Generator, num: int, dim: int = DIM) -> Vectors:
    found = rng.standard_normal((num, dim))
    whole: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return whole


def by_hand(shelf: dict[int, Vectors], query: Vectors, k: int) -> list[int]:
    return sorted(shelf, key=lambda doc: (-float(shelf[doc] @ query), doc))[:k]


@pytest.mark.parametrize("exact_below", [10_000, 50], ids=["scan", "lists"])
def test_whatever_came_and_went_the_nearest_are_found(exact_below: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "EXACT_BELOW", exact_below)
    monkeypatch.setattr(dense, "PER_LIST", 10)  # 24 of 20 lists looked at: all, so lists are exact here
    monkeypatch.setattr(dense, "AT_LEAST", 30)
    rng = np.random.default_rng(1)
    shelf = dict(enumerate(unit(rng, 200)))
    index = dense.build(np.arange(200)[::-1], np.stack([shelf[doc] for doc in range(200)][::-1]), "a")
    states = []
    for step in range(100):
        doc = int(rng.integers(0, 250))
        if rng.random() < 0.4:
            shelf.pop(doc, None)
            index.delete(np.array([doc]))
        else:
            shelf[doc] = unit(rng, 1)[0]
            index.put(np.array([doc]), shelf[doc][None], "a")
        states.append(index._state.num_built)
        assert len(index) == len(shelf)
        query = unit(rng, 2)
        found = index.search(query, "a", 7)
        assert found.ids.tolist() == [by_hand(shelf, each, 7) for each in query], step
        assert found.scores[0].tolist() == pytest.approx(
            [float(shelf[doc] @ query[0]) for doc in found.ids[0].tolist()]
        )
    ids = np.array([[3, 999, *list(shelf)[:3]]])
    expected = [float(shelf[doc] @ query[0]) if doc in shelf else 0.0 for doc in ids[0].tolist()]
    assert index.score(query[:1], "a", ids)[0].tolist() == pytest.approx(expected)
    assert len(set(states)) > 1, "the run saw a rebuild"


def test_lists_find_most_of_what_a_scan_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    centres = unit(rng, 60, 32)
    vectors = centres[rng.integers(0, 60, 20_000)] + 0.15 * rng.standard_normal((20_000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    queries = vectors[rng.integers(0, 20_000, 100)] + 0.05 * rng.standard_normal((100, 32)).astype(np.float32)
    scan = dense.build(np.arange(20_000), vectors, "a").search(queries, "a", 50).ids

    def recall(probes: int) -> float:
        monkeypatch.setattr(dense, "EXACT_BELOW", 1_000)
        monkeypatch.setattr(dense, "PROBES", probes)
        found = dense.build(np.arange(20_000), vectors, "a").search(queries, "a", 50).ids
        return float(np.mean([np.isin(a, b).mean() for a, b in zip(scan, found, strict=True)]))

    assert recall(dense.PROBES) > 0.97
    assert recall(1) < 0.9, "the control: a single list is not enough, so the recall above was earned"


AMONG = {"scan": (10_000, 0.3), "few": (500, 0.01), "many, scanned": (1_000, 0.3), "lists": (50, 0.05)}


@pytest.mark.parametrize(("exact_below", "share"), AMONG.values(), ids=AMONG)
def test_among_some_the_nearest_of_them_are_found(
    exact_below: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the catalogue, which is not that of the index; each query among others. Two lists of ten documents hold one document in
    twenty once: as many lists more are looked at, and six found, though not always the nearest six."""
    monkeypatch.setattr(dense, "EXACT_BELOW", exact_below)
    monkeypatch.setattr(dense, "PER_LIST", 10)
    monkeypatch.setattr(dense, "PROBES", 2)
    rng = np.random.default_rng(8)
    shelf = dict(enumerate(unit(rng, 2_000)))
    index = dense.build(np.arange(2_000), np.stack(list(shelf.values())), "a")
    shelf |= {7: unit(rng, 1)[0], 5_000: unit(rng, 1)[0]}
    index.put(np.array([5_000, 7]), np.stack([shelf[5_000], shelf[7]]), "a")
    index.delete(np.array([11]))
    del shelf[11]
    doc_id = np.array(sorted(shelf))
    allowed = [rng.random(len(doc_id)) < share for _ in range(5)]
    for mask in allowed:
        mask[np.isin(doc_id, [7, 5_000])] = True
    query = unit(rng, 5)
    found = index.search(query, "a", 6, lambda row: Among(doc_id, allowed[row]))
    for row in range(5):
        some = {doc: shelf[doc] for doc in doc_id[allowed[row]].tolist()}
        nearest = by_hand(some, query[row], 6)
        if exact_below > 50:
            assert found.ids[row].tolist() == nearest
        assert set(found.ids[row].tolist()) <= set(some) and len(set(found.ids[row].tolist()) & set(nearest)) >= 3
    none = index.search(query, "a", 6, lambda row: Among(doc_id, np.zeros(len(doc_id), bool)))
    assert (none.ids == -1).all() and (none.scores == -np.inf).all()
    assert index.search(query[:0], "a", 6, lambda row: Among(doc_id, allowed[row])).ids.shape == (0, 6)


def test_an_index_of_another_encoder_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    index = dense.build(np.arange(5), unit(rng, 5), "first" * 10)
    for wrong in (
        lambda: index.search(unit(rng, 1), "other", 3),
        lambda: index.put(np.array([9]), unit(rng, 1), "other"),
        lambda: index.score(unit(rng, 1), "other", np.array([[1]])),
    ):
        with pytest.raises(InputError, match="holds vectors of encoder firstfirstfi, not of other"):
            wrong()
    index.save(tmp_path)
    with pytest.raises(InputError, match="not of other"):
        dense.load(tmp_path, "other")
    assert dense.load(tmp_path, "first" * 10).fingerprint == "first" * 10


def test_vectors_of_another_width_or_not_finite_and_ids_given_twice_are_refused() -> None:
    index = dense.build(np.arange(2), unit(np.random.default_rng(0), 2), "a")
    for vectors in (np.zeros((1, DIM + 1), np.float32), np.full((1, DIM), np.nan, np.float32)):
        with pytest.raises(InputError, match="expected finite numbers"):
            index.search(vectors, "a", 1)
    with pytest.raises(InputError, match="stands twice"):
        index.put(np.array([1, 1]), np.zeros((2, DIM), np.float32), "a")


@pytest.mark.parametrize("exact_below", [10_000, 0], ids=["scan", "lists"])
def test_an_index_may_be_asked_for_more_than_it_holds(exact_below: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    empty = dense.build(np.empty(0, np.int64), np.empty((0, DIM), np.float32), "a")
    assert empty.search(unit(rng, 2), "a", 3).ids.tolist() == [[-1] * 3] * 2
    assert empty.score(unit(rng, 1), "a", np.array([[4]])).tolist() == [[0]]
    monkeypatch.setattr(dense, "EXACT_BELOW", max(exact_below, 1))
    index = dense.build(np.array([4, 2]), unit(rng, 2), "a")
    index.delete(np.array([2]))
    found = index.search(unit(rng, 1), "a", 3)
    assert found.ids.tolist() == [[4, -1, -1]] and np.isneginf(found.scores[0, 1:]).all()


def test_readers_see_one_moment_while_a_writer_works() -> None:
    """Document 0 is always there, under one of two vectors; a state half-swapped would show it twice or not at all."""
    rng = np.random.default_rng(5)
    index, vectors = dense.build(np.arange(50), unit(rng, 50), "a"), unit(rng, 2)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            ids: Ints = index.search(vectors, "a", 60).ids
            if any((row == 0).sum() != 1 for row in ids):
                wrong.append(ids)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for step in range(600):
        index.put(np.array([0]), vectors[[step % 2]], "a")
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong and len(index) == 50


def test_what_is_saved_is_read_back_and_what_is_torn_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    index = dense.build(np.arange(20), unit(rng, 20), "a")
    index.put(np.array([3, 70]), unit(rng, 2), "a")
    index.delete(np.array([5]))
    index.save(tmp_path)
    query = unit(rng, 3)
    assert (dense.load(tmp_path, "a").search(query, "a", 20).ids == index.search(query, "a", 20).ids).all()
    path = tmp_path / "dense.safetensors"
    content, arrays = path.read_bytes(), load_file(path)
    for torn in (content[:-2], b"\x80\x04K\x01.", b""):
        path.write_bytes(torn)
        with pytest.raises(InputError, match="not a whole index"):
            dense.load(tmp_path, "a")
    for name, change in (
        ("doc_id", arrays["doc_id"][:-1]),
        ("doc_id", arrays["doc_id"] * 0),
        ("vectors", arrays["vectors"] * np.nan),
    ):
        save_file(arrays | {name: change}, path, metadata={"fingerprint": "a"})
        with pytest.raises(InputError, match="not a whole index"):
            dense.load(tmp_path, "a")
