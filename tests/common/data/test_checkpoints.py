"""Checkpoints leave the writing thread, and their own thread leaves with them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from common.data import checkpoints
from common.data.checkpoints import Checkpoints

BIG = b"x" * 8_000_000  # about 2,000 pages: more than SQLite lets a WAL gather by itself


def writer(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (content BLOB)")
    return connection


def until(true: bool, path: Path) -> bool:
    """Whether the file itself, which only a checkpoint writes, holds what was committed; waits for it if it should."""
    end = time.monotonic() + 60 * true
    while not (held := path.stat().st_size > len(BIG)) and time.monotonic() < end:
        time.sleep(0.01)
    return held


def test_a_commit_leaves_the_checkpoint_to_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.01)
    connection = writer(tmp_path / "a")
    own = Checkpoints(tmp_path / "a", connection)
    connection.execute("INSERT INTO t VALUES (?)", (BIG,))
    assert not until(False, tmp_path / "a")
    own.committed()
    assert until(True, tmp_path / "a")
    own.close()
    assert own._thread is not None and not own._thread.is_alive()
    connection.close()


def test_without_it_the_commit_itself_does_the_work(tmp_path: Path) -> None:
    connection = writer(tmp_path / "a")
    connection.execute("INSERT INTO t VALUES (?)", (BIG,))
    assert until(False, tmp_path / "a")
    connection.close()


def test_a_thread_ends_with_the_object_it_was_made_for(tmp_path: Path) -> None:
    connection = writer(tmp_path / "a")
    own = Checkpoints(tmp_path / "a", connection)
    own.committed()
    thread = own._thread
    assert thread is not None and thread.is_alive()
    del own
    thread.join(60)
    assert not thread.is_alive()
    connection.close()
