"""The living end of an event log: one SQLite row an event, unique by event_id. Batches that wait together share one commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from common.contract import Event, Events
from common.data.checkpoints import Checkpoints
from common.errors import InputError

SCHEMA = 1


@dataclass(eq=False)
class Batch:
    """One call of `append`, waiting to be written by whichever thread commits next."""

    events: Sequence[Event]
    contents: list[bytes]
    positions: list[int] | None = None
    is_new: list[bool] | None = None
    error: BaseException | None = None

    @classmethod
    def of(cls, events: Sequence[Event]) -> Batch:
        return cls(events, [_content(event) for event in events])


class Tail:
    """WAL mode with synchronous=NORMAL: a kill -9 loses nothing committed. One thread at a time may write, any number read."""

    def __init__(self, path: Path) -> None:
        """A file that is no tail, or a damaged one, is a sqlite3.Error or a TypeError."""
        self._reading = threading.Lock()  # guards _reader
        self._writer, self._reader = _connect(path), _connect(path)
        schema, self.num_history = self._reader.execute("SELECT schema, num_history FROM log").fetchone()
        (found,) = self._reader.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        if schema != SCHEMA:
            raise sqlite3.DatabaseError(f"its schema is {schema}, expected {SCHEMA}")
        self._checkpoints = Checkpoints(path, self._writer)
        self.end = self.read_end()  # as far as this process has written

    @staticmethod
    def create(path: Path, num_history: int) -> None:
        tail = _connect(path)
        tail.execute("CREATE TABLE log (schema INTEGER, num_history INTEGER)")
        tail.execute("INSERT INTO log VALUES (?, ?)", (SCHEMA, num_history))
        tail.execute(
            "CREATE TABLE events (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, content BLOB NOT NULL)"
        )
        tail.execute("CREATE TABLE columns (role TEXT, name TEXT, PRIMARY KEY (role, name))")
        tail.close()

    def read_end(self) -> int:
        """The next free position as the file says it: another process may be the writer."""
        with self._reading:
            (last,) = self._reader.execute("SELECT max(position) FROM events").fetchone()
        return int(self.num_history) if last is None else int(last) + 1

    def column_names(self) -> tuple[list[str], list[str]]:
        """Of keys and of values."""
        with self._reading:
            columns = self._reader.execute("SELECT role, name FROM columns").fetchall()
        keys, values = ([name for of, name in columns if of == role] for role in ("key", "value"))
        return keys, values

    def read(self, since: int, until: int, keys: set[str], values: set[str]) -> Events:
        with self._reading:
            rows = self._reader.execute(
                "SELECT content FROM events WHERE position >= ? AND position < ? ORDER BY position", (since, until)
            ).fetchall()
        contents = orjson.loads(b"[" + b",".join([content for (content,) in rows]) + b"]")
        assert len(contents) == until - since, "a hole in the tail"
        kinds, times, moments, key_rows, value_rows = zip(*contents, strict=True)
        return Events(
            position=np.arange(since, until, dtype=np.int64),
            kind=np.array(kinds, dtype=np.str_),
            event_time=np.array(times, dtype=np.int64),
            moment=np.array(moments, dtype=np.int64),
            keys={name: np.array([row.get(name, -1) for row in key_rows], dtype=np.int64) for name in sorted(keys)},
            values={
                name: np.array([row.get(name, 0) for row in value_rows], dtype=np.int64) for name in sorted(values)
            },
        )

    def find(self, event_ids: Sequence[str]) -> list[Event | None]:
        """The ids go in as one JSON list, so their number is not bound by how many parameters a statement may have; SQLite reads JSON text
        up to a NUL, so an id with a NUL in it is not found."""
        with self._reading:
            rows = self._reader.execute(
                "SELECT event_id, content FROM events WHERE event_id IN (SELECT value FROM json_each(?))",
                (orjson.dumps(list(event_ids)).decode(),),
            ).fetchall()
        found = {event_id: _event(event_id, content) for event_id, content in rows}
        return [found.get(event_id) for event_id in event_ids]

    def write(self, batches: list[Batch]) -> None:
        """One transaction for all batches; a batch that contradicts the log fails alone."""
        end = self.end
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            placed: list[tuple[Batch, list[int], list[bool]]] = []
            for batch in batches:
                positions, is_new, fresh = self._place(batch, end)
                if batch.error is None:
                    self._insert(fresh)
                    end += len(fresh)
                    placed.append((batch, positions, is_new))
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for batch in batches:
                batch.error = error
            return
        self._checkpoints.committed()
        self.end = end
        for batch, positions, is_new in placed:
            batch.positions, batch.is_new = positions, is_new

    def _place(self, batch: Batch, end: int) -> tuple[list[int], list[bool], list[_Fresh]]:
        """Where each event of a batch goes: its first position if its id is known, else the next free one, and whether it is new."""
        known: dict[str, tuple[int, bytes]] = {}  # within the batch
        fresh: list[_Fresh] = []
        positions: list[int] = []
        is_new: list[bool] = []
        for event, content in zip(batch.events, batch.contents, strict=True):
            first = (
                known.get(event.event_id)
                or self._writer.execute(
                    "SELECT position, content FROM events WHERE event_id = ?", (event.event_id,)
                ).fetchone()
            )
            is_new.append(first is None)
            if first is None:
                first = (end + len(fresh), content)
                fresh.append((first[0], event.event_id, content, event))
            elif _claim(first[1]) != _claim(content):
                batch.error = InputError(
                    f"Event {event.event_id!r} is in the log already with other content: {_claim(first[1])}, now {_claim(content)}. "
                    "A new event needs a new event_id; a repeated one must be the same."
                )
                return [], [], []
            known[event.event_id] = first
            positions.append(first[0])
        return positions, is_new, fresh

    def _insert(self, fresh: list[_Fresh]) -> None:
        self._writer.executemany("INSERT INTO events VALUES (?, ?, ?)", (row[:3] for row in fresh))
        names = {("key", name) for *_, event in fresh for name in event.keys} | {
            ("value", name) for *_, event in fresh for name in event.values
        }
        self._writer.executemany("INSERT OR IGNORE INTO columns VALUES (?, ?)", sorted(names))

    def close(self) -> None:
        self._checkpoints.close()
        self._writer.close()
        self._reader.close()


_Fresh = tuple[int, str, bytes, Event]  # position, event_id, content, event


def _content(event: Event) -> bytes:
    """What is stored of an event; sorted, so that equal events are equal bytes."""
    numbers = {"event_time": event.event_time, **event.keys, **event.values, "moment": event.moment}
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not -(2**63) <= number < 2**63:
            raise InputError(f"Event {event.event_id!r}: {name} is {number!r}; expected a whole number of 64 bits.")
    if event.event_time < 0:
        raise InputError(
            f"Event {event.event_id!r}: event_time is {event.event_time}; expected seconds since 1970, >= 0."
        )
    if not event.event_id or not event.kind:
        raise InputError(f"An event needs an event_id and a kind; got {event!r}.")
    row = [event.kind, event.event_time, event.moment, dict(event.keys), dict(event.values)]
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def _event(event_id: str, content: bytes) -> Event:
    """The inverse of `_content`."""
    kind, event_time, moment, keys, values = orjson.loads(content)
    return Event(event_id=event_id, kind=kind, event_time=event_time, keys=keys, values=values, moment=moment)


def _claim(content: bytes) -> list[Any]:
    """The part of an event its id stands for: kind, keys, values."""
    kind, _, _, keys, values = orjson.loads(content)
    return [kind, keys, values]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection
