"""The tuner: the least memory that finds enough in time, and a refusal where nothing does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.errors import InputError
from visual_search.model.index import tuner
from visual_search.model.index.settings import FLAT, HNSW, IVF, IVF_PQ, Setting, make, num_bytes
from visual_search.model.index.tuner import Choice, Served, Tried, cheapest
from visual_search.model.parts import Vectors

DIM, NUM = 32, 6_000


def drawn(seed: int, num: int) -> Vectors:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((60, DIM))
    found = centres[rng.integers(0, 60, num)] + 0.8 * rng.standard_normal((num, DIM))
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return drawn(1, NUM)


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan takes 5 ms, whatever else 1: what is chosen must not hang on how busy the machine is."""
    measured = tuner.measured

    def timed(index: Served, *rest: object) -> Tried:
        return replace(measured(index, *rest), ms=5.0 if index.setting.kind == FLAT else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(tuner, "measured", timed)
    monkeypatch.setattr(tuner, "TIMED", 1)


def chosen(vectors: Vectors, recall: float, deadline_ms: float, seed: int = 2) -> Choice:
    return cheapest(np.arange(len(vectors)), vectors, drawn(seed, 150), recall, deadline_ms)


def test_a_small_gallery_is_scanned(vectors: Vectors) -> None:
    found = chosen(vectors, 0.95, 10.0)
    assert found.setting == Setting(kind=FLAT) and len(found.tried) == 1
    assert found.tried[0].recall == 1.0


def test_what_a_scan_is_too_slow_for_takes_the_least_memory_that_finds_enough(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The more of the neighbours is asked for, the more memory it takes: codes first, longer codes, then whole vectors."""
    monkeypatch.setattr(tuner, "FREE", 0)
    took = []
    for recall in (0.6, 0.95, 0.9999):
        found = chosen(vectors, recall, 2.0)
        tried = found.tried[-1]
        assert tried.recall >= recall and tried.ms <= 2.0 and tried.setting == found.setting
        assert all(one.recall < recall or one.ms > 2.0 for one in found.tried[:-1])
        took.append(tried.nbytes)
        judged = drawn(3, 200)  # queries it was not tuned on
        truth = tuner.exact_neighbours(vectors, judged, tuner.K)
        assert tuner.ann_recall(found.index.search(judged, tuner.K)[0], truth) >= recall - 0.01
    assert took == sorted(took) and took[0] < took[-1]
    assert chosen(vectors, 0.6, 2.0).setting.kind == IVF_PQ


def test_kinds_are_tried_from_the_least_memory_on(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "FREE", 0)
    sizes = [num_bytes(make(setting, vectors)) for setting in tuner.settings(*vectors.shape)]
    assert sizes == sorted(sizes)


def test_the_same_vectors_make_the_same_choice(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "FREE", 0)
    one, two = (chosen(vectors, 0.9, 2.0) for _ in range(2))
    assert [replace(tried, build_seconds=0) for tried in one.tried] == [
        replace(tried, build_seconds=0) for tried in two.tried
    ]


def test_one_probe_fewer_finds_too_little(vectors: Vectors) -> None:
    setting, queries = Setting(kind=IVF, lists=128, probes=1), drawn(2, 150)
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
        (0.95, 0.5, r"the quickest that finds as much is .*, 1 ms"),
        (1.1, 10.0, r"none finds as much; the most is found by flat, 1\.000"),
    ],
)
def test_what_cannot_be_had_is_refused(vectors: Vectors, recall: float, deadline_ms: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen(vectors[:1_500], recall, deadline_ms)


@pytest.mark.parametrize("num", (1, 2, 30, 101))
def test_a_gallery_of_a_few(num: int) -> None:
    found = chosen(drawn(4, num), 0.95, 10.0)
    assert found.setting.kind == FLAT
    assert (found.index.search(drawn(5, 3), 100)[0] >= 0).sum() == 3 * min(num, 100)


def test_a_setting_says_its_knobs() -> None:
    assert str(Setting(kind=HNSW, links=16, ef=80)) == "hnsw (links 16, ef 80)"
    assert str(Setting(kind=FLAT)) == "flat"
