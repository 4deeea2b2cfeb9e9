"""The experiments of the index, on planted vectors and small: what they measure is what was planted, and each foil loses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from visual_search.config import SMOKE, Config
from visual_search.experiments import (
    blue_green,
    codes,
    index_contract,
    index_dimension,
    index_lab,
    index_tuner,
    millions,
)
from visual_search.experiments import vectors as drawn
from visual_search.experiments.vectors import Hard
from visual_search.model.index import tuner
from visual_search.model.index.dimension import intrinsic


def planted(config: Config, num: int = 0) -> Hard:
    """In the place of the trained encoder's: eight directions of 32."""
    return drawn.planted(8, num or config.num_images, dim=32)


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "gallery", planted)


def small(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **values: Any) -> None:
    for name, value in values.items():
        monkeypatch.setattr(module, name, value)


def test_a_grown_gallery_goes_where_the_gallery_goes() -> None:
    own = drawn.planted(6, 1_500, dim=32).vectors
    vectors, before, after = millions.alike(own, 6_000)
    np.testing.assert_array_equal(vectors[:1_500], own)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert before == intrinsic(own) and after == pytest.approx(before, rel=0.2)
    outside = np.linalg.svd(own, full_matrices=False)[2][6:]  # directions in which the gallery has next to nothing
    assert np.linalg.norm(vectors @ outside.T, axis=1).mean() < 2 * np.linalg.norm(own @ outside.T, axis=1).mean()


def test_planted_dimensions_are_those_measured() -> None:
    found = [drawn.planted(directions, 3_000).dimension for directions in (4, 8, 32)]
    assert found == sorted(found) and found[0] == pytest.approx(3, abs=0.5)


@pytest.mark.slow
def test_more_directions_take_more_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, index_dimension, NUM=2_000, DIRECTIONS=(4, 32), ASKED=20)
    rows = index_dimension.index_dimension(SMOKE)
    share = {(row["index"], row["vectors"]): row["compared"] for row in rows}
    for name in index_dimension.COMPARED:
        assert 0 < share[name, "4 directions"] < share[name, "32 directions"]
        assert share[name, index_dimension.OWN] < share[name, "32 directions"]
    assert share["kd-tree", "4 directions"] < 0.1 and share["kd-tree", "32 directions"] > 0.4
    assert all(row["compared_low"] <= row["compared"] <= row["compared_high"] for row in rows)
    assert [row["vectors"] for row in rows if row["ring"]] == [index_dimension.OWN] * len(index_dimension.COMPARED)


@pytest.mark.slow
def test_the_lab_turns_each_index_up_until_it_finds_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, index_lab, SIZES=(500, 1_000), OURS_UP_TO=500, INSERTED=5, ROUNDS=2, A_ROUND=3)
    rows = index_lab.index_lab(SMOKE)
    assert {row["index"] for row in rows if row["vectors"] == 500} == {*index_lab.INDEXES, *index_lab.OURS}
    assert {row["index"] for row in rows if row["vectors"] == 1_000} == {*index_lab.INDEXES}
    found = {row["index"]: row["ann_recall@10"] for row in rows if row["vectors"] == 1_000}
    assert found["exact"] == 1.0 and min(found.values()) > 0.9
    size = {row["index"]: row["bytes"] for row in rows if row["vectors"] == 1_000}
    assert size["IVF-PQ"] < size["exact"] < size["IVF"] and size["exact"] < size["LSH"] and size["exact"] < size["HNSW"]
    assert all(row["insert_us"] > 0 and row["low"] <= row["saved"] <= row["high"] for row in rows)


@pytest.mark.slow
def test_fewer_bytes_find_less_and_bits_by_lot_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, codes, NUM=2_000)
    rows = {row["code"]: row for row in codes.codes(SMOKE)}
    found = {name: row["ann_recall@10"] for name, row in rows.items()}
    assert found["float32"] == 1.0 and found["int8"] > 0.9
    assert found["int8"] > found["PQ, 16 bytes"] > found["PQ"] > found["64 bits"] > found["random bits (foil)"]
    assert found["random bits (foil)"] < 0.03
    assert all(row["reranked"] >= row["ann_recall@10"] for row in rows.values())


@pytest.mark.slow
def test_the_contract_is_kept_and_the_control_raises_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, index_contract, NUM=4_000, COME=2_000, GO=1_000, ASKED=1_000)
    rows = {row["index"]: row for row in index_contract.index_contract(SMOKE)}
    assert all(row["deleted_found"] == 0 and row["images"] == 5_000 for row in rows.values())
    control = rows.pop("IVF, stale centres (control)")
    assert control["alarm"] > 0
    assert all(row["recall_lost"] <= 0.01 or row["alarm"] for row in rows.values())
    assert rows["exact"]["recall_lost"] == 0 and rows["exact"]["alarm"] == 0


@pytest.mark.slow
def test_the_tuner_beside_a_book(monkeypatch: pytest.MonkeyPatch) -> None:
    small(
        monkeypatch,
        index_tuner,
        NUM=3_000,
        ASKED=((0.95, 1e4), (0.95, 1e-6)),
        trained=lambda config: None,
        _lost=lambda case, recall: {"gain_lost": 0.0},
    )
    small(monkeypatch, tuner, FREE=0)
    found, late, book = index_tuner.index_tuner(SMOKE)
    assert found["refused"] == 0 and found["ann_recall@100"] > 0.93 and found["bytes"] < 128
    assert late["refused"] == 1 and "bytes" not in late
    assert book["recall"] == index_tuner.BOOK and book["ann_recall@100"] < found["ann_recall@100"]


@pytest.fixture(scope="module")
def swapped() -> Iterator[dict[str, dict[str, Any]]]:
    rows = blue_green.blue_green(replace(SMOKE, num_searches=300, num_photos=120, epochs=1))
    yield {str(row["swap"]): row for row in rows}


@pytest.mark.slow
def test_a_new_encoder_takes_over_while_everybody_asks(swapped: dict[str, dict[str, Any]]) -> None:
    together = swapped["together"]
    assert together["queries"] > 20
    assert together["failed"] == together["mixed"] == together["deleted_found"] == together["missed"] == 0


@pytest.mark.slow
def test_by_halves_answers_are_senseless_or_refused(swapped: dict[str, dict[str, Any]]) -> None:
    assert swapped["index before encoder (foil)"]["mixed"] > 0
    refused = swapped["index before encoder, refused"]
    assert refused["failed"] > 0 and refused["mixed"] == 0
