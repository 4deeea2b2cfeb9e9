"""Where a server takes its time from: the machine, or a simulation that moves it."""

from __future__ import annotations

import time


class SystemClock:
    def now(self) -> int:
        """Seconds since the epoch, UTC."""
        return int(time.time())


class SimulatedClock:
    """Stands still until it is set. Starts at the machine's time, so a server nobody drives yet is not in 1970."""

    def __init__(self, now: int | None = None) -> None:
        self._now = int(time.time()) if now is None else now

    def now(self) -> int:
        return self._now

    def set(self, now: int) -> None:
        self._now = now
