"""Writes that nobody waits for but who reads next: one thread, in the order they were asked for."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger(__name__)


class Afterwards:
    """Runs calls beside the thread that asked. `wait` returns once all that were asked for before it have ended."""

    def __init__(self) -> None:
        self._state = _State()
        weakref.finalize(self, self._state.queue.put, None)

    def do(self, call: Callable[[], object]) -> None:
        """A call that fails is logged; it ends all the same."""
        state = self._state
        with state.changed:
            if state.closed:  # what was not done is in the log: whoever opens the store next does it
                return
            state.asked += 1
            if state.thread is None:
                state.thread = threading.Thread(target=_work, args=(state,), name="afterwards", daemon=True)
                state.thread.start()
            state.queue.put(call)

    def wait(self, seconds: float | None = None) -> bool:
        """At most `seconds`; -> whether everything has ended."""
        state = self._state
        with state.changed:
            asked = state.asked
            return state.changed.wait_for(lambda: state.ended >= asked, seconds)

    def close(self) -> None:
        """What was asked for is done first; what is asked for later is not."""
        with self._state.changed:
            self._state.closed = True
        self._state.queue.put(None)
        if self._state.thread is not None:
            self._state.thread.join()


class _State:
    """What the thread knows; not the object, which may be collected while the thread waits."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.changed = threading.Condition()
        self.asked = self.ended = 0
        self.closed = False
        self.thread: threading.Thread | None = None


def _work(state: _State) -> None:
    while (call := state.queue.get()) is not None:
        try:
            call()
        except Exception:
            logger.exception("a write that nobody waited for failed")
        call = None  # an idle thread must not keep what it wrote to alive
        with state.changed:
            state.ended += 1
            state.changed.notify_all()
