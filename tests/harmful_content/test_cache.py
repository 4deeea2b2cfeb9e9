"""Vectors are read back as they were made, of this encoder alone; heads on them find what is planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.contract import Ints
from common.errors import InputError
from harmful_content.model.cache import empty, opened, sweep
from harmful_content.model.head import Head, Prototypes


def vectors(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, 4)).astype(np.float32)


def test_a_cache_comes_back_bit_for_bit_in_any_order(tmp_path: Path) -> None:
    rng, ids, made = np.random.default_rng(1), np.array([9, 3, 70, 5]), vectors(4)
    held = empty("one", 4).joined(ids, made)
    held.save(tmp_path / "cache")
    loaded = opened(tmp_path / "cache", "one")
    order = rng.permutation(4)
    assert np.array_equal(loaded.read(ids[order]), made[order])
    assert held.holds(np.array([3, 4])).tolist() == [True, False]


def test_another_encoder_and_a_torn_file_are_refused(tmp_path: Path) -> None:
    empty("one", 4).joined(np.array([1]), vectors(1)).save(tmp_path / "cache")
    with pytest.raises(InputError, match="vectors of encoder one, asked for those of two"):
        opened(tmp_path / "cache", "two")
    (tmp_path / "torn").write_bytes((tmp_path / "cache").read_bytes()[:-3])
    with pytest.raises(InputError, match="not a whole cache"):
        opened(tmp_path / "torn", "one")
    with pytest.raises(InputError, match="not a whole cache"):
        opened(tmp_path / "absent", "one")


def test_a_sweep_encodes_what_is_missing_and_gives_the_answer_of_encoding_all() -> None:
    rng, made = np.random.default_rng(2), vectors(50, 3)
    ids = rng.permutation(1_000)[:50]
    asked: list[int] = []

    def encode(places: Ints) -> np.ndarray:
        asked.extend(places.tolist())
        return made[places]

    for held in (0, 7, 50):
        asked.clear()
        start = empty("one", 4).joined(ids[:held], made[:held])
        found = sweep(ids, start, encode, lambda all_of: all_of.sum(axis=1))
        assert np.array_equal(found.decided, made.sum(axis=1)) and found.num_encoded == 50 - held
        assert asked == list(range(held, 50)) and found.cache.holds(ids).all()


def test_an_edited_post_is_encoded_again() -> None:
    old, new = vectors(2, 4), vectors(1, 5)
    held = empty("one", 4).joined(np.array([1, 2]), old)
    found = sweep(
        np.array([1, 2]),
        held.without(np.array([2])),
        lambda places: new,
        lambda all_of: all_of[:, 0].astype(np.float64),
    )
    assert found.decided.tolist() == [old[0, 0], new[0, 0]] and found.num_encoded == 1
    assert np.array_equal(held.joined(np.array([2]), new).read(np.array([2])), new), "the later one counts"


def test_heads_find_a_planted_direction_and_nothing_in_noise() -> None:
    rng = np.random.default_rng(6)
    seen, asked = (rng.normal(size=(n, 8)).astype(np.float32) for n in (400, 2_000))
    for way in (Head, Prototypes):
        found = way.fit(seen, (seen[:, 0] > 0.5).astype(float)).score(asked)
        assert np.corrcoef(found, asked[:, 0])[0, 1] > 0.9
        nothing = way.fit(seen, (rng.random(400) < 0.3).astype(float)).score(asked)
        assert abs(np.corrcoef(nothing, asked[:, 0])[0, 1]) < 0.6
