"""LiveStore: what every view says now, on SQLite. Serves. It starts empty and is filled only by replaying the log."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.contract import FORGET, Events, Floats, Ints
from common.data.checkpoints import Checkpoints
from common.errors import InputError
from common.events import single, take
from common.features.afterwards import Afterwards
from common.features.cache import Cache
from common.features.plain import Plain
from common.features.record import Layout
from common.features.snapshot import Pool, Snapshot
from common.features.tables import FEW, absorb, absorb_few, connect, place
from common.features.views import View

SCHEMA = 1


class LiveStore:
    """One row of state per (view, key). `position` is the log position up to which it has seen everything; it moves with the state, in
    one transaction. Reads are consistent: all views of one `snapshot` at one position. Safe for many reading threads and one writer.

    Power loss may take the last commits with it (WAL, synchronous=NORMAL); position and state go back together, the log has the rest.
    """

    def __init__(self, path: Path, views: Sequence[View]) -> None:
        self.path = path
        self.views = {view.fingerprint: view for view in views}
        self._layouts = {view.fingerprint: Layout(view) for view in views}
        self._plain = {fingerprint: Plain(of) for fingerprint, of in self._layouts.items()}
        self._caches = {view.fingerprint: Cache(view) for view in views if len(view.entity) == 1}
        self._held: Mapping[str, Layout] = {}  # replaced, never changed: snapshots keep the one they began with
        self.lock = threading.RLock()  # held while writing; `catch_up` takes it too
        self._readers = Pool(path)
        self._writer = connect(path)
        self._checkpoints = Checkpoints(path, self._writer)
        self._afterwards = Afterwards()
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

    def seen(self) -> int:
        """`position` for a writer, who holds the lock and waits for nobody."""
        return place(self._writer)[0]

    def soon(self, call: Callable[[], object]) -> None:
        """Runs `call`, which writes here, beside the thread that asks; whoever opens a snapshot next waits for it."""
        self._afterwards.do(call)

    def holds(self, view: View) -> bool:
        return view.fingerprint in self._held

    def apply(self, events: Events) -> None:
        """Folds in the next stretch of the log. Events below `position` are skipped, a gap is refused."""
        with self.lock, _transaction(self._writer):
            position, watermark = place(self._writer)
            events = take(events, slice(int(np.searchsorted(events.position, position)), None))
            if len(events) == 0:
                return
            if events.position[0] != position:
                raise InputError(
                    f"The live store has seen the log up to {position}, the next stretch begins at {events.position[0]}. Scan from {position}."
                )
            watermark, end = max(watermark, int(events.event_time.max())), int(events.position[-1]) + 1
            self._absorb(events, watermark, end)
            self._writer.execute("UPDATE state SET position = ?, watermark = ?", (end, watermark))
        self._checkpoints.committed()

    def backfill(self, stretches: Iterable[Events]) -> None:
        """Fills the views declared but not held yet by replaying the log from position 0 up to `position`; all of it or nothing."""
        with self.lock:
            missing = [view for view in self.views.values() if not self.holds(view)]
            with _transaction(self._writer):
                position, _ = place(self._writer)
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
                        absorb(self._writer, self._layouts[view.fingerprint], events, watermark)
                    seen = int(events.position[-1]) + 1
                if missing and seen != position:
                    raise InputError(
                        f"A backfill needs the log from 0 to {position}; it was given up to {seen}. Pass log.scan(0, store.position)."
                    )
            for view in missing:
                self._clear(view, position)
            self._held = {**self._held} | {view.fingerprint: self._layouts[view.fingerprint] for view in missing}

    @contextmanager
    def snapshot(self, patience: float | None = None) -> Iterator[Snapshot]:
        """One state of the store for several reads: whatever is applied meanwhile is not seen. What was to be written `soon` is waited for,
        `patience` seconds at most: then the state is a moment old, and its position says so. Ends with the `with`, which waits for no
        reader that is still inside."""
        self._afterwards.wait(patience)
        now = Snapshot(self._readers, self._held, self._plain, self._caches)
        try:
            yield now
        finally:
            now.end()

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """As AsOfStore.read at moment == position; `moments` may be any value >= 0 and is not looked at: there is only now."""
        with self.snapshot() as now:
            return now.read(view, keys, moments)

    def close(self) -> None:
        """Ends every connection that nobody reads from, and the others when their reader has left; reading afterwards is an error."""
        self._afterwards.close()
        self._checkpoints.close()
        with self.lock:
            self._writer.close()
        self._readers.close()

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
        position, _ = place(self._writer)
        if position == 0:
            for fingerprint in self.views.keys() - stored:
                self._create(self.views[fingerprint])
            stored = set(self.views)
        self._held = {fingerprint: of for fingerprint, of in self._layouts.items() if fingerprint in stored}
        for of in self._held.values():
            self._clear(of.view, position)

    def _absorb(self, events: Events, watermark: int, end: int) -> None:
        """Before the commit, so that no cache is ever behind the table."""
        forgets = bool((events.kind == FORGET).any())
        singles = single(events) if len(events) <= FEW and not forgets else None
        for fingerprint, of in self._held.items():
            cache = self._caches.get(fingerprint)
            if singles is None:
                written = absorb(self._writer, of, events, watermark)
                if cache:
                    cache.touch(written, end)
            else:
                plain = self._plain[fingerprint]
                written, values = absorb_few(self._writer, plain, of.view, events, singles, watermark)
                if cache:
                    cache.touch(written, end)
                    cache.keep(written, values, end, watermark // of.view.bucket)
            if forgets:
                self._clear(of.view, end)

    def _clear(self, view: View, position: int) -> None:
        if view.fingerprint in self._caches:
            self._caches[view.fingerprint].clear(position)

    def _create(self, view: View) -> None:
        self._writer.execute(f"CREATE TABLE view_{view.fingerprint} (key INTEGER PRIMARY KEY, state BLOB NOT NULL)")
        self._writer.execute("INSERT INTO views VALUES (?, ?)", (view.fingerprint, view.name))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
