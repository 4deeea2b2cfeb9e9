"""Splits by time: the future never trains."""

from __future__ import annotations

from common.contract import Ints


def by_time(event_time: Ints, train: float = 0.7, valid: float = 0.1) -> tuple[Ints, Ints, Ints]:
    """Row indices of train, valid and test, cut at quantiles of time; rows of one second never straddle a cut."""
    raise NotImplementedError
