"""The tuner: the least memory that finds enough in time, and a refusal where nothing does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from visual_search.model.index import tuner
from visual_search.model.index.served import Served
from visual_search.model.index.settings import FLAT, HNSW, IVF, IVF_PQ, Setting, make, num_bytes
from visual_search.model.index.tuner import Choice, Tried, cheapest
from visual_search.model.parts import Vectors

DIM, NUM, QUERIES = 32, 3_000, 80


def drawn(seed: int, num: int) -> Vectors:
    """Evenly on a sphere: as hard as it gets."""
    found = np.random.default_rng(seed).standard_normal((num, DIM))
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return drawn(1, NUM)


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a search reads stands for its time: what is chosen must not hang on how busy the machine is."""
    measured = tuner.measured

    def counted(index: Served, *rest: Any) -> Tried:
        found, read = measured(index, *rest), index.setting
        listed = read.probes * NUM / max(read.lists, 1) + 4 * read.rerank * tuner.K
        return replace(found, ms={FLAT: 10_000.0, HNSW: 10.0 * read.ef}.get(read.kind, listed))

    monkeypatch.setattr(tuner, "measured", counted)
    monkeypatch.setattr(tuner, "TIMED", 1)


def chosen(vectors: Vectors, recall: float, deadline_ms: float, seed: int = 2) -> Choice:
    return cheapest(np.arange(len(vectors)), vectors, drawn(seed, QUERIES), recall, deadline_ms)


def test_a_small_gallery_is_scanned(vectors: Vectors) -> None:
    found = chosen(vectors, 0.95, 20_000.0)
    assert found.setting == Setting(kind=FLAT) and len(found.tried) == 1
    assert found.tried[0].recall == 1.0


@pytest.mark.slow
def test_the_more_is_to_be_found_the_more_memory_it_takes(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same time: short codes first, longer ones, which have to be put in order less, then the vectors themselves."""
    monkeypatch.setattr(tuner, "FREE", 0)
    took = []
    for recall in (0.6, 0.97, 0.999):
        found = chosen(vectors, recall, 3_000.0)
        last = found.tried[-1]
        assert last.recall >= recall and last.ms <= 3_000 and last.setting == found.setting == found.index.setting
        assert all(one.recall < recall or one.ms > 3_000 for one in found.tried[:-1])
        took.append((found.setting.kind, found.setting.code, last.nbytes))
        judged = drawn(3, QUERIES)  # queries it was not tuned on
        truth = tuner.exact_neighbours(vectors, judged, tuner.K)
        assert tuner.ann_recall(found.index.search(judged, tuner.K)[0], truth) >= recall - 0.02
    assert [kind[:2] for kind in took] == [(IVF_PQ, 8), (IVF_PQ, 16), (IVF, 0)]
    assert took[0][2] < took[1][2] < took[2][2]


@pytest.mark.slow
def test_kinds_are_tried_from_the_least_memory_on(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "FREE", 0)
    sizes = [num_bytes(make(setting, vectors)) for setting in tuner.settings(*vectors.shape)]
    assert sizes == sorted(sizes)


@pytest.mark.slow
def test_the_same_vectors_make_the_same_choice(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "FREE", 0)
    one, two = (chosen(vectors, 0.9, 3_000.0) for _ in range(2))
    assert [replace(tried, build_seconds=0) for tried in one.tried] == [
        replace(tried, build_seconds=0) for tried in two.tried
    ]


def test_one_probe_fewer_finds_too_little(vectors: Vectors) -> None:
    setting, queries = Setting(kind=IVF, lists=64, probes=1), drawn(2, QUERIES)
    index = Served(setting, np.arange(NUM), vectors, make(setting, vectors))
    truth = tuner.exact_neighbours(vectors, queries, 50)
    for recall in (0.3, 0.8, 0.97):
        tuner.tuned(index, queries, truth, recall)
        assert tuner.ann_recall(index.search(queries, 50)[0], truth) >= recall
        if index.setting.probes > 1:
            index.setting = replace(index.setting, probes=index.setting.probes - 1)
            assert tuner.ann_recall(index.search(queries, 50)[0], truth) < recall


@pytest.mark.parametrize(
    ("recall", "deadline_ms", "said"),
    [
        (0.95, 500.0, r"the quickest that finds as much is hnsw .*, 1e\+03 ms"),
        (1.1, 20_000.0, r"none finds as much; the most is found by flat, 1\.000"),
    ],
)
def test_what_cannot_be_had_is_refused(vectors: Vectors, recall: float, deadline_ms: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen(vectors[:1_000], recall, deadline_ms)


@pytest.mark.parametrize("num", (1, 2, 30, 101))
def test_a_gallery_of_a_few(num: int) -> None:
    found = chosen(drawn(4, num), 0.95, 20_000.0)
    assert found.setting.kind == FLAT
    assert (found.index.search(drawn(5, 3), 100)[0] >= 0).sum() == 3 * min(num, 100)


def test_a_setting_says_its_knobs() -> None:
    assert str(Setting(kind=HNSW, links=16, ef=80)) == "hnsw (links 16, ef 80)"
    assert str(Setting(kind=FLAT)) == "flat"
