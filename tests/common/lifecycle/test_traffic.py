"""The player moves the clock, asks, and posts each reaction when it is due; a server's error is counted, never raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx2
import orjson
import pytest
from starlette.testclient import TestClient

from common.cases import Case
from common.contract import STAGES, Event
from common.errors import InputError
from common.lifecycle.traffic import RemoteClock, play
from common.serving.app import Server
from common.serving.clock import SimulatedClock
from common.serving.deadline import Fault
from common.serving.run import running
from tests.common.serving import toy

START = 1_700_000_000


def stage(name: str, **verbs: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**dict.fromkeys(STAGES[name]), **verbs})


CASE = Case(
    "toy",
    "nowhere",
    replaced={"serve": stage("serve", ROUTE="/toy/count"), "schema": stage("schema", Answer=toy.Answer)},
)


@dataclass
class Visit:
    event_time: int
    delay: int = 10
    user_id: int = 3
    seen: list[int] = field(default_factory=list)

    def request(self) -> toy.Request:
        return toy.Request(user_id=self.user_id)

    def react(self, answer: toy.Answer) -> list[Event]:
        self.seen.append(answer.clicks)
        event_time = self.event_time + self.delay
        name = f"click-{self.event_time}"
        return [
            Event(event_id=name, kind="click", event_time=event_time, keys={"request_id": 1, "user_id": self.user_id})
        ]


@pytest.fixture(autouse=True)
def _log_is_its_own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.serving.feedback.catch_up", lambda store, log: log.end)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(token="secret", simulated_clock=True)
    made.add(toy.served(clock=made.clock))
    yield made
    made.close()


def the_clock(server: Server) -> SimulatedClock:
    assert isinstance(server.clock, SimulatedClock)
    return server.clock


def test_reactions_are_posted_when_due(server: Server) -> None:
    visits = [Visit(START), Visit(START + 5), Visit(START + 12), Visit(START + 100)]
    played = play(CASE, visits, TestClient(server.app), the_clock(server))
    assert [visit.seen for visit in visits] == [[0], [0], [1], [3]]
    assert (played.visits, played.events, played.errors) == (4, 4, {})
    assert len(played.total_ms) == 4
    assert the_clock(server).now() == START + 110


def test_play_over_a_socket(server: Server) -> None:
    visits = [Visit(START), Visit(START + 12)]
    with running(server) as url, httpx2.Client(base_url=url) as client:
        played = play(CASE, visits, client, RemoteClock(client, "secret"))
        with pytest.raises(InputError, match="--clock simulated"):
            RemoteClock(client, "wrong").set(START)
    assert (played.events, played.errors, visits[1].seen) == (2, {}, [1])


def test_errors_are_counted_and_the_play_goes_on(server: Server) -> None:
    visits = [Visit(START, user_id=toy.UNKNOWN_USER), Visit(START + 1), Visit(START + 2, user_id=2**40)]
    played = play(CASE, visits, TestClient(server.app), the_clock(server))
    assert played.errors == {"422": 2}
    assert (played.visits, played.events) == (3, 1)


def test_refused_events_are_counted_not_played(server: Server) -> None:
    """Negative control for `events`: a player that counted what it sent would say 1."""
    visit = Visit(START)
    visit.react = lambda answer: [Event(event_id="a", kind="unheard_of", event_time=START, keys={})]  # type: ignore[method-assign]
    played = play(CASE, [visit], TestClient(server.app), the_clock(server))
    assert (played.events, played.errors) == (0, {"422": 1})


def test_a_dead_server_is_counted(server: Server) -> None:
    with httpx2.Client(base_url="http://127.0.0.1:9") as client:
        played = play(CASE, [Visit(START)], client, the_clock(server))
    assert played.errors == {"ConnectError": 1}


def test_degraded_stages_are_counted(server: Server) -> None:
    server._cases["toy"].service.stages.faults["count"] = Fault("fail")
    played = play(CASE, [Visit(START), Visit(START + 1)], TestClient(server.app), the_clock(server))
    assert played.degraded == {"count": 2}
    assert played.errors == {}


def test_items_are_put_before_the_visit_they_precede(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Due by the clock, in one batch, and no later ones; a refused batch is counted as an error, not as put."""
    client, put = TestClient(server.app), list[tuple[int, Any]]()
    send = client.request

    def request(method: str, path: str, **more: Any) -> Any:
        if method != "PUT":
            return send(method, path, **more)
        put.append((the_clock(server).now(), orjson.loads(more["content"])["items"]))
        return httpx2.Response(200 if len(put) == 1 else 422)

    monkeypatch.setattr(client, "request", request)
    uploads = [
        (START - 1, {"toy_id": 1}),
        (START, {"toy_id": 2}),
        (START + 3, {"toy_id": 3}),
        (START + 99, {"toy_id": 4}),
    ]
    played = play(CASE, [Visit(START), Visit(START + 5, delay=1)], client, the_clock(server), uploads)
    assert put == [(START, [{"toy_id": 1}, {"toy_id": 2}]), (START + 5, [{"toy_id": 3}])]
    assert (played.items, played.events, played.errors) == (2, 2, {"422": 1})
