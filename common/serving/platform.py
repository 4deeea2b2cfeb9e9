"""What every service does with the platform it is handed: refuses to start without its features, and writes what it showed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from common.contract import Event, Platform
from common.errors import NotReady
from common.lifecycle.follow import catch_up

if TYPE_CHECKING:
    from common.features.views import View


def require(platform: Platform, views: Iterable[View]) -> None:
    """NotReady, by name, if the live store lacks a view: an answer without its features would look like an answer."""
    lacking = [view.name for view in views if not platform.store.holds(view)]
    if lacking:
        raise NotReady(f"The live store lacks the views {', '.join(lacking)}. Backfill them from the log first.")


def record(platform: Platform, events: Sequence[Event]) -> None:
    """Durable first; visible to the next request, which waits for it: the answer does not."""
    if events:
        platform.log.append(events)
        platform.store.soon(lambda: catch_up(platform.store, platform.log))
