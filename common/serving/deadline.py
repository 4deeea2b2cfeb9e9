"""The deadline: each stage of an answer has its own limit and a worse answer ready. Late is a loss of quality, never an error.

Python cannot stop a thread, so a stage that is cut off keeps its thread until it ends: each stage has its own executor with at most two
calls in flight. A third is not started before one of them ends; if none does within its limit, or both are abandoned already, it is
"busy". Five misses in a row open the stage's breaker for a second ("open"); after that one more miss opens it again, one answer closes it.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from common.contract import StageTiming, Timings
from common.errors import InputError, did_you_mean

T = TypeVar("T")

IN_FLIGHT = 2  # four abandoned busy threads stall every other stage of the process; two is what it can afford to lose
MISSES = 5
OPEN_SECONDS = 1.0
FAULTS = ("slow", "busy", "fail", "hang")
logger = logging.getLogger(__name__)


class Deadline:
    """The time left for one request and the record of where it went. All times in ms from the moment it was made."""

    def __init__(self, limit_ms: float) -> None:
        self.limit_ms = limit_ms
        self.reasons: list[tuple[str, str]] = []
        self._start = time.perf_counter()
        self._stages: list[StageTiming] = []

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self._start) * 1e3

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

    def record(self, stage: str, start_ms: float, status: str) -> None:
        self._stages.append(
            StageTiming(name=stage, start=round(start_ms, 3), end=round(self.elapsed_ms(), 3), status=status)
        )
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
        self._lanes = {name: _Lane(name) for name in limits_ms}
        self._closed = threading.Event()
        # a service that is swapped out takes its threads with it; they know their lane and not this object
        weakref.finalize(self, _close, self._closed, list(self._lanes.values()))

    def run(self, name: str, deadline: Deadline, call: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """`call()` if it ends within the stage's limit, else `otherwise()`; the timing and status are recorded on the deadline."""
        came = self.side_by_side(deadline, {name: call})
        return came[name] if came else otherwise()

    def side_by_side(self, deadline: Deadline, calls: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Starts every call at once, each under its own limit and breaker; -> those that came in time, in the order given."""
        started = {name: self._start(name, deadline, call) for name, call in calls.items()}
        came: dict[str, T] = {}
        for name, (start_ms, limit_ms, call) in started.items():
            if isinstance(call, _Call):
                status = self._lanes[name].wait(call, start_ms + limit_ms - deadline.elapsed_ms())
                if status == "ok":
                    came[name] = call.result
            else:
                status = call
            deadline.record(name, start_ms, status)
        return came

    def close(self) -> None:
        """Lets hanging calls go and ends the threads; a call after this is "open"."""
        _close(self._closed, list(self._lanes.values()))

    def _start(self, name: str, deadline: Deadline, call: Callable[[], Any]) -> tuple[float, float, _Call | str]:
        """-> (start, limit, the call on its way or the status that says why it was not started)."""
        assert name in self._lanes, f"stage {name!r} has no limit; known: {sorted(self._lanes)}"
        start_ms = deadline.elapsed_ms()
        limit_ms = min(self.limits_ms[name], deadline.limit_ms - start_ms - self.reserve_ms)
        if self._closed.is_set():
            return start_ms, limit_ms, "open"
        if limit_ms <= 0:
            return start_ms, limit_ms, "cut"
        fault = self.faults.get(name)
        return start_ms, limit_ms, self._lanes[name].start(self._broken(name, fault, call) if fault else call)

    def _broken(self, name: str, fault: Fault, call: Callable[[], T]) -> Callable[[], T]:
        """`call` with the fault in front of it, in the stage's own thread as the real thing would be."""

        def broken() -> T:
            if fault.kind == "fail":
                raise RuntimeError(f"drill: {name} fails")
            if fault.kind == "slow":
                self._closed.wait(fault.ms / 1e3)
            elif fault.kind == "busy":
                end = time.perf_counter() + fault.ms / 1e3
                while time.perf_counter() < end:
                    pass
            else:
                while self.faults.get(name) is fault and not self._closed.wait(0.02):
                    pass
            return call()

        return broken


def _close(closed: threading.Event, lanes: list[_Lane]) -> None:
    closed.set()
    for lane in lanes:
        lane.close()


class _Call:
    """One call on its way. `state` (queued, running, ended, abandoned) changes under the lane's lock; `done` is released when it has ended."""

    __slots__ = ("call", "done", "error", "result", "state")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.state = "queued"
        self.result: Any = None
        self.error: Exception | None = None
        self.done = threading.Lock()  # a bare lock costs a fifth of an Event
        self.done.acquire()


class _Lane:
    """The executor and the breaker of one stage. Threads are daemons: ThreadPoolExecutor's are joined at exit, so a hang would keep the process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: SimpleQueue[_Call | None] = SimpleQueue()
        self.lock = threading.Lock()
        self.threads = self.pending = self.abandoned = self.misses = 0
        self.open_until = self.next_log = 0.0

    def start(self, call: Callable[[], Any]) -> _Call | str:
        with self.lock:
            if time.monotonic() < self.open_until:
                return "open"
            if self.abandoned >= IN_FLIGHT:
                return "busy"
            self.pending += 1
            spawn = self.threads < min(IN_FLIGHT, self.pending)
            self.threads += spawn
        if spawn:
            threading.Thread(target=self._work, name=f"stage-{self.name}", daemon=True).start()
        started = _Call(call)
        self.queue.put(started)
        return started

    def wait(self, call: _Call, limit_ms: float) -> str:
        """-> ok, failed, late (it goes on without us) or busy (its turn never came)."""
        call.done.acquire(timeout=max(0.0, limit_ms / 1e3))
        with self.lock:
            if call.state == "ended":
                status = "failed" if call.error else "ok"
            else:
                status = "late" if call.state == "running" else "busy"
                self.abandoned += call.state == "running"
                call.state = "abandoned"
            if status == "ok":
                self.misses = 0
            elif status != "busy":
                self.misses += 1
                if self.misses >= MISSES:
                    self.open_until = time.monotonic() + OPEN_SECONDS
        return status

    def close(self) -> None:
        for _ in range(IN_FLIGHT):
            self.queue.put(None)

    def _work(self) -> None:
        while (call := self.queue.get()) is not None:
            with self.lock:
                wanted = call.state == "queued"
                if wanted:
                    call.state = "running"
            if wanted:
                try:
                    call.result = call.call()
                except Exception as error:
                    call.error = error
                    if call.state != "abandoned":  # "late" says it all; what it read from may be closed by now
                        self._log(error)
            with self.lock:
                self.pending -= 1
                self.abandoned -= wanted and call.state == "abandoned"
                call.state = "ended"
            call.done.release()
            call = None  # an idle thread must not keep the last answer alive

    def _log(self, error: Exception) -> None:
        """At most one traceback a second: a stage that fails on every request must not fill the disk as well."""
        if time.monotonic() >= self.next_log:
            self.next_log = time.monotonic() + 1.0
            logger.error("stage %s failed", self.name, exc_info=error)
