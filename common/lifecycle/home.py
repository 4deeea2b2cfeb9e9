"""Home: the one folder a running project keeps its state in (default `runs/`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np

from common.contract import Clock, Events, Platform
from common.errors import NotReady
from common.events import key_column, value_column
from common.features.live import LiveStore
from common.features.views import View
from common.lifecycle.follow import catch_up
from common.lifecycle.items import ItemStore
from common.lifecycle.locks import locked
from common.lifecycle.log import EventLog
from common.lifecycle.registry import Artifact, Registry
from common.lifecycle.staging import staged
from common.lifecycle.still import StillLog, copy
from common.training.progress import say


class Home:
    """runs/CASE/versions/...  runs/CASE/aliases.json  runs/CASE/log-<config fingerprint>/  runs/CASE/live-<config fingerprint>.sqlite
    runs/CASE/items.sqlite"""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = Registry(root)

    def seed(self, artifact: Artifact, history: Events) -> None:
        """Starts the log this artifact goes on from with the history it was trained on; a log that begins with it already is kept.

        A log that begins with another history (the data, or the code that makes it, has changed since) is moved aside, and its events
        with it: positions in it mean other events than the artifact was trained on. If a server holds it: InputError.
        """
        folder, live = self._paths(artifact)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent):
            if folder.exists():
                if _begins_with(folder, history):
                    return
                _set_aside(folder)
            _remove(live)  # what an earlier log left behind
            EventLog.create(folder, history).close()

    def platform(self, artifact: Artifact, views: Sequence[View], clock: Clock) -> Platform:
        """Opens the log and the live store that belong to the artifact, backfills missing views, replays what the store has not seen."""
        folder, live = self._paths(artifact)
        if not folder.exists():
            raise NotReady(
                f"{folder}: {artifact.case} {artifact.version} has no event log here. Train it here first: mlsd run {artifact.case}."
            )
        with ExitStack() as opened:
            log = EventLog.open(folder)
            opened.callback(log.close)
            items = self.items(artifact.case)
            opened.callback(items.close)
            platform = Platform(store=_follow(log, live, views), log=log, clock=clock, items=items)
            opened.pop_all()
            return platform

    @contextmanager
    def still(self, artifact: Artifact, views: Sequence[View], clock: Clock) -> Iterator[Platform]:
        """As `platform`, at the end of the log as it is now and never after it: beside the process that serves the case, on a copy of its
        live store. What is appended is taken and forgotten."""
        with staged(artifact.folder.parent) as folder:
            copy(
                self._paths(artifact)[1], folder / "live.sqlite"
            )  # before the log is asked for its end: the store follows the log
            log = cast(EventLog, StillLog(self.log(artifact)))
            try:
                store = _follow(log, folder / "live.sqlite", views)
                items = self.items(
                    artifact.case
                )  # not still: what is deleted while a batch job runs is gone from its answers too
                try:
                    yield Platform(store=store, log=log, clock=clock, items=items)
                finally:
                    items.close()
                    store.close()
            finally:
                log.close()

    def items(self, case: str) -> ItemStore:
        """What was put and deleted while the case was served, under whatever version."""
        return ItemStore(self.root / case / "items.sqlite")

    def log(self, artifact: Artifact) -> EventLog:
        """The artifact's log to read, beside the one process that may be writing it."""
        folder, _ = self._paths(artifact)
        if not folder.exists():
            raise NotReady(
                f"{folder}: {artifact.case} {artifact.version} has no event log here. Train it here first: mlsd run {artifact.case}."
            )
        return EventLog.open(folder, read_only=True)

    def _paths(self, artifact: Artifact) -> tuple[Path, Path]:
        home = self.root / artifact.case
        fingerprint = artifact.manifest["config_fingerprint"]
        return home / f"log-{fingerprint}", home / f"live-{fingerprint}.sqlite"


def _follow(log: EventLog, live: Path, views: Sequence[View]) -> LiveStore:
    """The live store at the end of the log, holding every view."""
    store = LiveStore(live, views)
    if store.position > log.end:  # filled from a log that is gone; this one can fill it again
        store.close()
        _remove(live)
        store = LiveStore(live, views)
    if not all(store.holds(view) for view in views):
        store.backfill(log.scan(0, store.position))
    catch_up(store, log)
    return store


def _begins_with(folder: Path, history: Events) -> bool:
    """Times, kinds, keys and values of the log's first events."""
    log = EventLog.open(folder, read_only=True)  # a server may hold it
    try:
        if log.end < len(history):
            return False
        start = 0
        for events in log.scan(0, len(history)):
            part = slice(start, start + len(events))
            pairs = [(events.event_time, history.event_time[part]), (events.kind, history.kind[part])]
            pairs += [(key_column(events, name), column[part]) for name, column in history.keys.items()]
            pairs += [(value_column(events, name), column[part]) for name, column in history.values.items()]
            if not all(np.array_equal(theirs, ours) for theirs, ours in pairs):
                return False
            start += len(events)
        return start == len(history)
    finally:
        log.close()


def _set_aside(folder: Path) -> None:
    """The log under another name. Opening it as its writer first proves that no server holds it."""
    EventLog.open(folder).close()
    target = folder.with_name(f"{folder.name}.replaced-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    folder.rename(target)
    say(f"{folder} began with another history than this run's: moved to {target.name}, started anew")


def _remove(live: Path) -> None:
    for path in live.parent.glob(live.name + "*"):  # with SQLite's -wal and -shm
        path.unlink()
