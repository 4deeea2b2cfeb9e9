"""The player moves the clock, asks, and posts each reaction when it is due; a server's error is counted, never raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx2
import orjson
import pytest
from starlette.testclient import TestClient

from common.cases import Case
from common.contract import STAGES, Errand, Event
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


def clicks(event_time: int, react: Callable[[Mapping[str, Any]], list[Any]], user_id: int = 3) -> Errand:
    return Errand(event_time=event_time, route="/toy/count", body={"user_id": user_id}, react=react)


def test_errands_are_run_at_their_time_among_the_reactions_and_may_lead_to_others(server: Server) -> None:
    """Between two visits, after the events that are due by then; the last one after everything else."""
    told: list[tuple[int, int]] = []

    def then(*next_: Errand) -> Callable[[Mapping[str, Any]], list[Any]]:
        def react(answer: Mapping[str, Any]) -> list[Any]:
            told.append((the_clock(server).now(), answer["clicks"]))
            return list(next_)

        return react

    first = clicks(START + 5, then(clicks(START + 12, then()), clicks(START + 500, then())))
    visit, other = Visit(START, delay=10), Visit(START + 20, delay=30)
    react = visit.react
    visit.react = lambda answer: [*react(answer), first]  # type: ignore[method-assign,list-item]
    played = play(CASE, [visit, other], TestClient(server.app), the_clock(server))
    assert told == [(START + 5, 0), (START + 12, 1), (START + 500, 2)]
    assert (played.visits, played.errands, played.events, played.errors) == (2, 3, 2, {})
    assert the_clock(server).now() == START + 500


def test_an_errand_that_is_refused_is_counted_and_leads_nowhere(server: Server) -> None:
    visit = Visit(START)
    refused = clicks(START + 1, lambda answer: pytest.fail("it had no answer"), user_id=toy.UNKNOWN_USER)
    visit.react = lambda answer: [refused]  # type: ignore[method-assign,list-item]
    played = play(CASE, [visit], TestClient(server.app), the_clock(server))
    assert (played.errands, played.errors) == (0, {"422": 1})


@pytest.mark.parametrize("token", ["", "secret"])
def test_errands_alone_carry_the_token(monkeypatch: pytest.MonkeyPatch, server: Server, token: str) -> None:
    client, sent = TestClient(server.app), list[str]()
    send = client.request

    def request(method: str, path: str, **more: Any) -> Any:
        sent.append(more["headers"].get("authorization", ""))
        return send(method, path, **more)

    monkeypatch.setattr(client, "request", request)
    visit = Visit(START)
    visit.react = lambda answer: [clicks(START + 1, lambda _: [])]  # type: ignore[method-assign,list-item]
    play(CASE, [visit], client, the_clock(server), token=token)
    assert sent == ["", f"Bearer {token}" if token else ""]
