"""A reader's side of the live store: one state of it for several reads, and the connections such readers share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.contract import Floats, Ints
from common.errors import InputError, NotReady
from common.features.cache import Cache
from common.features.plain import Plain
from common.features.record import Layout
from common.features.tables import connect, each, place, stored
from common.features.views import View

FEW = 8  # records: below, plain numbers are quicker than arrays


class Pool:
    """Connections for reading. One is handed out to one snapshot at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    def take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise InputError(f"The live store at {self._path} is closed. Open it again to read.")
            if self._free:
                return self._free.pop()
        return connect(self._path)

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Once nobody uses it any more; after `close` that is its end."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._lock:
            if not self._closed:
                self._free.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Closes what is free now, and what is still in use when it comes back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()


class Snapshot:
    """The store at one position: a FeatureStore. Reads from several threads wait for each other; after `end` they are refused.

    `end` waits for nobody: a stage that was cut off may hang in its read, and the answer must leave without it. Whoever leaves last, that
    reader or `end`, gives the connection back; only then may it serve another snapshot.
    """

    def __init__(
        self, pool: Pool, layouts: Mapping[str, Layout], plain: Mapping[str, Plain], caches: Mapping[str, Cache]
    ) -> None:
        """layouts: of the views the store holds, by fingerprint; caches: of those kept by one id."""
        self._pool = pool
        self._layouts, self._plain = layouts, plain
        self._caches = caches
        self._last: dict[
            str, tuple[Ints, Floats]
        ] = {}  # of each view: the keys last read, for the next stage wants them too
        self._connection = pool.take()
        self._turn = threading.Lock()  # held while reading: the readers share one connection
        self._door = threading.Lock()  # guards the two below, never held for longer than that takes
        self._inside = 1  # readers, and the owner until `end`
        self._ended = False
        try:
            self._connection.execute("BEGIN")
            self.position, self._watermark = place(self._connection)
        except BaseException:
            self._leave()
            raise

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n] -> [n, view.width] as of `position`; a key never seen (or -1) gets the features' cold values."""
        if view.fingerprint not in self._layouts:
            raise NotReady(
                f"The live store does not hold the view {view.name!r} ({view.fingerprint}); it holds "
                f"{', '.join(of.view.name for of in self._layouts.values()) or 'none'}. Declare it in VIEWS and call store.backfill(log.scan(0, store.position))."
            )
        of = self._layouts[view.fingerprint]
        if len(keys) > 1 and keys.strides == (0,):  # one key, said for every row
            return np.broadcast_to(self.read(view, keys[:1], moments[:1]), (len(keys), view.width))
        self._refuse_if_ended()
        last = self._last.get(view.fingerprint)
        if last is None or not np.array_equal(last[0], keys):
            with self._reading() as connection:
                last = self._last[view.fingerprint] = keys, self._values(connection, of, keys)
            last[1].flags.writeable = False
        return last[1]

    def end(self) -> None:
        """Refuses every later read, at once; the connection goes back when the last reader has left."""
        with self._door:
            assert not self._ended
            self._ended = True
        self._leave()

    def _values(self, connection: sqlite3.Connection, of: Layout, keys: Ints) -> Floats:
        cache, bucket = self._caches.get(of.view.fingerprint), self._watermark // of.view.bucket
        if cache is None:
            return _from_table(connection, of, self._plain[of.view.fingerprint], keys, bucket)
        values, absent = cache.read(keys, self.position, bucket)
        if len(absent):
            found = _from_table(connection, of, self._plain[of.view.fingerprint], keys[absent], bucket)
            values[absent] = found
            cache.keep(keys[absent], found, self.position, bucket)
        return values

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._door:
            self._refuse_if_ended()
            self._inside += 1
        try:
            with self._turn:
                self._refuse_if_ended()  # it may have, while this reader waited for its turn
                yield self._connection
        finally:
            self._leave()

    def _refuse_if_ended(self) -> None:
        if self._ended:
            raise InputError("This snapshot of the live store has ended. Read inside its `with` block.")

    def _leave(self) -> None:
        with self._door:
            self._inside -= 1
            is_last = self._inside == 0
        if is_last:
            self._pool.give_back(self._connection)


def _from_table(connection: sqlite3.Connection, of: Layout, plain: Plain, keys: Ints, bucket: int) -> Floats:
    """Any keys. Most pairs were never seen: what is there is computed, and the others have what nothing is known of."""
    there, states = stored(connection, of.view, keys)
    values = np.repeat(of.cold_columns, len(keys), axis=0)
    if not there:
        return values
    if len(there) <= FEW:
        found = np.array([plain.columns(state, bucket) for state in each(states, len(there))], dtype=np.float64)
    else:
        found = of.columns(np.frombuffer(states, dtype=of.dtype), bucket)
    known = np.array(there, dtype=np.int64)
    order = np.argsort(known)
    at = order[np.minimum(known[order].searchsorted(keys), len(known) - 1)]
    rows = np.flatnonzero(known[at] == keys)
    values[rows] = found[at[rows]]
    return values
