"""Where the stages of an answer run: threads that may be left behind, and for each stage what of it is in flight, with a breaker.

Python cannot stop a thread, so a stage that is cut off keeps its thread until it ends: each stage has at most two calls in flight. A third
is not started before one of them ends; if none does within its limit, or both are abandoned already, it is "busy". Five misses in a row
open the stage's breaker for a second ("open"); after that one more miss opens it again, one answer closes it.

Stages asked for side by side share one thread, one after the other, as long as each is quick: to wake a thread costs more than most of them
take. The first that is not quick keeps that thread, and each of those behind it gets one of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

QUICK_MS = 4.0  # what a stage may take before those behind it wait for it no longer
IN_FLIGHT = 2  # four abandoned busy threads stall every other stage of the process; two is what it can afford to lose
MISSES = 5
OPEN_SECONDS = 1.0
logger = logging.getLogger(__name__)


class Call:
    """One call on its way. `state` (queued, running, ended, abandoned) changes under the lane's lock; `done` is released when it has ended.
    `began` and `ended` are moments of time.perf_counter, 0 until then."""

    __slots__ = ("began", "call", "done", "ended", "error", "lane", "limit_ms", "result", "state")

    def __init__(self, lane: Lane, call: Callable[[], Any], limit_ms: float) -> None:
        self.lane, self.call, self.limit_ms = lane, call, limit_ms
        self.state = "queued"
        self.began = self.ended = 0.0
        self.result: Any = None
        self.error: Exception | None = None
        self.done = threading.Lock()  # a bare lock costs a fifth of an Event
        self.done.acquire()

    def ends_within(self, ms: float) -> bool:
        ended = self.done.acquire(timeout=max(0.0, ms / 1e3))
        if ended:
            self.done.release()
        return ended


class Lane:
    """One stage of a service."""

    def __init__(self, name: str, threads: Threads) -> None:
        self.name = name
        self.threads = threads
        self.queue: deque[Call] = deque()  # their turn comes when one in flight ends
        self.lock = threading.Lock()
        self.running = self.abandoned = self.misses = 0
        self.open_until = self.next_log = 0.0

    def refuses(self) -> str | None:
        """The status of a call that is not to be started."""
        with self.lock:
            if time.monotonic() < self.open_until:
                return "open"
            return "busy" if self.abandoned >= IN_FLIGHT else None

    def wait(self, call: Call, limit_ms: float) -> str:
        """-> ok, failed, late (it goes on without us) or busy (its turn never came)."""
        call.ends_within(limit_ms)
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

    def run(self, call: Call) -> None:
        """In the thread that asks; where two are in flight already, in that of the first to end."""
        with self.lock:
            if self.running >= IN_FLIGHT:
                self.queue.append(call)
                return
            if call.state != "queued":
                return
            call.state, call.began = "running", time.perf_counter()
            self.running += 1
        try:
            call.result = call.call()
        except Exception as error:
            call.error = error
            if call.state != "abandoned":  # "late" says it all; what it read from may be closed by now
                self._log(error)
        with self.lock:
            self.running -= 1
            self.abandoned -= call.state == "abandoned"
            call.state, call.ended = "ended", time.perf_counter()
            while self.queue and self.queue[0].state != "queued":
                self.queue.popleft()
            following = self.queue.popleft() if self.queue else None
        call.done.release()
        if following is not None:
            self.threads.work_on(deque([following]))

    def _log(self, error: Exception) -> None:
        """At most one traceback a second: a stage that fails on every request must not fill the disk as well."""
        if time.monotonic() >= self.next_log:
            self.next_log = time.monotonic() + 1.0
            logger.error("stage %s failed", self.name, exc_info=error)


class Threads:
    """As many as there is work for at once. They are daemons: ThreadPoolExecutor's are joined at exit, so a hang would keep the process.

    No lock is held here. `close` may be called by the garbage collector, in any thread and in the midst of any line of this class: a lock that
    this very thread holds would never be given.
    """

    def __init__(self) -> None:
        self.closed = False
        self._idle: deque[SimpleQueue[deque[Call] | None]] = deque()  # the letter box of each thread with nothing to do

    def work_on(self, calls: deque[Call]) -> None:
        """One thread more takes these calls, in order, until none is left."""
        try:
            box = self._idle.pop()
        except IndexError:
            box = SimpleQueue()
            threading.Thread(target=self._work, args=(box,), name="stage", daemon=True).start()
        box.put(calls)

    def close(self) -> None:
        """A thread that works ends when its work does."""
        self.closed = True
        while self._idle:
            try:
                self._idle.pop().put(None)
            except IndexError:  # taken for work at this moment
                return

    def _work(self, box: SimpleQueue[deque[Call] | None]) -> None:
        while (calls := box.get()) is not None:
            _go_through(calls)
            calls = None  # an idle thread must not keep the last answer alive
            self._idle.append(box)
            if self.closed:  # perhaps before the box stood among those that `close` emptied
                return


def _go_through(calls: deque[Call]) -> None:
    while calls:
        try:
            call = calls.popleft()
        except IndexError:  # another thread took the last
            return
        call.lane.run(call)
