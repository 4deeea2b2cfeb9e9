"""Splits by time: the future never trains, a second is never split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data.splits import by_time
from common.errors import InputError


@given(st.lists(st.integers(0, 50), min_size=3, max_size=200).filter(lambda times: len(set(times)) >= 3))
def test_parts_are_ordered_in_time_cover_every_row_and_share_no_second(times: list[int]) -> None:
    event_time = np.array(times)
    parts = by_time(event_time)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(times)))
    assert all(len(part) and (np.diff(part) > 0).all() for part in parts)
    train, valid, test = (event_time[part] for part in parts)
    assert train.max() < valid.min() and valid.max() < test.min()


def test_shares_are_met_where_every_second_is_its_own() -> None:
    shuffled = np.random.default_rng(0).permutation(1000)
    assert [len(part) for part in by_time(shuffled)] == [700, 100, 200]
    assert [len(part) for part in by_time(shuffled, 0.5, 0.25)] == [500, 250, 250]


def test_a_second_that_holds_the_cut_goes_to_the_nearer_side() -> None:
    event_time = np.repeat([1, 2, 3, 4], [60, 15, 10, 15])  # cuts wanted at 70 and 80
    assert [len(part) for part in by_time(event_time)] == [75, 10, 15]


def test_too_few_times_to_split_are_refused() -> None:
    with pytest.raises(InputError, match="2 different times"):
        by_time(np.array([1, 1, 2, 2]))
