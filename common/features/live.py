"""LiveStore: what every view says now, on SQLite. Serves. It starts empty and is filled only by replaying the log."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.contract import Events, Floats, Ints
from common.errors import InputError, NotReady
from common.events import take
from common.features.folds import sort_by
from common.features.forget import Forgets, event_keys
from common.features.record import Layout, Records
from common.features.views import View

SCHEMA = 1
CHUNK_BYTES = 64 << 20  # records unpacked at once while writing
MAX_PARAMETERS = 30_000  # SQLite takes 32,766 in one statement


class LiveStore:
    """One row of state per (view, key). `position` is the log position up to which it has seen everything; it moves with the state, in
    one transaction. Reads are consistent: all views of one `snapshot` at one position. Safe for many reading threads and one writer.

    Power loss may take the last commits with it (WAL, synchronous=NORMAL); position and state go back together, the log has the rest.
    """

    def __init__(self, path: Path, views: Sequence[View]) -> None:
        self.path = path
        self.views = {view.fingerprint: view for view in views}
        self._layouts = {view.fingerprint: Layout(view) for view in views}
        self.lock = threading.RLock()  # held while writing; `catch_up` takes it too
        self._free: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._writer = self._connect()
        try:
            with self.lock, _transaction(self._writer):
                self._prepare()
        except sqlite3.Error as error:
            self._writer.close()
            raise InputError(
                f"{path} is not a live store of this version: {error}. Delete it: it is filled again from the event log."
            ) from error

    @property
    def position(self) -> int:
        with self.snapshot() as now:
            return now.position

    def holds(self, view: View) -> bool:
        return view.fingerprint in self._held

    def apply(self, events: Events) -> None:
        """Folds in the next stretch of the log. Events below `position` are skipped, a gap is refused."""
        with self.lock, _transaction(self._writer):
            position, watermark = _state(self._writer)
            events = take(events, slice(int(np.searchsorted(events.position, position)), None))
            if len(events) == 0:
                return
            if events.position[0] != position:
                raise InputError(
                    f"The live store has seen the log up to {position}, the next stretch begins at {events.position[0]}. Scan from {position}."
                )
            watermark = max(watermark, int(events.event_time.max()))
            for view in self._held.values():
                _absorb(self._writer, self._layouts[view.fingerprint], events, watermark)
            self._writer.execute(
                "UPDATE state SET position = ?, watermark = ?", (int(events.position[-1]) + 1, watermark)
            )

    def backfill(self, stretches: Iterable[Events]) -> None:
        """Fills the views declared but not held yet by replaying the log from position 0 up to `position`; all of it or nothing."""
        with self.lock:
            missing = [view for view in self.views.values() if not self.holds(view)]
            with _transaction(self._writer):
                position, _ = _state(self._writer)
                for view in missing:
                    self._create(view)
                seen = watermark = 0
                for stretch in stretches if missing else ():
                    events = (
                        take(stretch, slice(seen - int(stretch.position[0]), position - int(stretch.position[0])))
                        if len(stretch)
                        else stretch
                    )
                    if len(events) == 0:
                        continue
                    watermark = max(watermark, int(events.event_time.max()))
                    for view in missing:
                        _absorb(self._writer, self._layouts[view.fingerprint], events, watermark)
                    seen = int(events.position[-1]) + 1
                if missing and seen != position:
                    raise InputError(
                        f"A backfill needs the log from 0 to {position}; it was given up to {seen}. Pass log.scan(0, store.position)."
                    )
            self._held |= {view.fingerprint: view for view in missing}

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One state of the store for several reads: whatever is applied meanwhile is not seen. Ends with the `with`."""
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect()
        connection.execute("BEGIN")
        now = Snapshot(self, connection)
        try:
            yield now
        finally:
            now.end()
            self._free.append(connection)

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """As AsOfStore.read at moment == position; `moments` may be any value >= 0 and is not looked at: there is only now."""
        with self.snapshot() as now:
            return now.read(view, keys, moments)

    def close(self) -> None:
        """Ends every connection; reading afterwards is an error."""
        with self.lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
            self._free.clear()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA mmap_size = 1073741824")
            connection.execute("PRAGMA cache_size = -65536")
        except sqlite3.DatabaseError as error:
            connection.close()
            raise InputError(
                f"{self.path} is not a live store: {error}. Delete it: it is filled again from the event log."
            ) from error
        self._all.append(connection)
        return connection

    def _prepare(self) -> None:
        tables = {name for (name,) in self._writer.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            self._writer.execute("CREATE TABLE state (schema INTEGER, position INTEGER, watermark INTEGER)")
            self._writer.execute("INSERT INTO state VALUES (?, 0, 0)", (SCHEMA,))
            self._writer.execute("CREATE TABLE views (fingerprint TEXT PRIMARY KEY, name TEXT)")
        (schema,) = self._writer.execute("SELECT schema FROM state").fetchone()
        if schema != SCHEMA:
            raise sqlite3.DatabaseError(f"its schema is {schema}, expected {SCHEMA}")
        stored = {name for (name,) in self._writer.execute("SELECT fingerprint FROM views")}
        for fingerprint in stored - self.views.keys():  # nobody would keep it up to date
            self._writer.execute(f"DROP TABLE view_{fingerprint}")
            self._writer.execute("DELETE FROM views WHERE fingerprint = ?", (fingerprint,))
        position, _ = _state(self._writer)
        if position == 0:
            for fingerprint in self.views.keys() - stored:
                self._create(self.views[fingerprint])
            stored = set(self.views)
        self._held = {fingerprint: view for fingerprint, view in self.views.items() if fingerprint in stored}

    def _create(self, view: View) -> None:
        self._writer.execute(f"CREATE TABLE view_{view.fingerprint} (key INTEGER PRIMARY KEY, state BLOB NOT NULL)")
        self._writer.execute("INSERT INTO views VALUES (?, ?)", (view.fingerprint, view.name))


class Snapshot:
    """The store at one position: a FeatureStore. Reads from several threads wait for each other; after `end` they are refused."""

    def __init__(self, store: LiveStore, connection: sqlite3.Connection) -> None:
        self._store = store
        self._connection: sqlite3.Connection | None = connection
        self._lock = threading.Lock()
        self.position, self._watermark = _state(connection)

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n] -> [n, view.width] as of `position`; a key never seen (or -1) gets the features' cold values."""
        if not self._store.holds(view):
            raise NotReady(
                f"The live store does not hold the view {view.name!r} ({view.fingerprint}); it holds "
                f"{', '.join(held.name for held in self._store._held.values()) or 'none'}. Declare it in VIEWS and call store.backfill(log.scan(0, store.position))."
            )
        of = self._store._layouts[view.fingerprint]
        known, row = np.unique(keys, return_inverse=True)
        with self._lock:
            if self._connection is None:
                raise InputError("This snapshot of the live store has ended. Read inside its `with` block.")
            records = _fetch(self._connection, of, known)
        return of.columns(records, self._watermark // view.bucket)[row]

    def end(self) -> None:
        """Lets go of the connection once no read is using it: a stage that was cut off may still be reading."""
        with self._lock:
            assert self._connection is not None
            self._connection.execute("ROLLBACK")
            self._connection = None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    """Position and watermark; the first read of a transaction is what fixes its view of the file."""
    position, watermark = connection.execute("SELECT position, watermark FROM state").fetchone()
    return position, watermark


def _absorb(connection: sqlite3.Connection, of: Layout, events: Events, watermark: int) -> None:
    """Folds a stretch of the log into one view's table: what is forgotten goes first, then the survivors key by key."""
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
        records = _fetch(connection, of, chunk)
        of.absorb(records, row[lo:hi] - first, take(events, at[lo:hi]), watermark // view.bucket)
        width, blob = of.dtype.itemsize, records.tobytes()
        rows = ((key, blob[i * width : (i + 1) * width]) for i, key in enumerate(chunk.tolist()))
        connection.executemany(f"INSERT OR REPLACE INTO view_{view.fingerprint} VALUES (?, ?)", rows)


def _erase(connection: sqlite3.Connection, view: View, forgets: Forgets) -> None:
    """Deletes the rows a forget names. The second id of a pair is found by going through the table: it is rare."""
    wheres = ["key = ?"] if len(view.entity) == 1 else ["key >> 32 = ?", "key & 4294967295 = ?"]
    if len(view.entity) == 2:
        wheres[0] = "key BETWEEN (?1 << 32) AND (?1 << 32) + 4294967295"
    for where, (ids, _) in zip(wheres, forgets.columns, strict=True):
        connection.executemany(f"DELETE FROM view_{view.fingerprint} WHERE {where}", ((id_,) for id_ in ids.tolist()))


def _fetch(connection: sqlite3.Connection, of: Layout, keys: Ints) -> Records:
    """The records of sorted distinct keys, the cold record where there is none."""
    found: list[tuple[int, bytes]] = []
    for first in range(0, len(keys), MAX_PARAMETERS):
        wanted = keys[first : first + MAX_PARAMETERS].tolist()
        marks = ",".join("?" * len(wanted))
        found += connection.execute(
            f"SELECT key, state FROM view_{of.view.fingerprint} WHERE key IN ({marks}) ORDER BY key", wanted
        ).fetchall()
    records = np.repeat(of.cold, len(keys))
    if found:
        at = np.searchsorted(keys, np.array([key for key, _ in found], dtype=np.int64))
        records[at] = np.frombuffer(b"".join([state for _, state in found]), dtype=of.dtype)
    return records
