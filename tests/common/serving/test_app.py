"""The server from outside: what it answers, what it refuses and how, and that nothing is half-written."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from common.errors import InputError, NotReady
from common.serving.app import Server
from common.serving.clock import SimulatedClock
from common.serving.deadline import Fault
from common.serving.guards import MAX_BODY_BYTES
from common.serving.run import running
from tests.common.serving import toy

JSON = {"content-type": "application/json"}
SECRET = "do-not-echo-me"


@pytest.fixture
def client(server: Server) -> TestClient:
    return TestClient(server.app)


def service_of(server: Server) -> toy.ToyService:
    service = server._cases["toy"].service
    assert isinstance(service, toy.ToyService)
    return service


def click(event_id: str, user_id: int = 3, **changes: Any) -> dict[str, Any]:
    return {"event_id": event_id, "kind": "click", "keys": {"request_id": 1, "user_id": user_id}, **changes}


def num_events(server: Server) -> int:
    return server._cases["toy"].platform.log.end


# ------------------------------------------------------------------------------------------------------------ answers


def test_an_answer_has_the_envelope(client: TestClient) -> None:
    answer = client.post("/toy/count", json={"user_id": 3})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"request_id", "model_version", "degraded", "timings_ms", "why", "clicks"}
    assert set(body["timings_ms"]["stages"][0]) == {"name", "start", "end", "status"}
    assert body["degraded"] == []


def test_an_event_changes_the_next_answer(client: TestClient) -> None:
    before = client.post("/toy/count", json={"user_id": 3}).json()["clicks"]
    posted = client.post("/toy/events", json={"events": [click("a")]}).json()
    assert posted == {"accepted": 1, "repeated": 0, "position": 1}
    assert client.post("/toy/count", json={"user_id": 3}).json()["clicks"] == before + 1


def test_a_repeated_event_is_counted_once_and_said_so(client: TestClient, server: Server) -> None:
    client.post("/toy/events", json={"events": [click("a")]})
    again = client.post("/toy/events", json={"events": [click("a"), click("b"), click("b")]}).json()
    assert again == {"accepted": 1, "repeated": 2, "position": 2}
    assert num_events(server) == 2


def test_events_without_a_time_get_the_servers(client: TestClient, server: Server) -> None:
    assert isinstance(server.clock, SimulatedClock)
    server.clock.set(1234)
    client.post("/toy/events", json={"events": [click("a"), click("b", event_time=1200)]})
    assert [event.event_time for event in service_of(server).log.events] == [1234, 1200]


def test_a_degraded_answer_is_a_200_with_a_label_and_a_count(client: TestClient, server: Server) -> None:
    service_of(server).stages.faults["count"] = Fault("fail")
    answer = client.post("/toy/count", json={"user_id": 3})
    assert (answer.status_code, answer.json()["degraded"], answer.json()["clicks"]) == (200, ["count"], -1)
    text = client.get("/metrics").text
    assert 'mlsd_degraded_total{case="toy",stage="count"} 1.0' in text
    assert 'mlsd_stage_missed_total{case="toy",stage="count",status="failed"} 1.0' in text
    assert 'mlsd_request_seconds_count{case="toy"} 1.0' in text


# ------------------------------------------------------------------------------------------------------------ bad input

BAD_REQUESTS: dict[str, tuple[bytes, str]] = {
    "JSON NaN": (b'{"user_id": NaN}', "NaN"),
    "NaN in a free field": (b'{"user_id": 1, "numbers": {"a": NaN}}', "NaN"),
    "Infinity": (b'{"user_id": 1, "numbers": {"a": -Infinity}}', "Infinity"),
    "a number too large": (b'{"user_id": 1, "numbers": {"a": 1e999}}', "finite"),
    "wrong type": (b'{"user_id": "do-not-echo-me"}', "user_id"),
    "a float for an id": (b'{"user_id": 1.5}', "user_id"),
    "true for an id": (b'{"user_id": true}', "user_id"),
    "missing field": (b"{}", "user_id: Field required"),
    "unknown field": (b'{"user_id": 1, "colour": "do-not-echo-me"}', "colour: There is no such field"),
    "negative id": (b'{"user_id": -1}', "user_id"),
    "too long a text": (b'{"user_id": 1, "note": "' + b"x" * 21 + b'"}', "note"),
    "too many numbers": (json.dumps({"user_id": 1, "numbers": dict.fromkeys("abcd", 1)}).encode(), "numbers"),
    "unknown id": (b'{"user_id": 999}', "not one of"),
    "empty body": (b"", "JSON"),
    "not JSON": (b"do-not-echo-me", "JSON"),
    "not UTF-8": (b'{"user_id": 1, "note": "\xff"}', "JSON"),
    "a list": (b"[1]", "body"),
    "deep nesting": (b"[" * 100_000, "recursion"),
    "a huge integer": (b'{"user_id": ' + b"9" * 10_000 + b"}", "number"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_request_gives_a_clear_error_that_does_not_echo(client: TestClient, name: str) -> None:
    body, expected = BAD_REQUESTS[name]
    answer = client.post("/toy/count", content=body, headers=JSON)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert {"what", "why", "next"} <= set(error)
    assert expected in error["why"]
    assert SECRET not in answer.text
    assert len(answer.text) < 1500


def test_the_words_nan_and_infinity_may_stand_in_a_text(client: TestClient) -> None:
    """Negative control of the NaN guard."""
    assert client.post("/toy/count", json={"user_id": 1, "note": "NaN or Infinity"}).status_code == 200


def change(degrees: int) -> dict[str, Any]:
    return {"event_id": f"{degrees} degrees", "kind": "change", "keys": {"user_id": 1}, "values": {"degrees": degrees}}


GOOD = click("good")
BAD_EVENTS: dict[str, tuple[Any, str]] = {
    "empty batch": ([], "events"),
    "huge batch": ([click(str(i)) for i in range(1001)], "events"),
    "unknown kind": ([GOOD, click("b", kind="clik")], "events.1.kind"),
    "missing key": ([GOOD, click("b", keys={"request_id": 1})], "events.1.keys.user_id"),
    "unknown key": ([GOOD, click("b", keys={"request_id": 1, "user_id": 1, "usr": 2})], "Did you mean 'user_id'"),
    "text for a key": ([GOOD, click("b", keys={"request_id": 1, "user_id": "x"})], "events.1.keys.user_id"),
    "negative id": ([GOOD, click("b", user_id=-1)], "events.1.keys.user_id"),
    "id beyond JSON": ([GOOD, click("b", user_id=2**53)], "events.1.keys.user_id"),
    "missing value": ([GOOD, click("b", kind="watch")], "events.1.values.seconds"),
    "unknown value": ([GOOD, click("b", values={"seconds": 1})], "events.1.values.seconds"),
    "float value": ([GOOD, click("b", kind="watch", values={"seconds": 1.5})], "events.1.values.seconds"),
    "value below zero": ([GOOD, click("b", kind="watch", values={"seconds": -1})], "events.1.values.seconds"),
    "value below the least": ([GOOD, change(-6)], "events.1.values.degrees: at least -5"),
    "what the server logs": ([GOOD, click("b", kind="shown")], "events.1.kind: shown is logged by the server"),
    "future event": ([GOOD, click("b", event_time=10**11)], "events.1.event_time"),
    "before the epoch": ([GOOD, click("b", event_time=-1)], "events.1.event_time"),
    "no event_id": ([GOOD, click("")], "events.1.event_id"),
    "long event_id": ([GOOD, click("x" * 101)], "events.1.event_id"),
    "unknown field": ([GOOD, click("b", moment=3)], "events.1.moment"),
    "not a list": ("x", "events"),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_bad_events_are_refused_whole(client: TestClient, server: Server, name: str) -> None:
    events, expected = BAD_EVENTS[name]
    answer = client.post("/toy/events", json={"events": events})
    assert answer.status_code == 422
    assert expected in answer.json()["error"]["why"]
    assert num_events(server) == 0, "the good event beside it was written"


def test_the_good_event_alone_is_accepted(client: TestClient, server: Server) -> None:
    """Negative control of the table above."""
    assert client.post("/toy/events", json={"events": [GOOD]}).status_code == 200
    assert num_events(server) == 1


def test_an_optional_key_may_be_left_out_and_a_value_may_be_the_least(client: TestClient, server: Server) -> None:
    """Negative control of "missing key" and "value below the least"."""
    watches = [click("short", kind="watch", values={"seconds": 0})]
    watches.append(
        click("long", kind="watch", values={"seconds": 9}, keys={"request_id": 1, "user_id": 1, "topic_id": 4})
    )
    assert client.post("/toy/events", json={"events": [*watches, change(-5)]}).status_code == 200
    assert [event.keys.get("topic_id") for event in service_of(server).log.events] == [None, 4, None]


# ------------------------------------------------------------------------------------------------------------ the door


def test_a_body_too_large_is_refused_by_its_header_or_by_counting(client: TestClient) -> None:
    def chunks() -> Any:
        for _ in range(20):
            yield b" " * (MAX_BODY_BYTES // 10)

    for body in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        answer = client.post("/toy/count", content=body, headers=JSON)
        assert answer.status_code == 413
        assert str(MAX_BODY_BYTES) in answer.json()["error"]["why"]


def test_text_plain_is_refused(client: TestClient) -> None:
    """What a page in a browser could send to localhost without asking."""
    assert (
        client.post("/toy/count", content=b'{"user_id": 1}', headers={"content-type": "text/plain"}).status_code == 422
    )


def test_an_unknown_route_lists_those_there_are(client: TestClient) -> None:
    answer = client.post("/toy/cuont", json={})
    assert answer.status_code == 404
    assert "Did you mean '/toy/count'" in answer.json()["error"]["why"]
    wrong_method = client.get("/toy/count")
    assert wrong_method.status_code == 405
    assert "POST" in wrong_method.json()["error"]["why"]


def test_more_than_the_cap_is_told_to_come_back(server: Server) -> None:
    inside, go = threading.Semaphore(0), threading.Event()

    def hook() -> None:
        inside.release()
        go.wait(30)

    service_of(server).hook = hook
    codes: list[int] = []
    with TestClient(server.app) as client:
        ask = lambda: codes.append(client.post("/toy/count", json={"user_id": 3}).status_code)  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
            assert inside.acquire(timeout=30)
        third = client.post("/toy/count", json={"user_id": 3})
        assert (third.status_code, third.headers["retry-after"]) == (503, "1")
        assert client.get("/health").status_code == 200, "the cap is the route's, not the server's"
        go.set()
        for thread in threads:
            thread.join(30)
        assert codes == [200, 200]
        assert client.post("/toy/count", json={"user_id": 3}).status_code == 200, "the slots came back"


def test_our_own_mistake_is_a_numbered_500_without_internals(
    client: TestClient, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def hook() -> None:
        raise RuntimeError(SECRET)

    service_of(server).hook = hook
    answer = client.post("/toy/count", json={"user_id": 3})
    assert answer.status_code == 500
    assert SECRET not in answer.text
    number = answer.json()["error"]["why"].split()[-1].rstrip(".")
    assert number in caplog.text
    assert SECRET in caplog.text


def test_not_ready_is_a_503_with_retry_after(client: TestClient, server: Server) -> None:
    def hook() -> None:
        raise NotReady("The index is being built. Wait for it.")

    service_of(server).hook = hook
    answer = client.post("/toy/count", json={"user_id": 3})
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "index is being built" in answer.json()["error"]["why"]


# ------------------------------------------------------------------------------------------------------------ the server


def test_ready_and_the_page_wait_for_the_expected_cases() -> None:
    server = Server(expected=("toy", "late"))
    client = TestClient(server.app)
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    assert client.post("/toy/count", json={"user_id": 3}).status_code == 404
    page = client.get("/").text
    assert "waiting" in page and "training" not in page  # the server cannot know who trains
    assert {case["state"] for case in client.get("/cases").json()["cases"]} == {"waiting"}
    assert 'http-equiv="refresh"' in page
    server.add(toy.served())
    assert client.get("/ready").json() == {"ready": ["toy"], "missing": ["late"]}
    assert client.post("/toy/count", json={"user_id": 3}).status_code == 200
    page = client.get("/").text
    assert "0.5000" in page
    assert "/toy/count" in page
    assert "/toy/look" not in page  # a page of its own is linked where a case has one
    assert "/toy/count" in client.get("/openapi.json").json()["paths"]
    server.close()


def test_a_new_version_is_swapped_in(client: TestClient, server: Server) -> None:
    num_routes = len(server.app.routes)
    server.add(toy.served(version="v2"))
    assert client.post("/toy/count", json={"user_id": 3}).json()["model_version"] == "v2"
    assert len(server.app.routes) == num_routes
    assert [case["version"] for case in client.get("/cases").json()["cases"]] == ["v2"]


def test_the_page_does_not_reload_itself_once_all_is_ready(client: TestClient) -> None:
    assert "http-equiv" not in client.get("/").text


def test_every_row_of_the_page_has_an_origin_of_the_project(client: TestClient) -> None:
    """The paired difference is of the same origin as the model it is about."""
    rows = re.findall(r"<tr><td>(.*?)</td><td>.*?</td><td>(.*?)</td></tr>", client.get("/").text)
    assert "model − baseline, paired" in dict(rows)
    assert {origin for _, origin in rows} <= {"world", "real", "published", "calc", "machine"}


def test_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/docs"):
        page = client.get(path).text
        assert "src=" not in page
        assert "<link" not in page
        assert "https://" not in page


def test_names_are_escaped_on_the_page() -> None:
    server = Server(expected=("<script>alert(1)</script>",))
    assert "<script>alert" not in TestClient(server.app).get("/").text


def test_openapi_declares_bodies_answers_and_refusals(client: TestClient) -> None:
    api = client.get("/openapi.json").json()
    for path in ("/toy/count", "/toy/events"):
        operation = api["paths"][path]["post"]
        assert {"200", "400", "401", "404", "413", "422", "429", "503"} <= set(operation["responses"])
        assert operation["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
    references = set(json.dumps(api).split("#/components/schemas/")[1:])
    assert references
    assert all(text.split('"')[0] in api["components"]["schemas"] for text in references)


def test_the_example_of_the_docs_page_is_accepted(client: TestClient, server: Server) -> None:
    api = client.get("/openapi.json").json()
    example = api["paths"]["/toy/events"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/toy/events", json=example).status_code == 200
    assert num_events(server) == 1


def test_the_clock_moves_for_the_holder_of_the_token_alone(client: TestClient, server: Server) -> None:
    before = server.clock.now()
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"}):
        assert client.post("/clock", json={"now": 7}, headers=headers).status_code == 401
    assert server.clock.now() == before
    right = {"authorization": "Bearer secret"}
    assert client.post("/clock", json={"now": "7"}, headers=right).status_code == 422
    assert client.post("/clock", json={"now": 7}, headers=right).json() == {"now": 7}
    assert server.clock.now() == 7


def test_without_a_simulated_clock_there_is_no_route_for_it() -> None:
    assert TestClient(Server(token="secret").app).post("/clock", json={"now": 7}).status_code == 404
    with pytest.raises(InputError, match="token"):
        Server(simulated_clock=True)


def test_the_curl_line_of_the_page_works_over_a_socket(server: Server) -> None:
    with running(server) as url, httpx2.Client(base_url=url) as client:
        case = client.get("/cases").json()["cases"][0]
        assert client.post(case["route"], json=case["example"]).status_code == 200
        assert url + case["route"] in client.get("/").text


def test_a_taken_port_is_named(server: Server) -> None:
    with (
        running(server) as url,
        pytest.raises(InputError, match="--port"),
        running(server, port=int(url.split(":")[-1])),
    ):
        pass
