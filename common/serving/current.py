"""What a service knows of its items at this moment: what it was trained with, and what was put and deleted since.

A change bars at once and brings later. A deleted item is in no answer that began after the delete was acknowledged, and an item that was
put anew is never shown as it was before. What a put brings is taken in beside the answers, into a catalogue of its own that then takes the
place of the old one: within a second or two, however large the catalogue, and never under a reader.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from common.contract import Bools, Ints
from common.serving.deadline import Deadline, Stages

if TYPE_CHECKING:
    from common.lifecycle.items import Change, ItemStore, Known

ITEMS = "items"
"""The stage in which a service reads changes that came from elsewhere, in every case that takes items."""
VISIBLE_SECONDS = 5.0  # what is promised of a put
POLL_SECONDS = 0.5  # how often changes of other processes are looked for while nobody asks
logger = logging.getLogger(__name__)

I = TypeVar("I")  # noqa: E741  (schema.Item)
K = TypeVar("K")  # what the service makes of its items: a catalogue, an index

Follow = Callable[[K, Mapping[int, I | None]], K]
"""(what is known, id -> the item as put, or None where it was deleted; the last change last) -> the same with these changes. Runs beside
the answers and changes nothing in place."""


@dataclass(frozen=True, eq=False)
class Held(Generic[K]):
    """For one answer: what it is made from, and the ids, ascending, that may not be in it."""

    known: K
    barred: Ints

    def gone(self, ids: Ints) -> Bools:
        """ids of any shape -> which of them may not be in this answer. To be asked last, after every fallback: -1 is never gone."""
        if not len(self.barred):
            return np.zeros(ids.shape, dtype=np.bool_)
        at = np.minimum(np.searchsorted(self.barred, ids), len(self.barred) - 1)
        return np.asarray(self.barred[at] == ids)


@dataclass(frozen=True, eq=False)
class _Built(Generic[K]):
    version: int
    known: K
    unread: frozenset[int] = frozenset()  # their bodies were put by other code, and say nothing to this one

    @cached_property
    def unread_ids(self) -> Ints:
        return np.array(sorted(self.unread), dtype=np.int64)


class Current(Generic[I, K]):
    """`Current(platform.items, schema.Item, start, follow)` when a service starts: it returns with everything taken in. `start`: what the
    artifact alone knows. Safe for many threads; gone with the service that holds it."""

    def __init__(self, store: ItemStore, item: type[I], start: K, follow: Follow[K, I]) -> None:
        self._store, self._follow = store, follow
        self._adapter: TypeAdapter[I] = TypeAdapter(item)
        self._building = threading.Lock()
        self._failed = False
        self._built = _Built(0, start)
        self.catch_up()
        self._last = self._joined(self._built, store.look())
        threading.Thread(target=_work, args=(weakref.ref(self), store), name=ITEMS, daemon=True).start()

    def now(self, stages: Stages, deadline: Deadline) -> Held[K]:
        """To be asked first thing in an answer. The stage is run where there is something to read. Where it does not come in time, what this
        process has seen holds, which is every change it has acknowledged itself, and the answer says "items"."""
        seen = None if ITEMS in stages.faults else self._store.still()  # a drill breaks the stage, so it has to be run
        if seen is None:
            seen = stages.run(ITEMS, deadline, self._store.look, lambda: self._store.known)
        if self._failed:
            deadline.degrade(ITEMS, "what was put last could not be taken in")
        built, (last_built, last_seen, held) = self._built, self._last
        if built is not last_built or seen is not last_seen:
            self._last = self._joined(built, seen)
            held = self._last[2]
        return held

    def catch_up(self) -> None:
        """Takes in what was put and deleted since the last time. An error leaves everything as it was, and what changed stays barred."""
        with self._building:
            changes = self._store.changes(self._built.version)
            if changes:
                self._built = self._after(self._built, changes)
            self._failed = False

    def _after(self, built: _Built[K], changes: Sequence[Change]) -> _Built[K]:
        items = {change.item_id: self._item(change) for change in changes}
        unread = {change.item_id for change in changes if change.body is not None and items[change.item_id] is None}
        return _Built(changes[-1].version, self._follow(built.known, items), built.unread - items.keys() | unread)

    def _item(self, change: Change) -> I | None:
        try:
            return None if change.body is None else self._adapter.validate_json(change.body)
        except ValidationError as error:
            logger.error("item %d was put by other code than this and is left out: %s", change.item_id, error)
            return None

    def _joined(self, built: _Built[K], seen: Known) -> tuple[_Built[K], Known, Held[K]]:
        barred = seen.barred(built.version)
        return built, seen, Held(built.known, np.union1d(barred, built.unread_ids) if built.unread else barred)

    def _tend(self) -> int:
        """Once around for the thread; -> the version that is taken in."""
        try:
            self._store.look()
            self.catch_up()
        except Exception as error:
            if not self._store.closed:
                if not self._failed:  # said once, and in every answer until it is mended
                    logger.error("items could not be taken in", exc_info=error)
                self._failed = True
        return self._built.version


def _work(ref: weakref.ref[Current[I, K]], store: ItemStore) -> None:
    """Until the service is gone or its store is closed. Woken by a put of this process, and now and then by the clock."""
    while not store.closed:
        current = ref()
        if current is None:
            return
        version, failed = current._tend(), current._failed
        del current  # a thread that waits must not keep a service alive
        store.wait(store.known.version if failed else version, POLL_SECONDS)
