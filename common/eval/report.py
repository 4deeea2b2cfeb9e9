"""The report: one primary metric with its interval, further metrics, slices; and the table that names every metric of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.contract import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its 95 % interval. n = number of independent units (users, queries), not rows. A published figure has low = high = None."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of the project: its key (the same in code, JSON and pages), the direction that is better, one sentence that defines it."""

    key: str
    direction: str  # higher | lower
    definition: str


METRICS: Mapping[str, Metric] = {}


@dataclass(frozen=True, kw_only=True)
class Report:
    """`units` [num_rows or num_requests] are the terms whose mean is the primary, `clusters` whose they are: what a paired interval needs.

    `origin`: world | real | published. `comparable` is set on a published report: "yes", or "no, because ...".
    """

    primary: str
    origin: str
    metrics: Mapping[str, Interval]
    slices: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    units: Floats
    clusters: Ints
    comparable: str | None = None

    def as_json(self) -> dict[str, Any]:
        """{"primary": {name, value, low, high, n, direction, origin}, "metrics": {...}, "slices": {...}} (+ comparable)."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure from a paper or benchmark, with where it stands and whether it may be compared with ours."""

    name: str
    metric: str
    value: float
    source: str
    comparable: str  # "yes" or "no, because ..."

    def report(self) -> Report:
        raise NotImplementedError


def paired(ours: Report, theirs: Report) -> Interval:
    """Mean of ours.units - theirs.units with a 95 % interval over clusters; both reports must be over the same rows."""
    raise NotImplementedError


def is_better(difference: Interval, metric: str) -> bool:
    """True if the whole interval lies on the better side of zero for that metric's direction."""
    raise NotImplementedError
