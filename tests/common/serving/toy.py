"""The smallest service that can be put on a Server: it counts a user's clicks, read from an in-memory log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter
from pydantic import ConfigDict, Field, FiniteFloat

from common.contract import Event, EventKind, Platform, Timings, Why
from common.errors import InputError
from common.lifecycle.log import Appended
from common.serving.app import Served, route
from common.serving.clock import SystemClock
from common.serving.deadline import Deadline, Stages

EVENTS = {
    "click": EventKind(keys=("request_id", "user_id")),
    "watch": EventKind(keys=("request_id", "user_id", "topic_id"), values=("seconds",), optional=("topic_id",)),
    "change": EventKind(keys=("user_id",), values=("degrees",), least=-5),
    "shown": EventKind(keys=("request_id", "user_id"), posted=False),
}
UNKNOWN_USER = 999


@dataclass(frozen=True, kw_only=True)
class Request:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    note: Annotated[str, Field(max_length=20)] = ""
    numbers: Annotated[dict[str, FiniteFloat], Field(max_length=3)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    clicks: int


class MemoryLog:
    """An EventLog without a disk; `catch_up` is replaced by nothing, the log is its own store."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lock = threading.Lock()

    @property
    def end(self) -> int:
        return len(self.events)

    def append(self, events: Sequence[Event]) -> Appended:
        with self.lock:
            known = {event.event_id: i for i, event in enumerate(self.events)}
            positions, is_new = [], []
            for event in events:
                is_new.append(event.event_id not in known)
                if is_new[-1]:
                    known[event.event_id] = len(self.events)
                    self.events.append(event)
                positions.append(known[event.event_id])
            return Appended(positions=np.array(positions, np.int64), is_new=np.array(is_new, np.bool_))


class ToyService:
    def __init__(self, log: MemoryLog, version: str = "v1") -> None:
        self.log = log
        self.version = version
        self.stages = Stages({"count": 2000.0, "log": 2000.0})
        self.hook: Callable[[], Any] = lambda: None

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        self.hook()
        if request.user_id == UNKNOWN_USER:
            raise InputError("user_id 999 is not one of the 10 users. Expected 0 to 9.")
        clicks = self.stages.run("count", deadline, lambda: self.count(request.user_id), lambda: -1)
        return Answer(
            request_id=1,
            model_version=self.version,
            degraded=deadline.degraded,
            timings_ms=deadline.timings(),
            why=[],
            clicks=clicks,
        )

    def count(self, user_id: int) -> int:
        return sum(event.kind == "click" and event.keys["user_id"] == user_id for event in self.log.events)

    def router(self) -> APIRouter:
        return route(self, "/toy/count", Request, Answer, deadline_ms=5000.0, in_flight=2)


def served(log: MemoryLog | None = None, version: str = "v1", clock: Any = None) -> Served:
    log = log or MemoryLog()
    platform = SimpleNamespace(store=None, log=log, clock=clock or SystemClock())
    return Served(
        name="toy",
        service=ToyService(log, version),
        platform=cast(Platform, platform),
        events=EVENTS,
        version=version,
        example={"user_id": 3},
        summary={
            "reports": {
                "model": {
                    "primary": {"name": "log_loss", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "origin": "world"}
                }
            },
            "paired": {"model-baseline": {"value": -0.1, "low": -0.2, "high": -0.05}},
        },
    )
