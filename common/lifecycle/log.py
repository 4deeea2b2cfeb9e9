"""The event log: bulk history in Parquet, the live tail in SQLite, one `scan` over both."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from common.contract import Bools, Event, Events, Ints
from common.errors import InputError
from common.events import key_column, of, value_column
from common.lifecycle import history as history_file
from common.lifecycle.history import STRETCH
from common.lifecycle.tail import Batch, Tail

HISTORY, TAIL, LOCK = "history.parquet", "tail.sqlite", "lock"


@dataclass(frozen=True, kw_only=True)
class Appended:
    """Of each event of one `append`: its position, and whether this call put it there (False: its event_id was known)."""

    positions: Ints
    is_new: Bools


class EventLog:
    """Append-only. An event once acknowledged survives the process; the same event_id appended again gets its first position back.

    The tail is SQLite in WAL mode with synchronous=NORMAL: a kill -9 loses nothing acknowledged, a power loss may cost the last moments
    before it (never the order or the whole). One process writes (a lock file says so), any number read.
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._lock = None if read_only else _lock(folder)
        self._pending: list[Batch] = []
        self._queue = threading.Lock()  # guards _pending
        self._commit = threading.Lock()  # held by the thread that writes for all that wait
        try:
            self._tail = Tail(folder / TAIL)
            self._history_names = history_file.column_names(folder / HISTORY, self._tail.num_history)
        except (sqlite3.Error, TypeError) as error:
            _unlock(self._lock)
            raise InputError(
                f"{folder / TAIL} is not the tail of an event log: {error}. Restore the folder or start a new log."
            ) from error
        except InputError:
            _unlock(self._lock)
            raise

    @classmethod
    def create(cls, folder: Path, history: Events | None = None) -> EventLog:
        """Starts a log whose first events are `history` (positions 0..n-1, written once as Parquet). The folder appears whole or not at
        all; one that is already there is refused."""
        history = of([]) if history is None else history
        history_file.check(history)
        if folder.exists():
            raise InputError(f"There is a log at {folder} already. Open it, or delete the folder to start over.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            history_file.write(draft / HISTORY, history)
            Tail.create(draft / TAIL, len(history))
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(folder, read_only=False)

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> EventLog:
        """Opens a log as its one writer, or as one of many readers. A torn or foreign folder is an InputError."""
        for name in (HISTORY, TAIL):
            if not (folder / name).is_file():
                raise InputError(
                    f"{folder} is not an event log: it has no {name}. Expected a folder made by EventLog.create."
                )
        return cls(folder, read_only)

    @property
    def end(self) -> int:
        """The position the next event will get: the moment `now`."""
        return self._tail.read_end() if self.read_only else self._tail.end

    def append(self, events: Sequence[Event]) -> Appended:
        """Durable on return; appends that arrive together share one commit.

        An event_id that is there already gets its first position, and the first event stands, if kind, keys and values are the same (a
        retry may carry a later event_time and moment); otherwise the whole call is an InputError and nothing of it is kept.
        """
        if self.read_only:
            raise InputError(f"The log at {self.folder} was opened read_only. Open it as a writer to append.")
        batch = Batch.of(events)
        with self._queue:
            self._pending.append(batch)
        with self._commit:
            if batch.positions is None and batch.error is None:  # nobody wrote it while we waited
                with self._queue:
                    together, self._pending = self._pending, []
                self._tail.write(together)
        if batch.error is not None:
            raise batch.error
        assert batch.positions is not None
        return Appended(
            positions=np.array(batch.positions, dtype=np.int64), is_new=np.array(batch.is_new, dtype=np.bool_)
        )

    def find(self, event_ids: Sequence[str]) -> list[Event | None]:
        """The event of each id, None where there is none; one query for all. Only events that were appended are found: those of the
        history the log was created with have no event_id."""
        return self._tail.find(event_ids)

    def scan(self, since: int = 0, until: int | None = None) -> Iterator[Events]:
        """The events with since <= position < until, in log order, in stretches of at most 500,000. Every stretch has all key and value
        columns of the log."""
        end, num_history = self.end, self._tail.num_history
        until = end if until is None else min(until, end)
        keys, values = ({*old, *new} for old, new in zip(self._history_names, self._tail.column_names(), strict=True))
        if since < num_history:
            old = history_file.scan(self.folder / HISTORY, since, until)
            yield from (_with_columns(stretch, keys, values) for stretch in old)
        for first in range(max(since, num_history), until, STRETCH):
            yield self._tail.read(first, min(first + STRETCH, until), keys, values)

    def close(self) -> None:
        """Gives up the lock; appending or scanning afterwards is an error."""
        self._tail.close()
        _unlock(self._lock)
        self._lock = None


def _with_columns(events: Events, keys: set[str], values: set[str]) -> Events:
    return Events(
        position=events.position,
        kind=events.kind,
        event_time=events.event_time,
        moment=events.moment,
        keys={name: key_column(events, name) for name in sorted(keys)},
        values={name: value_column(events, name) for name in sorted(values)},
    )


def _lock(folder: Path) -> IO[str]:
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = json.loads(file.read() or "{}").get("pid", "unknown")
        file.close()
        raise InputError(
            f"The log at {folder} is being written by process {owner}. Stop it, or open the log with read_only=True."
        ) from error
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid()}))
    file.flush()
    return file


def _unlock(file: IO[str] | None) -> None:
    if file is not None:
        file.close()
