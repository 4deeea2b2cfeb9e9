"""What a view said lately, in memory: most of what a request reads, the request before it has read too."""

from __future__ import annotations

import threading

import numpy as np

from common.contract import Floats, Ints
from common.features.views import View

MOST = 2**16  # ids from here on are read from the table: a view of millions of users is not kept twice
NEVER = np.iinfo(np.int64).max


class Cache:
    """The values of one view by id, for views kept by a single id. Any number of readers, one writer.

    A value is kept with the position it was read at, and stays right until its id is touched. The writer touches before it commits, so
    whoever sees a change finds no older value here; a reader whose snapshot is behind keeps nothing, for it cannot know what was touched
    since. A value also ages: it is right in one bucket of time.
    """

    def __init__(self, view: View) -> None:
        self._values = np.empty((0, view.width))
        self._since = np.empty(0, dtype=np.int64)  # NEVER: not kept
        self._position = -1  # every change below it has been touched
        self._bucket = -1
        self._lock = threading.Lock()

    def read(self, keys: Ints, position: int, bucket: int) -> tuple[Floats, Ints]:
        """keys [n] -> [n, width], and the indices of those that are not kept for this snapshot: their rows hold nothing."""
        with self._lock:
            if position > self._position or bucket != self._bucket or not len(self._since):
                return np.empty((len(keys), self._values.shape[1])), np.arange(len(keys))
            inside = (keys >= 0) & (keys < len(self._since))
            at = np.where(inside, keys, 0)
            return self._values[at], np.flatnonzero(~inside | (self._since[at] > position))

    def keep(self, keys: Ints, values: Floats, position: int, bucket: int) -> None:
        """What a snapshot at `position` has read from the table."""
        with self._lock:
            if position != self._position:
                return
            if bucket != self._bucket:
                self._since[:] = NEVER
                self._bucket = bucket
            inside = (keys >= 0) & (keys < MOST)
            keys = keys[inside]
            self._grow(int(keys.max(initial=-1)) + 1)
            self._values[keys], self._since[keys] = values[inside], position

    def touch(self, keys: Ints, position: int) -> None:
        """The log goes on to `position`; these ids say something else from there on."""
        with self._lock:
            self._since[keys[(keys >= 0) & (keys < len(self._since))]] = NEVER
            self._position = position

    def clear(self, position: int) -> None:
        with self._lock:
            self._since[:] = NEVER
            self._position = position

    def _grow(self, size: int) -> None:
        more = max(size, 2 * len(self._since)) - len(self._since) if size > len(self._since) else 0
        if more:
            self._values = np.concatenate([self._values, np.empty((more, self._values.shape[1]))])
            self._since = np.concatenate([self._since, np.full(more, NEVER)])
