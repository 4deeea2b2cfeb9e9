"""A case's platform as it stood at one moment: read beside whoever serves the case, changed by nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from common.contract import Event, Events
from common.lifecycle.log import Appended, EventLog


class StillLog:
    """The log as far as it went when this was made. What a service appends is taken and forgotten: the impressions of a batch job were
    shown to nobody, and in the log they would move every rate.

    A stand-in for an EventLog wherever a service logs what it showed (`serving.platform.record`) and the live store follows it.
    """

    read_only = True

    def __init__(self, log: EventLog) -> None:
        """`log`: open, to read."""
        self._log = log
        self.end = log.end

    def append(self, events: Sequence[Event]) -> Appended:
        return Appended(positions=np.full(len(events), self.end), is_new=np.zeros(len(events), dtype=np.bool_))

    def scan(self, since: int = 0, until: int | None = None) -> Iterator[Events]:
        until = self.end if until is None else min(until, self.end)
        return self._log.scan(since, until) if since < until else iter(())

    def find(self, event_ids: Sequence[str]) -> list[Event | None]:
        return self._log.find(event_ids)

    def close(self) -> None:
        self._log.close()


def copy(live: Path, target: Path) -> None:
    """The live store at one position, though another process goes on writing it; nothing where there is none yet."""
    if live.exists():
        with closing(sqlite3.connect(live, timeout=30.0)) as source, closing(sqlite3.connect(target)) as into:
            source.backup(into)
