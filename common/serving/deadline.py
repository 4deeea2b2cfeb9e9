"""The deadline: each stage of an answer has its own limit and a worse answer ready. Late is a loss of quality, never an error.

Python cannot stop a thread, so a stage that is cut off keeps its thread until it ends: each stage has its own executor with at most two
calls in flight, a third is not started ("busy"), and five misses in a row open its breaker for a second ("open").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from common.contract import Timings

T = TypeVar("T")


class Deadline:
    """The time left for one request and the record of where it went. All times in ms from the moment it was made."""

    def __init__(self, limit_ms: float) -> None:
        raise NotImplementedError

    def left_ms(self) -> float:
        raise NotImplementedError

    def timings(self) -> Timings:
        raise NotImplementedError

    @property
    def degraded(self) -> list[str]:
        """Names of the stages that did not end "ok", in order, each once."""
        raise NotImplementedError

    def degrade(self, stage: str, why: str) -> None:
        """Labels a quality loss that no stage status shows: a cold user, an unknown ad, a fallback taken by choice."""
        raise NotImplementedError


@dataclass(frozen=True)
class Fault:
    """A failure switched on by a drill: kind slow (sleeps `ms`, asleep), busy (computes `ms`), fail (raises), hang (never returns while the drill lasts)."""

    kind: str
    ms: float = 0.0


class Stages:
    """The stages of one service. `limits_ms`: stage -> the most it may take; never more than what the deadline has left, less the reserve."""

    def __init__(self, limits_ms: Mapping[str, float]) -> None:
        self.faults: dict[str, Fault] = {}
        raise NotImplementedError

    def run(self, name: str, deadline: Deadline, call: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """`call()` if it ends within the stage's limit, else `otherwise()`; the timing and status are recorded on the deadline."""
        raise NotImplementedError

    def side_by_side(self, deadline: Deadline, calls: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Starts every call at once, each under its own limit and breaker; -> those that came in time, in the order given."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
