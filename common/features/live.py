"""LiveStore: what every view says now, on SQLite. Serves. It starts empty and is filled only by replaying the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from common.contract import Events, Floats, Ints
from common.features.views import View


class LiveStore:
    """One row of state per (view, key). `position` is the log position up to which it has seen everything; it moves with the state, in
    one transaction. Reads are consistent: all views of one `read` at one position. Safe for many reading threads and one writer."""

    def __init__(self, path: Path, views: Sequence[View]) -> None:
        raise NotImplementedError

    @property
    def position(self) -> int:
        raise NotImplementedError

    def holds(self, view: View) -> bool:
        raise NotImplementedError

    def apply(self, events: Events) -> None:
        """Folds in the next stretch of the log. Events below `position` are skipped, a gap is refused."""
        raise NotImplementedError

    def backfill(self, stretches: Iterable[Events]) -> None:
        """Fills the views declared but not held yet by replaying the log from position 0 up to `position`."""
        raise NotImplementedError

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """As AsOfStore.read at moment == position; `moments` may be any value >= 0 and is not looked at: there is only now."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
