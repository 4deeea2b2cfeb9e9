"""The store opened inside a stage: ended with the `with`, or by whoever opened it too late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest

from common.errors import NotReady
from common.features.live import LiveStore
from common.features.views import Count, View
from common.serving.deadline import Deadline, Stages
from common.serving.snapshot import Unopened, snapshot

SECONDS = 30  # only a broken test waits so long
USER = View("user", ("user_id",), (Count("click"),))


class Store:
    """Opens when it is let, and tells when it has closed."""

    def __init__(self) -> None:
        self.may_open, self.closed = threading.Event(), threading.Event()

    @contextmanager
    def snapshot(self, patience: float | None = None) -> Iterator[Any]:
        assert self.may_open.wait(SECONDS)
        try:
            yield self
        finally:
            self.closed.set()


def opened(store: Store, limit_ms: float) -> Any:
    return snapshot(Stages({"store": limit_ms}), Deadline(limit_ms), cast(LiveStore, store))


def test_a_snapshot_that_opens_in_time_lasts_as_long_as_the_with() -> None:
    store = Store()
    store.may_open.set()
    with opened(store, 1e3 * SECONDS) as now:
        assert now is store
        assert not store.closed.is_set()
    assert store.closed.is_set()


@pytest.mark.parametrize("is_late", [False, True], ids=["while the answer is made", "after the answer has left"])
def test_a_snapshot_that_opens_too_late_is_closed(is_late: bool) -> None:
    store = Store()
    with opened(store, 20.0) as now:
        assert isinstance(now, Unopened)
        if not is_late:
            store.may_open.set()
    store.may_open.set()
    assert store.closed.wait(SECONDS)


def test_what_did_not_open_refuses_to_be_read() -> None:
    with pytest.raises(NotReady, match="user"):
        Unopened().read(USER, np.array([1]), np.array([0]))
