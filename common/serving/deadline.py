"""The deadline: each stage of an answer has its own limit and a worse answer ready. Late is a loss of quality, never an error."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from common.contract import StageTiming, Timings
from common.errors import InputError, did_you_mean
from common.serving.lanes import QUICK_MS, Call, Lane, Threads

T = TypeVar("T")

FAULTS = ("slow", "busy", "fail", "hang")
NAP = 0.02  # seconds after which a sleeping fault looks whether it is still wanted


class Deadline:
    """The time left for one request and the record of where it went. All times in ms from the moment it was made."""

    def __init__(self, limit_ms: float) -> None:
        self.limit_ms = limit_ms
        self.reasons: list[tuple[str, str]] = []
        self._start = time.perf_counter()
        self._stages: list[StageTiming] = []

    def elapsed_ms(self) -> float:
        return self.ms(time.perf_counter())

    def left_ms(self) -> float:
        return self.limit_ms - self.elapsed_ms()

    def timings(self) -> Timings:
        return Timings(total=round(self.elapsed_ms(), 3), stages=list(self._stages))

    @property
    def degraded(self) -> list[str]:
        """Names of the stages that did not end "ok", in order, each once."""
        return list(dict.fromkeys(stage for stage, _ in self.reasons))

    def degrade(self, stage: str, why: str) -> None:
        """Labels a quality loss that no stage status shows: a cold user, an unknown ad, a fallback taken by choice."""
        self.reasons.append((stage, why))

    def ms(self, moment: float) -> float:
        """A moment of time.perf_counter, in ms from when this was made."""
        return (moment - self._start) * 1e3

    def take(self, other: Deadline) -> None:
        """All that happened under `other`, in which this request was answered together with others, as if it had happened under this one."""
        shift = self.ms(other._start)
        for stage in other._stages:
            start, end = round(stage.start + shift, 3), round(stage.end + shift, 3)
            self._stages.append(replace(stage, start=start, end=end))
        self.reasons += other.reasons

    def record(self, stage: str, start_ms: float, end_ms: float, status: str) -> None:
        self._stages.append(StageTiming(name=stage, start=round(start_ms, 3), end=round(end_ms, 3), status=status))
        if status != "ok":
            self.degrade(stage, status)


@dataclass(frozen=True)
class Fault:
    """A failure switched on by a drill: kind slow (sleeps `ms`, asleep), busy (computes `ms`), fail (raises), hang (never returns while the drill lasts)."""

    kind: str
    ms: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise InputError(f"There is no fault {self.kind!r}. {did_you_mean(self.kind, FAULTS)}")


class Stages:
    """The stages of one service. `limits_ms`: stage -> the most it may take; never more than what the deadline has left, less the reserve.

    `faults` (stage -> Fault) takes effect on the next call; removing the entry, or `close`, lets a hanging call go. An exception of a stage
    is the status "failed" and a traceback in the log: what the user did wrong is to be found before the first stage is run.
    """

    def __init__(self, limits_ms: Mapping[str, float], *, reserve_ms: float = 2.0) -> None:
        self.faults: dict[str, Fault] = {}
        self.limits_ms = dict(limits_ms)
        self.reserve_ms = reserve_ms
        self._threads = Threads()
        self._lanes = {name: Lane(name, self._threads) for name in limits_ms}
        # a service that is swapped out takes its threads with it; they do not know this object
        weakref.finalize(self, self._threads.close)

    def run(self, name: str, deadline: Deadline, call: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """`call()` if it ends within the stage's limit, else `otherwise()`; the timing and status are recorded on the deadline."""
        came = self.side_by_side(deadline, {name: call})
        return came[name] if came else otherwise()

    def side_by_side(self, deadline: Deadline, calls: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Each call under its own limit, from now on, and its own breaker; -> those that came in time, in the order given."""
        start_ms = deadline.elapsed_ms()
        asked = {name: self._admitted(name, deadline, start_ms, call) for name, call in calls.items()}
        waiting = deque(call for call in asked.values() if isinstance(call, Call))
        if waiting:
            self._threads.work_on(waiting)
        came: dict[str, T] = {}
        for name, call in asked.items():
            if not isinstance(call, Call):
                deadline.record(name, start_ms, start_ms, call)
                continue
            end_ms = start_ms + call.limit_ms
            if waiting and not call.ends_within(min(QUICK_MS, end_ms - deadline.elapsed_ms())):
                for _ in range(len(waiting)):
                    self._threads.work_on(waiting)
            status = self._lanes[name].wait(call, end_ms - deadline.elapsed_ms())
            if status == "ok":
                came[name] = call.result
            began = deadline.ms(call.began) if call.began else start_ms
            deadline.record(name, began, deadline.ms(call.ended) if call.ended else deadline.elapsed_ms(), status)
        return came

    def close(self) -> None:
        """Lets hanging calls go and ends the threads; a call after this is "open"."""
        self._threads.close()

    def _admitted(self, name: str, deadline: Deadline, start_ms: float, call: Callable[[], Any]) -> Call | str:
        """The call, or the status that says why it is not started."""
        assert name in self._lanes, f"stage {name!r} has no limit; known: {sorted(self._lanes)}"
        limit_ms = min(self.limits_ms[name], deadline.limit_ms - start_ms - self.reserve_ms)
        if self._threads.closed:
            return "open"
        if limit_ms <= 0:
            return "cut"
        fault, lane = self.faults.get(name), self._lanes[name]
        return lane.refuses() or Call(lane, self._broken(name, fault, call) if fault else call, limit_ms)

    def _broken(self, name: str, fault: Fault, call: Callable[[], T]) -> Callable[[], T]:
        """`call` with the fault in front of it, in the stage's own thread as the real thing would be."""
        threads = self._threads

        def broken() -> T:
            if fault.kind == "fail":
                raise RuntimeError(f"drill: {name} fails")
            end = time.perf_counter() + fault.ms / 1e3
            if fault.kind == "slow":
                while not threads.closed and (left := end - time.perf_counter()) > 0:
                    time.sleep(min(left, NAP))
            elif fault.kind == "busy":
                while time.perf_counter() < end:
                    pass
            else:
                while not threads.closed and self.faults.get(name) is fault:
                    time.sleep(NAP)
            return call()

        return broken
