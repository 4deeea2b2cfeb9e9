"""The live store, opened for one answer: a disk that stalls costs the features, never the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from common.contract import Floats, Ints
from common.errors import NotReady
from common.serving.deadline import Deadline, Stages

if TYPE_CHECKING:
    from common.features.live import LiveStore
    from common.features.snapshot import Snapshot
    from common.features.views import View

STORE = "store"
"""The stage in which a service opens its snapshot, in every case."""


class Unopened:
    """What an answer reads from when the store did not open in time: nothing. Each stage that reads then falls to its next rung."""

    position = -1  # the moment of an impression whose features were never read

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        raise NotReady(f"The live store did not open in time, so {view.name!r} cannot be read. Try again.")


@contextmanager
def snapshot(stages: Stages, deadline: Deadline, store: LiveStore) -> Iterator[Snapshot | Unopened]:
    """`store.snapshot()` inside the stage "store", half of whose time it may wait for what the last answers wrote. A snapshot that
    opens too late is ended at once by the thread that opened it."""
    ours, turn, is_over = ExitStack(), threading.Lock(), False

    def enter() -> Snapshot | Unopened:
        opened = ExitStack()
        now = opened.enter_context(store.snapshot(patience=stages.limits_ms[STORE] / 2e3))
        with turn:
            if not is_over:
                ours.push(opened.pop_all())
        opened.close()  # holds the snapshot only where nobody waits for it any more
        return now

    try:
        yield stages.run(STORE, deadline, enter, Unopened)
    finally:
        with turn:
            is_over = True
        ours.close()
