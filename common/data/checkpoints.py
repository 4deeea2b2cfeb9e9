"""SQLite's checkpoints beside the thread that writes: in the midst of a commit they would sync the disk while an answer waits."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from pathlib import Path

EVERY_SECONDS = 0.5
MOST_PAGES = 20_000  # of WAL: then the writer checkpoints itself, as SQLite does at 1,000


class Checkpoints:
    """Moves what commits have left in a WAL into its file, twice a second while there are any. Made for one writing connection."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        writer.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")
        self._path = path
        self._due, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        weakref.finalize(self, _end, self._due, self._closed)

    def committed(self) -> None:
        if self._thread is None:
            arguments = self._path, self._due, self._closed
            self._thread = threading.Thread(target=_work, args=arguments, name="checkpoints", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        _end(self._due, self._closed)
        if self._thread is not None:
            self._thread.join()


def _work(path: Path, due: threading.Event, closed: threading.Event) -> None:
    connection: sqlite3.Connection | None = None
    while due.wait() and not closed.wait(EVERY_SECONDS):
        due.clear()
        try:
            connection = connection or sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error:  # the file is gone or the disk is full: the writer meets the same and says it
            pass
    if connection is not None:
        connection.close()


def _end(due: threading.Event, closed: threading.Event) -> None:
    closed.set()
    due.set()
