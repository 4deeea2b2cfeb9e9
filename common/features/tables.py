"""One table a view in SQLite: a key and its record. Connections, the place in the log, reading and folding in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.contract import Event, Events, Floats, Ints
from common.errors import InputError
from common.events import take
from common.features.folds import sort_by
from common.features.forget import Forgets, event_keys
from common.features.plain import Plain
from common.features.record import Layout, Records
from common.features.views import View

CHUNK_BYTES = 64 << 20  # records unpacked at once while writing
FEW = 32  # events: below, plain numbers are quicker than arrays
NARROW = 16  # keys: so few are asked for one by one
PAGE_BYTES = 1024  # a commit writes whole pages: a record each, for the two dozen an answer touches
MAX_PARAMETERS = 30_000  # SQLite takes 32,766 in one statement


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; one that is there keeps its own
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA mmap_size = 1073741824")
        connection.execute("PRAGMA cache_size = -65536")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise InputError(
            f"{path} is not a live store: {error}. Delete it: it is filled again from the event log."
        ) from error
    return connection


def place(connection: sqlite3.Connection) -> tuple[int, int]:
    """Position and watermark; the first read of a transaction is what fixes its view of the file."""
    position, watermark = connection.execute("SELECT position, watermark FROM state").fetchone()
    return position, watermark


def absorb(connection: sqlite3.Connection, of: Layout, events: Events, watermark: int) -> Ints:
    """Folds a stretch of the log into one view's table: what is forgotten goes first, then the survivors key by key. -> the keys it wrote."""
    view = of.view
    keys = event_keys(view, events)
    forgets = Forgets(view, events)
    relevant = np.isin(events.kind, list(view.kinds)) & (keys >= 0)
    if len(forgets):
        _erase(connection, view, forgets)
        relevant &= np.arange(len(events)) >= forgets.before(keys, np.full(len(events), len(events)))
    at = np.flatnonzero(relevant)
    at = at[sort_by(keys[at], at)]
    known, row = np.unique(keys[at], return_inverse=True)
    step = max(1, CHUNK_BYTES // of.dtype.itemsize)
    for first in range(0, len(known), step):
        chunk = known[first : first + step]
        lo, hi = np.searchsorted(row, [first, first + len(chunk)])
        records = fetch(connection, of, chunk)
        of.absorb(records, row[lo:hi] - first, take(events, at[lo:hi]), watermark // view.bucket)
        width, blob = of.dtype.itemsize, records.tobytes()
        _write(connection, view, [(key, blob[i * width : (i + 1) * width]) for i, key in enumerate(chunk.tolist())])
    return known


def absorb_few(
    connection: sqlite3.Connection, of: Plain, view: View, events: Events, singles: Sequence[Event], watermark: int
) -> tuple[Ints, Floats]:
    """The same for the handful of events that follow one answer, `singles`, with no forget among them. -> the keys it wrote, and what the
    view says of them now."""
    mine: dict[int, list[Event]] = {}
    for key, event in zip(event_keys(view, events).tolist(), singles, strict=True):
        if key >= 0 and event.kind in view.kinds:
            mine.setdefault(key, []).append(event)
    if not mine:
        return np.empty(0, dtype=np.int64), np.empty((0, view.width))
    known, states = _find(connection, view, list(mine))
    old = dict(zip(known, each(states, len(known)), strict=True))
    written = [of.absorb(old.get(key), its, watermark // view.bucket) for key, its in mine.items()]
    _write(connection, view, [(key, state) for key, (state, _) in zip(mine, written, strict=True)])
    return np.array(list(mine)), np.array([values for _, values in written], dtype=np.float64)


def _write(connection: sqlite3.Connection, view: View, rows: list[tuple[int, bytes]]) -> None:
    connection.executemany(f"INSERT OR REPLACE INTO view_{view.fingerprint} VALUES (?, ?)", rows)


def _erase(connection: sqlite3.Connection, view: View, forgets: Forgets) -> None:
    """Deletes the rows a forget names. The second id of a pair is found by going through the table: it is rare."""
    wheres = ["key = ?"] if len(view.entity) == 1 else ["key >> 32 = ?", "key & 4294967295 = ?"]
    if len(view.entity) == 2:
        wheres[0] = "key BETWEEN (?1 << 32) AND (?1 << 32) + 4294967295"
    for where, (ids, _) in zip(wheres, forgets.columns, strict=True):
        connection.executemany(f"DELETE FROM view_{view.fingerprint} WHERE {where}", ((id_,) for id_ in ids.tolist()))


def fetch(connection: sqlite3.Connection, of: Layout, keys: Ints) -> Records:
    """The records of sorted distinct keys, the cold record where there is none."""
    at, records = find(connection, of, keys)
    cold = of.cold.view(np.int64)  # rows of whole words: numpy copies them whole, records field by field
    every = np.broadcast_to(cold, (len(keys), len(cold))).copy()
    every[at] = records.view(np.int64).reshape(-1, len(cold))
    return every.view(of.dtype)[:, 0]


def find(connection: sqlite3.Connection, of: Layout, keys: Ints) -> tuple[Ints, Records]:
    """Of sorted distinct keys the indices of those that are there, ascending, and their records."""
    found = stored(connection, of.view, keys)
    there, records = np.array(found[0], dtype=np.int64), np.frombuffer(found[1], dtype=of.dtype)
    at = np.minimum(np.searchsorted(keys, there), len(keys) - 1)
    order = np.flatnonzero(keys[at] == there)  # the stretch holds others too
    order = order[np.argsort(at[order])]
    return at[order], records[order]


def stored(connection: sqlite3.Connection, view: View, keys: Ints) -> tuple[list[int], bytes]:
    """Of any keys those that are there, each once, and their states end to end; perhaps others too."""
    found = _stretch(connection, view, keys) if len(view.entity) > 1 else None
    if found is None:
        known = np.unique(keys)
        wanted = (known[i : i + MAX_PARAMETERS].tolist() for i in range(0, len(known), MAX_PARAMETERS))
        parts = [_find(connection, view, chunk) for chunk in wanted]
        found = [key for part, _ in parts for key in part], b"".join([states for _, states in parts])
    return found


def each(states: bytes, num: int) -> list[bytes]:
    """States that stand end to end, one by one."""
    width = len(states) // max(num, 1)
    return [states[i * width : (i + 1) * width] for i in range(num)]


def _find(connection: sqlite3.Connection, view: View, keys: list[int]) -> tuple[list[int], bytes]:
    return _one_row(connection, f"view_{view.fingerprint} WHERE key IN ({','.join('?' * len(keys))})", keys)


def _stretch(connection: sqlite3.Connection, view: View, keys: Ints) -> tuple[list[int], bytes] | None:
    """The same by one walk from the first key to the last: a person is in few of the pairs asked for, and theirs stand side by side in
    the table. None where too many others stand between."""
    if len(keys) <= NARROW:
        return None
    most = 2 * len(keys)
    walk = f"(SELECT key, state FROM view_{view.fingerprint} WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?)"
    found = _one_row(connection, walk, [int(keys.min()), int(keys.max()), most])
    return found if len(found[0]) < most else None


def _one_row(connection: sqlite3.Connection, source: str, parameters: list[int]) -> tuple[list[int], bytes]:
    """-> keys, and their states end to end. sqlite3 lets go of the interpreter's lock for every row it fetches, and gets it back only when
    whoever computes beside it has had a turn: beside a busy thread five hundred rows take half a second, and one row takes a millisecond."""
    columns = "group_concat(key), CAST(group_concat(state, '') AS BLOB)"
    keys, states = connection.execute(f"SELECT {columns} FROM {source}", parameters).fetchone()
    return [int(key) for key in keys.split(",")] if keys else [], states or b""
