"""Keeps the live store at the end of the log."""

from __future__ import annotations

from common.features.live import LiveStore
from common.lifecycle.log import EventLog


def catch_up(store: LiveStore, log: EventLog) -> int:
    """Applies what the store has not seen yet; -> its position. Callers may race: each event is applied once."""
    with store.lock:
        position = store.seen()
        for stretch in log.scan(position):
            store.apply(stretch)
            position += len(stretch)
        return position
