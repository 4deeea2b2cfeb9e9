"""Splits by time: the future never trains."""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from common.errors import InputError


def by_time(event_time: Ints, train: float = 0.7, valid: float = 0.1) -> tuple[Ints, Ints, Ints]:
    """Row indices of train, valid and test, cut at quantiles of time; rows of one second never straddle a cut.

    Each part keeps the order the rows came in. A cut falls on the boundary between two seconds that is nearest to its quantile. Fewer than
    three different seconds cannot be split: an InputError.
    """
    assert min(train, valid) > 0 and train + valid < 1, f"shares of train {train} and valid {valid}"
    seconds, counts = np.unique(event_time, return_counts=True)
    if len(seconds) < 3:
        raise InputError(
            f"The rows cannot be split by time: {len(event_time):,} rows hold {len(seconds)} different times, and train, validation and test "
            "need one each at least. Check which column is the event time."
        )
    before = np.cumsum(counts)[:-1]  # rows before each boundary between two seconds
    first = int(np.abs(before[:-1] - train * len(event_time)).argmin())
    second = first + 1 + int(np.abs(before[first + 1 :] - (train + valid) * len(event_time)).argmin())
    part = np.searchsorted(seconds[[first + 1, second + 1]], event_time, side="right")
    return np.flatnonzero(part == 0), np.flatnonzero(part == 1), np.flatnonzero(part == 2)
