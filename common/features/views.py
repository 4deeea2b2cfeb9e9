"""A view: what is kept about one kind of entity, written once and read by training and serving alike.

In: the event log. Out: numbers as of a moment, one row a key. A window is a whole number of buckets of event time that end with the
bucket of the moment, so a late event falls into the bucket it belongs to. Counts and sums are integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Ints


@dataclass(frozen=True)
class Count:
    """How many events of `kind`, or the sum of their integer `value`; over the last `buckets` buckets, or since ever (None)."""

    kind: str
    value: str | None = None
    buckets: int | None = None


@dataclass(frozen=True)
class Rate:
    """(count of `hit` + prior * strength) / (count of `base` + strength): a rate pulled towards `prior` while `base` is small."""

    hit: str
    base: str
    prior: float
    strength: float
    buckets: int | None = None


@dataclass(frozen=True)
class Last:
    """The last `value` of `kind` in log order; value "age" = whole buckets since its event_time. NaN if none, or older than `expires` buckets."""

    kind: str
    value: str
    expires: int | None = None


@dataclass(frozen=True)
class Decayed:
    """Sum over `kind` of value (1 if None) x 2^(-age / half_life), ages in whole buckets: a left fold in log order, by one function."""

    kind: str
    half_life: float
    value: str | None = None


@dataclass(frozen=True)
class Recent:
    """The `key`s of the last `n` events of `kind`, newest first: n columns of ids, -1 where there are fewer. Repeats are kept."""

    kind: str
    key: str
    n: int


Feature = Count | Rate | Last | Decayed | Recent


@dataclass(frozen=True)
class View:
    """`entity` names the key column(s) of the events it is kept by: ("user_id",), or two joined by `pair`. Hashable: stores cache by it."""

    name: str
    entity: tuple[str, ...]
    features: tuple[Feature, ...]
    bucket: int = 3600  # seconds

    @property
    def width(self) -> int:
        """Number of columns `read` returns: one a feature, n for Recent."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """A readable, unique name for each column: user.click_24, user.recent_watch_0 ..."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """Changes when the definition does; the live store refuses a view whose fingerprint it does not hold."""
        raise NotImplementedError


def pair(first: Ints, second: Ints) -> Ints:
    """Joins two ids below 2^31 into one key; -1 if either is -1."""
    raise NotImplementedError


def entity_keys(view: View, keys: dict[str, Ints]) -> Ints:
    """The view's key for each event (or row), from its key columns."""
    raise NotImplementedError


_ = np
