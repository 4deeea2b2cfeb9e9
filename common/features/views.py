"""A view: what is kept about one kind of entity, written once and read by training and serving alike.

In: the event log. Out: numbers as of a moment, one row a key. A window is a whole number of buckets of event time that end with the
bucket of the moment, so a late event falls into the bucket it belongs to. Counts and sums are integers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.contract import Ints
from common.errors import InputError

MAX_HALF_LIFE = 10_000  # buckets: the decay table holds 64 half-lives


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

    def __post_init__(self) -> None:
        if len(self.entity) not in (1, 2) or self.bucket < 1 or not self.features:
            raise InputError(
                f"View {self.name!r} needs one or two entity columns, a bucket >= 1 s and a feature; got {self}."
            )
        for feature in self.features:
            if not _is_sound(feature):
                raise InputError(
                    f"View {self.name!r} holds {feature}. Expected buckets >= 1, n >= 1, strength > 0 and 0 < half_life <= {MAX_HALF_LIFE} buckets."
                )
        if len(set(self.columns)) < self.width:
            raise InputError(
                f"View {self.name!r} keeps a column twice: {', '.join(self.columns)}. Drop the repetition."
            )

    @cached_property
    def width(self) -> int:
        """Number of columns `read` returns: one a feature, n for Recent."""
        return sum(feature.n if isinstance(feature, Recent) else 1 for feature in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """A readable, unique name for each column: user.click_24, user.recent_watch_video_id_0 ..."""
        return tuple(f"{self.name}.{name}" for feature in self.features for name in _names(feature))

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of event this view looks at."""
        return frozenset(kind for feature in self.features for kind in _kinds(feature))

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the definition does; the live store refuses a view whose fingerprint it does not hold."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def pair(first: Ints, second: Ints) -> Ints:
    """Joins two ids below 2^31 into one key; -1 if either is -1."""
    absent = (first < 0) | (second < 0)
    if np.any((first >= 2**31) | (second >= 2**31)):
        raise InputError(
            f"A pair of ids needs both below 2^31 = {2**31}; got {max(first.max(), second.max())}. Number them densely."
        )
    return np.where(absent, -1, (first << 32) | second)


def unpair(keys: Ints) -> tuple[Ints, Ints]:
    """The two ids of each key made by `pair`."""
    return keys >> 32, np.where(keys < 0, -1, keys & 0xFFFFFFFF)


def entity_keys(view: View, keys: Mapping[str, Ints]) -> Ints:
    """The view's key for each event (or row), from its key columns."""
    missing = [name for name in view.entity if name not in keys]
    if missing:
        raise InputError(
            f"View {view.name!r} is kept by {', '.join(view.entity)}; there is no {', '.join(missing)} among {', '.join(keys)}."
        )
    columns = [keys[name] for name in view.entity]
    return columns[0] if len(columns) == 1 else pair(*columns)


def _is_sound(feature: Feature) -> bool:
    match feature:
        case Count(buckets=buckets):
            return buckets is None or buckets >= 1
        case Rate(strength=strength, buckets=buckets):
            return strength > 0 and (buckets is None or buckets >= 1)
        case Last(expires=expires):
            return expires is None or expires >= 0
        case Decayed(half_life=half_life):
            return 0 < half_life <= MAX_HALF_LIFE
        case Recent(n=n):
            return n >= 1


def _names(feature: Feature) -> Iterator[str]:
    match feature:
        case Count(kind, value, buckets):
            yield _join(kind, value, buckets)
        case Rate(hit, base, _, _, buckets):
            yield _join("rate", hit, "per", base, buckets)
        case Last(kind, value, _):
            yield _join("last", kind, value)
        case Decayed(kind, half_life, value):
            yield _join("decayed", kind, value, f"{half_life:g}")
        case Recent(kind, key, n):
            yield from (_join("recent", kind, key, i) for i in range(n))


def _join(*parts: str | int | None) -> str:
    return "_".join(str(part) for part in parts if part is not None)


def _kinds(feature: Feature) -> tuple[str, ...]:
    return (feature.hit, feature.base) if isinstance(feature, Rate) else (feature.kind,)
