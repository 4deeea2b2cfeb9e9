"""Plays simulated visits, and the items that come meanwhile, against a running server, over a socket or over ASGI; both know the platform only
from outside."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import httpx2
import orjson
from pydantic import TypeAdapter, ValidationError

from common.cases import Case
from common.contract import Errand, Event, Visit
from common.errors import InputError

BATCH = 500
JSON = {"content-type": "application/json"}


class SettableClock(Protocol):
    def set(self, now: int) -> None: ...


@dataclass
class Played:
    """What happened: counts, and each answer's total_ms and degraded stages."""

    visits: int = 0
    events: int = 0
    errands: int = 0  # answered
    items: int = 0  # put
    errors: dict[str, int] = field(default_factory=dict)  # HTTP status or exception name -> how often
    total_ms: list[float] = field(default_factory=list)
    degraded: dict[str, int] = field(default_factory=dict)


def play(
    case: Case,
    visits: Iterable[Visit[Any, Any]],
    client: Any,
    clock: SettableClock,
    uploads: Iterable[tuple[int, Any]] = (),
    token: str = "",
) -> Played:
    """`client`: httpx2.Client (or Starlette's TestClient) bound to the server. `clock`: has set(event_time); over a socket it posts to the
    token-protected /clock route. Before each visit the clock moves to it and every reaction that is due by then is posted as an event. `uploads`:
    (when, a schema.Item) in order of time; those due by a visit are put before it. `token`: the server's, which errands of its staff need.

    Visits come in order of time. A server's error is counted and the visit has no reaction; it never ends the play.
    """
    player = Player(case, client, clock, uploads, token)
    for visit in visits:
        player.move(visit.event_time)
        player.visit(visit)
    player.finish()
    return player.played


class RemoteClock:
    """The simulated clock of a server on the other side of a socket."""

    def __init__(self, client: Any, token: str) -> None:
        self.client = client
        self.headers = {**JSON, "authorization": f"Bearer {token}"}

    def set(self, now: int) -> None:
        answer = self.client.post("/clock", content=orjson.dumps({"now": now}), headers=self.headers)
        if answer.status_code in {401, 404}:
            raise InputError(
                f"The server does not let its clock be moved (HTTP {answer.status_code}). Start it with --clock simulated and pass its token."
            )


class Player:
    """One play: the reactions and errands still to come, in order of time, and what has happened so far."""

    def __init__(
        self, case: Case, client: Any, clock: SettableClock, uploads: Iterable[tuple[int, Any]] = (), token: str = ""
    ) -> None:
        self.route: str = case.stage("serve").ROUTE
        self.events_route, self.items_route = f"/{case.name}/events", f"/{case.name}/items"
        schema = case.stage("schema")
        self.answers: TypeAdapter[Any] = TypeAdapter(schema.Answer)
        self.client = client
        self.clock = clock
        self.played = Played()
        self.staff = {**JSON, "authorization": f"Bearer {token}"} if token else JSON
        self.pending: list[tuple[int, int, Event]] = []
        self.errands: list[tuple[int, int, Errand]] = []
        self.uploads = iter(uploads)
        self.next_upload = next(self.uploads, None)
        self.order = count()  # reactions of one second are posted in the order they were made

    def move(self, now: int) -> None:
        """Every errand that is due on the way is run at its own time."""
        while self.errands and self.errands[0][0] <= now:
            when, _, errand = heapq.heappop(self.errands)
            self.to(when)
            self.run(errand)
        self.to(now)

    def to(self, now: int) -> None:
        """The clock moves first: an event from ahead of the server's clock would be refused."""
        try:
            self.clock.set(now)
        except httpx2.HTTPError as error:
            self.missed(type(error).__name__)
        due: list[Event] = []
        while self.pending and self.pending[0][0] <= now:
            due.append(heapq.heappop(self.pending)[2])
        for i in range(0, len(due), BATCH):
            self.post_events(due[i : i + BATCH])
        self.put_items(now)

    def visit(self, visit: Visit[Any, Any]) -> None:
        self.played.visits += 1
        body = self.post(self.route, orjson.dumps(visit.request(), option=orjson.OPT_SERIALIZE_NUMPY))
        if body is None:
            return
        try:
            answer = self.answers.validate_json(body)
        except ValidationError:
            self.missed("ValidationError")
            return
        self.played.total_ms.append(answer.timings_ms.total)
        for stage in answer.degraded:
            self.played.degraded[stage] = self.played.degraded.get(stage, 0) + 1
        self.expect(visit.react(answer))

    def run(self, errand: Errand) -> None:
        body = self.post(errand.route, orjson.dumps(errand.body), headers=self.staff)
        if body is not None:
            self.played.errands += 1
            self.expect(errand.react(orjson.loads(body)))

    def expect(self, coming: Iterable[Event | Errand]) -> None:
        for one in coming:
            if isinstance(one, Event):
                heapq.heappush(self.pending, (one.event_time, next(self.order), one))
            else:
                heapq.heappush(self.errands, (one.event_time, next(self.order), one))

    def finish(self) -> None:
        """One errand leads to another."""
        while self.pending or self.errands:
            self.move(max(event_time for event_time, *_ in (*self.pending, *self.errands)))

    def post_events(self, events: Sequence[Event]) -> None:
        body = self.post(
            self.events_route,
            orjson.dumps({"events": [as_posted(event) for event in events]}, option=orjson.OPT_SERIALIZE_NUMPY),
        )
        if body is not None:
            self.played.events += len(events)

    def put_items(self, now: int) -> None:
        """Those that have come by now."""
        due: list[Any] = []
        while self.next_upload is not None and self.next_upload[0] <= now:
            due.append(self.next_upload[1])
            self.next_upload = next(self.uploads, None)
        for i in range(0, len(due), BATCH):
            some = due[i : i + BATCH]
            if self.post(self.items_route, orjson.dumps({"items": some}), "PUT") is not None:
                self.played.items += len(some)

    def post(self, path: str, content: bytes, method: str = "POST", headers: Mapping[str, str] = JSON) -> bytes | None:
        """-> the body of a 200; anything else is counted."""
        try:
            answer = self.client.request(method, path, content=content, headers=dict(headers))
        except httpx2.HTTPError as error:
            self.missed(type(error).__name__)
            return None
        if answer.status_code != 200:
            self.missed(str(answer.status_code))
            return None
        return bytes(answer.content)

    def missed(self, what: str) -> None:
        self.played.errors[what] = self.played.errors.get(what, 0) + 1


def as_posted(event: Event) -> dict[str, Any]:
    """`moment` stays here: what a platform knew when it answered is its own to say."""
    return {
        "event_id": event.event_id,
        "kind": event.kind,
        "event_time": event.event_time,
        "keys": event.keys,
        "values": event.values,
    }
