"""What a view said lately, in memory: most of what a request reads, the request before it has read too."""

from __future__ import annotations

import threading

import numpy as np

from common.contract import Floats, Ints
from common.features.views import View

MOST = 2**23  # numbers a cache holds: 64 MB, of which what is never used costs nothing
PLACES = 2**20  # ids it has room for, however narrow the view


class Cache:
    """The values of one view by id, for views kept by a single id. Any number of readers, one writer.

    Each id has one place (its last bits), which it shares with others: whoever comes later has it. A value is kept with the position it was
    read at, and stays right until its id is touched. The writer touches before it commits, so whoever sees a change finds no older value
    here; a reader whose snapshot is behind keeps nothing, for it cannot know what was touched since. A value also ages: it is right in one
    bucket of time.
    """

    def __init__(self, view: View) -> None:
        num = min(2 ** (max(MOST // view.width, 1).bit_length() - 1), PLACES)
        self._keys = np.zeros(num, dtype=np.int64)
        self._since = np.zeros(num, dtype=np.int64)  # the position after the one it was read at; 0: nothing is kept
        self._values = np.empty((num, view.width))
        self._position = -1  # every change below it has been touched
        self._bucket = -1
        self._lock = threading.Lock()

    def read(self, keys: Ints, position: int, bucket: int) -> tuple[Floats, Ints]:
        """keys [n] -> [n, width], and the indices of those that are not kept for this snapshot: their rows hold nothing."""
        at = self._places(keys)
        with self._lock:
            since = self._since.take(at)
            kept = (self._keys.take(at) == keys) & (since > 0) & (since <= position + 1)
            if position > self._position or bucket != self._bucket:
                kept[:] = False
            return self._values.take(at, axis=0), np.flatnonzero(~kept)

    def keep(self, keys: Ints, values: Floats, position: int, bucket: int) -> None:
        """What a snapshot at `position` has read from the table."""
        at = self._places(keys)
        with self._lock:
            if position != self._position:
                return
            if bucket != self._bucket:
                self._since[:] = 0
                self._bucket = bucket
            self._keys[at], self._values[at], self._since[at] = keys, values, position + 1

    def touch(self, keys: Ints, position: int) -> None:
        """The log goes on to `position`; these ids say something else from there on."""
        at = self._places(keys)
        with self._lock:
            self._since[at[self._keys[at] == keys]] = 0
            self._position = position

    def clear(self, position: int) -> None:
        with self._lock:
            self._since[:] = 0
            self._position = position

    def _places(self, keys: Ints) -> Ints:
        places: Ints = keys & (len(self._keys) - 1)
        return places
