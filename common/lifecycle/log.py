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
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import orjson

from common.contract import Event, Events, Ints
from common.errors import InputError
from common.events import key_column, of, take, value_column

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
STRETCH = 500_000
HISTORY, TAIL, LOCK = "history.parquet", "tail.sqlite", "lock"


class EventLog:
    """Append-only. An event once acknowledged survives the process; the same event_id appended again gets its first position back.

    The tail is SQLite in WAL mode with synchronous=NORMAL: a kill -9 loses nothing acknowledged, a power loss may cost the last moments
    before it (never the order or the whole). One process writes (a lock file says so), any number read.
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._lock = None if read_only else _lock(folder)
        self._pending: list[_Batch] = []
        self._queue = threading.Lock()  # guards _pending
        self._commit = threading.Lock()  # held by the thread that writes for all that wait
        self._reading = threading.Lock()  # guards _reader
        try:
            self._writer, self._reader = _connect(folder / TAIL), _connect(folder / TAIL)
            schema, self._num_history = self._reader.execute("SELECT schema, num_history FROM log").fetchone()
            (found,) = self._reader.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            if schema != SCHEMA:
                raise sqlite3.DatabaseError(f"its schema is {schema}, expected {SCHEMA}")
            self._end = self._read_end()
            self._history_keys, self._history_values = _history_columns(folder / HISTORY, self._num_history)
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
        _check_history(history)
        if folder.exists():
            raise InputError(f"There is a log at {folder} already. Open it, or delete the folder to start over.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write_history(draft / HISTORY, history)
            tail = _connect(draft / TAIL)
            tail.execute("CREATE TABLE log (schema INTEGER, num_history INTEGER)")
            tail.execute("INSERT INTO log VALUES (?, ?)", (SCHEMA, len(history)))
            tail.execute(
                "CREATE TABLE events (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, content BLOB NOT NULL)"
            )
            tail.execute("CREATE TABLE columns (role TEXT, name TEXT, PRIMARY KEY (role, name))")
            tail.close()
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
        return self._read_end() if self.read_only else self._end

    def append(self, events: Sequence[Event]) -> Ints:
        """Durable on return; appends that arrive together share one commit. -> position of each.

        An event_id that is there already gets its first position, and the first event stands, if kind, keys and values are the same (a
        retry may carry a later event_time and moment); otherwise the whole call is an InputError and nothing of it is kept.
        """
        if self.read_only:
            raise InputError(f"The log at {self.folder} was opened read_only. Open it as a writer to append.")
        batch = _Batch(events, [_content(event) for event in events])
        with self._queue:
            self._pending.append(batch)
        with self._commit:
            if batch.positions is None and batch.error is None:  # nobody wrote it while we waited
                with self._queue:
                    together, self._pending = self._pending, []
                self._write(together)
        if batch.error is not None:
            raise batch.error
        assert batch.positions is not None
        return np.array(batch.positions, dtype=np.int64)

    def scan(self, since: int = 0, until: int | None = None) -> Iterator[Events]:
        """The events with since <= position < until, in log order, in stretches of at most 500,000. Every stretch has all key and value
        columns of the log."""
        end = self.end
        until = end if until is None else min(until, end)
        with self._reading:
            columns = self._reader.execute("SELECT role, name FROM columns").fetchall()
        keys = {*self._history_keys, *(name for role, name in columns if role == "key")}
        values = {*self._history_values, *(name for role, name in columns if role == "value")}
        if since < self._num_history:
            yield from (_with_columns(s, keys, values) for s in _scan_history(self.folder / HISTORY, since, until))
        for first in range(max(since, self._num_history), until, STRETCH):
            yield self._scan_tail(first, min(first + STRETCH, until), keys, values)

    def close(self) -> None:
        """Gives up the lock; appending or scanning afterwards is an error."""
        self._writer.close()
        self._reader.close()
        _unlock(self._lock)
        self._lock = None

    def _read_end(self) -> int:
        with_tail = self._reader.execute("SELECT max(position) FROM events").fetchone()[0] if self._reader else None
        return self._num_history if with_tail is None else int(with_tail) + 1

    def _scan_tail(self, since: int, until: int, keys: set[str], values: set[str]) -> Events:
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

    def _write(self, batches: list[_Batch]) -> None:
        """One transaction for all batches; a batch that contradicts the log fails alone."""
        end = self._end
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            placed: list[tuple[_Batch, list[int]]] = []
            for batch in batches:
                positions, fresh = self._place(batch, end)
                if batch.error is None:
                    self._insert(fresh)
                    end += len(fresh)
                    placed.append((batch, positions))
            self._writer.execute("COMMIT")
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for batch in batches:
                batch.error = error
            return
        self._end = end
        for batch, positions in placed:
            batch.positions = positions

    def _place(self, batch: _Batch, end: int) -> tuple[list[int], list[tuple[int, str, bytes, Event]]]:
        """Where each event of a batch goes: its first position if its id is known, else the next free one."""
        known: dict[str, tuple[int, bytes]] = {}
        fresh: list[tuple[int, str, bytes, Event]] = []
        positions: list[int] = []
        for event, content in zip(batch.events, batch.contents, strict=True):
            first = (
                known.get(event.event_id)
                or self._writer.execute(
                    "SELECT position, content FROM events WHERE event_id = ?", (event.event_id,)
                ).fetchone()
            )
            if first is None:
                first = (end + len(fresh), content)
                fresh.append((*first[:1], event.event_id, content, event))
            elif _claim(first[1]) != _claim(content):
                batch.error = InputError(
                    f"Event {event.event_id!r} is in the log already with other content: {_claim(first[1])}, now {_claim(content)}. "
                    "A new event needs a new event_id; a repeated one must be the same."
                )
                return [], []
            known[event.event_id] = first
            positions.append(first[0])
        return positions, fresh

    def _insert(self, fresh: list[tuple[int, str, bytes, Event]]) -> None:
        self._writer.executemany("INSERT INTO events VALUES (?, ?, ?)", (row[:3] for row in fresh))
        names = {("key", name) for *_, event in fresh for name in event.keys} | {
            ("value", name) for *_, event in fresh for name in event.values
        }
        self._writer.executemany("INSERT OR IGNORE INTO columns VALUES (?, ?)", sorted(names))


@dataclass(eq=False)
class _Batch:
    """One call of `append`, waiting to be written by whichever thread commits next."""

    events: Sequence[Event]
    contents: list[bytes]
    positions: list[int] | None = None
    error: BaseException | None = None


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


def _claim(content: bytes) -> list[Any]:
    """The part of an event its id stands for: kind, keys, values."""
    kind, _, _, keys, values = orjson.loads(content)
    return [kind, keys, values]


# ---------------------------------------------------------------------------------------------------------------------- history


def _check_history(history: Events) -> None:
    if not np.array_equal(history.position, np.arange(len(history))):
        raise InputError(
            "The history of a log must stand at positions 0, 1, 2, ... without a hole. Renumber it in log order."
        )
    if len(history) and history.event_time.min() < 0:
        raise InputError(
            f"The history holds an event_time of {history.event_time.min()}; expected seconds since 1970, >= 0."
        )


def _write_history(path: Path, history: Events) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "kind": pa.array(history.kind.tolist(), pa.string()).dictionary_encode(),
        "event_time": history.event_time,
        "moment": history.moment,
        **{f"key:{name}": column for name, column in history.keys.items()},
        **{f"value:{name}": column for name, column in history.values.items()},
    }
    with path.open("wb") as file:
        pq.write_table(pa.table(columns), file, row_group_size=STRETCH, compression="zstd", write_page_checksum=True)
        file.flush()
        os.fsync(file.fileno())


def _history_columns(path: Path, num_history: int) -> tuple[list[str], list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        meta = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. The history is torn; restore it or start a new log."
        ) from error
    if meta.num_rows != num_history:
        raise InputError(
            f"{path} holds {meta.num_rows} events, the tail goes on from {num_history}. They do not belong together."
        )
    names = meta.schema.to_arrow_schema().names
    return (
        [n.removeprefix("key:") for n in names if n.startswith("key:")],
        [n.removeprefix("value:") for n in names if n.startswith("value:")],
    )


def _scan_history(path: Path, since: int, until: int) -> Iterator[Events]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            first = 0
            for group in range(file.num_row_groups):
                num_rows = file.metadata.row_group(group).num_rows
                if first < until and first + num_rows > since:
                    stretch = _to_events(file.read_row_group(group), first)
                    yield take(stretch, slice(max(since - first, 0), until - first))
                first += num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. The history is damaged; restore it or start a new log."
        ) from error


def _to_events(table: pa.Table, first: int) -> Events:
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    kind = columns.pop("kind")
    numbers = {
        name: np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64) for name, column in columns.items()
    }
    return Events(
        position=np.arange(first, first + len(table), dtype=np.int64),
        kind=_kinds(kind),
        event_time=numbers["event_time"],
        moment=numbers["moment"],
        keys={name.removeprefix("key:"): column for name, column in numbers.items() if name.startswith("key:")},
        values={name.removeprefix("value:"): column for name, column in numbers.items() if name.startswith("value:")},
    )


def _kinds(kind: Any) -> np.ndarray:
    import pyarrow as pa

    encoded = kind if isinstance(kind, pa.DictionaryArray) else kind.dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return names[encoded.indices.to_numpy(zero_copy_only=False)] if len(names) else np.array([], dtype=np.str_)


def _with_columns(events: Events, keys: set[str], values: set[str]) -> Events:
    return Events(
        position=events.position,
        kind=events.kind,
        event_time=events.event_time,
        moment=events.moment,
        keys={name: key_column(events, name) for name in sorted(keys)},
        values={name: value_column(events, name) for name in sorted(values)},
    )


# ---------------------------------------------------------------------------------------------------------------------- the files


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


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
