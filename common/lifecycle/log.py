"""The event log: bulk history in Parquet, the live tail in SQLite, one `scan` over both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from common.contract import Event, Events, Ints


class EventLog:
    """Append-only. An event once acknowledged survives the process; the same event_id appended again gets its first position back."""

    @classmethod
    def create(cls, folder: Path, history: Events | None = None) -> EventLog:
        """Starts a log whose first events are `history` (positions 0..n-1, written once as Parquet, whole or not at all)."""
        raise NotImplementedError

    @classmethod
    def open(cls, folder: Path) -> EventLog:
        raise NotImplementedError

    @property
    def end(self) -> int:
        """The position the next event will get: the moment `now`."""
        raise NotImplementedError

    def append(self, events: Sequence[Event]) -> Ints:
        """Durable on return; appends that arrive together share one commit. -> position of each."""
        raise NotImplementedError

    def scan(self, since: int = 0, until: int | None = None) -> Iterator[Events]:
        """The events with since <= position < until, in log order, in stretches of at most 500,000."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
