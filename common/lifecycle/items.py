"""Items put and deleted while a case is served: what an artifact's catalog/, which ends with training, cannot know.

One SQLite file for each case, whatever versions it has: an item that was deleted stays gone when another version is served. It holds the
last change of every item that ever had one, so a reader that knows everything up to some version asks for what came after, and a server
that starts asks for all of it. Any number of processes may read and write.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Bools, Ints
from common.errors import InputError, NotReady

SCHEMA = 1
WAIT_SECONDS = 5.0  # for another process that is writing
PATIENCE_SECONDS = 0.001  # for another thread that looks


@dataclass(frozen=True, kw_only=True)
class Change:
    """The last that happened to one item. body: JSON as it was put; None: deleted. Versions count up over all items of the case."""

    item_id: int
    version: int
    body: bytes | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Every item that was ever put or deleted, up to `version`. [n] each, ascending by item_id: when it changed last, and whether that
    deleted it."""

    version: int
    item_id: Ints
    changed: Ints
    deleted: Bools

    def barred(self, built: int) -> Ints:
        """Ids, ascending, that may not be shown by who has taken in all changes up to version `built` and none after it: what is deleted,
        and what was changed since, which they could only show as it no longer is."""
        return self.item_id[self.deleted | (self.changed > built)]

    def after(self, rows: Sequence[tuple[int, int, int]]) -> Known:
        """rows: (item_id, version, deleted) of what came next, each item once."""
        if not rows:
            return self
        item_id, changed, deleted = np.array(sorted(rows), dtype=np.int64).T
        at = np.searchsorted(self.item_id, item_id)
        old = np.append(self.item_id, -1)[at] == item_id
        whens, gone = self.changed.copy(), self.deleted.copy()
        whens[at[old]], gone[at[old]] = changed[old], deleted[old]
        new = ~old
        return Known(
            version=int(changed.max()),
            item_id=np.insert(self.item_id, at[new], item_id[new]),
            changed=np.insert(whens, at[new], changed[new]),
            deleted=np.insert(gone, at[new], deleted[new].astype(np.bool_)),
        )


NONE = np.empty(0, dtype=np.int64)


class ItemStore:
    """Durable on return, also after a power cut (WAL, synchronous=FULL): items change rarely, and "gone" is a promise to somebody.

    `known` is what this process has seen, without any reading: all of its own changes, before they are acknowledged. `still` asks whether
    there is more by now, by another process: SQLite's `PRAGMA data_version`, some microseconds in shared memory, no disk. `look` reads it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.closed = path, False
        self._writing, self._looking, self._reading = threading.Lock(), threading.Lock(), threading.Lock()
        self._moved = threading.Condition()
        self._known = Known(version=0, item_id=NONE, changed=NONE, deleted=NONE.astype(np.bool_))
        self._stamp = -1
        try:
            self._writer, self._watcher, self._reader = (_connect(path) for _ in range(3))
            self._prepare()
            self.look()
        except sqlite3.Error as error:
            raise InputError(
                f"{path} does not hold the items of a case: {error}. Restore it; deleting it would bring deleted items back."
            ) from error

    @property
    def known(self) -> Known:
        return self._known

    def put(self, bodies: Mapping[int, bytes], now: int) -> int:
        """item_id -> JSON. New, or in the place of what was there or was deleted; all of them or none. -> the version of the last."""
        return self._write(list(bodies.items()), now)

    def delete(self, ids: Iterable[int], now: int) -> int:
        """Ids nobody knows too: another version of the case may know them."""
        return self._write([(item_id, None) for item_id in dict.fromkeys(ids)], now)

    def still(self) -> Known | None:
        """`known`, if that is all there is by now; None where there is more, or where it cannot be said at once."""
        if not self._looking.acquire(timeout=PATIENCE_SECONDS):
            return None
        try:
            (stamp,) = self._watcher.execute("PRAGMA data_version").fetchone()
            return self._known if stamp == self._stamp else None
        except sqlite3.Error:
            return None
        finally:
            self._looking.release()

    def look(self) -> Known:
        """What is known by now, here and in other processes."""
        with self._looking:
            (stamp,) = self._watcher.execute("PRAGMA data_version").fetchone()
            if stamp != self._stamp:
                query = "SELECT item_id, version, body IS NULL FROM items WHERE version > ?"
                rows = self._watcher.execute(query, (self._known.version,)).fetchall()
                self._known, self._stamp = (
                    self._known.after(rows),
                    stamp,
                )  # a commit between the two moves the stamp again
                with self._moved:
                    self._moved.notify_all()
            return self._known

    def changes(self, after: int) -> list[Change]:
        """The last change of each item that changed after this version, oldest first."""
        with self._reading:
            query = "SELECT item_id, version, body FROM items WHERE version > ? ORDER BY version"
            rows = self._reader.execute(query, (after,)).fetchall()
        return [Change(item_id=item_id, version=version, body=body) for item_id, version, body in rows]

    def wait(self, version: int, seconds: float) -> None:
        """Until more than this version is known here, the store is closed, or the time is over."""
        with self._moved:
            self._moved.wait_for(lambda: self.closed or self._known.version > version, seconds)

    def close(self) -> None:
        self.closed = True
        with self._moved:
            self._moved.notify_all()
        for lock, connection in (
            (self._writing, self._writer),
            (self._looking, self._watcher),
            (self._reading, self._reader),
        ):
            with lock:
                connection.close()

    def _prepare(self) -> None:
        with _transaction(self._writer):
            (schema,) = self._writer.execute("PRAGMA user_version").fetchone()
            if schema not in (0, SCHEMA):
                raise sqlite3.DatabaseError(f"its schema is {schema}, expected {SCHEMA}")
            self._writer.execute(
                "CREATE TABLE IF NOT EXISTS items (item_id INTEGER PRIMARY KEY, version INTEGER NOT NULL UNIQUE, body BLOB, "
                "event_time INTEGER NOT NULL)"
            )
            self._writer.execute(f"PRAGMA user_version = {SCHEMA}")
        (found,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def _write(self, rows: Sequence[tuple[int, bytes | None]], now: int) -> int:
        try:
            with self._writing, _transaction(self._writer):
                (last,) = self._writer.execute("SELECT coalesce(max(version), 0) FROM items").fetchone()
                numbered = [(item_id, last + 1 + at, body, now) for at, (item_id, body) in enumerate(rows)]
                self._writer.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", numbered)
            self.look()  # known here before anybody is told that it is done
        except sqlite3.Error as error:
            raise NotReady(
                f"The items of {self.path.parent.name} could not be written: {error}. Send them again."
            ) from error
        return int(last) + len(rows)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=WAIT_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
