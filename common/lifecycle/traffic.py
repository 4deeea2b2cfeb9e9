"""Plays simulated visits against a running server, over a socket or over ASGI; the visits know the platform only from outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from common.cases import Case
from common.contract import Visit


@dataclass
class Played:
    """What happened: counts, and each answer's total_ms and degraded stages."""

    visits: int = 0
    events: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # HTTP status or exception name -> how often
    total_ms: list[float] = field(default_factory=list)
    degraded: dict[str, int] = field(default_factory=dict)


def play(case: Case, visits: Iterable[Visit[Any, Any]], client: Any, clock: Any) -> Played:
    """`client`: httpx2.Client (or Starlette's TestClient) bound to the server. `clock`: has set(event_time); over a socket it posts to the
    token-protected /clock route. Before each visit the clock moves to it and every reaction that is due by then is posted as an event."""
    raise NotImplementedError
