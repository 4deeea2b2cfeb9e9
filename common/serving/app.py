"""The HTTP app: one factory, cases added as they become ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.contract import EventKind, Platform, Service

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI


@dataclass(frozen=True, kw_only=True)
class Served:
    """One case ready to answer. `summary` is what the status page shows: the reports and paired intervals of its artifact."""

    name: str
    service: Service[Any, Any]
    platform: Platform
    events: Mapping[str, EventKind]
    version: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] = field(
        default_factory=dict
    )  # a request body that works, for the page and the curl line


class Server:
    """`app` answers /health /ready /metrics /docs / (the status page), /CASE/events, and every case's own routes once it is added."""

    app: FastAPI

    def __init__(
        self, *, expected: tuple[str, ...] = (), token: str | None = None, simulated_clock: bool = False
    ) -> None:
        """`expected`: cases that will come; /ready is 503 and the page says "training" until they are there."""
        raise NotImplementedError

    def add(self, served: Served) -> None:
        """Mounts a case, or swaps in a new version of it."""
        raise NotImplementedError


def route(
    service: Service[Any, Any], path: str, request: type, answer: type, *, deadline_ms: float, in_flight: int = 4
) -> APIRouter:
    """The router of a service with one POST route: validated body -> service.respond under a deadline -> answer as JSON. More than
    `in_flight` requests at once are answered 503 with Retry-After instead of queueing."""
    raise NotImplementedError
