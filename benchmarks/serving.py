"""What our door costs: CPU of one validated JSON request beside plain FastAPI, a stage beside a bare call, and latency under open load.

Run: python -m benchmarks.serving [--quick]

Both apps validate the same body, hop to a thread for the same work and answer the same dataclass; the requests are made in process over
ASGI, so no socket is in the figure. Process time counts every thread.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from pydantic import ConfigDict, Field, FiniteFloat

from benchmarks.harness import Row, open_loop, paired_rounds, quantile, write_result
from common.contract import Timings, Why
from common.serving.app import Server, route
from common.serving.deadline import Deadline, Stages
from common.serving.run import running

NUM_ITEMS = 20
BODY = b'{"user_id": 42, "num_items": 20, "numbers": {"age": 34.0, "hour": 13.0}, "categories": {"country": "c0", "device": "mobile"}}'


@dataclass(frozen=True, kw_only=True)
class Request:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    num_items: Annotated[int, Field(ge=1, le=50)] = NUM_ITEMS
    numbers: Annotated[dict[str, FiniteFloat], Field(max_length=50)] = field(default_factory=dict)
    categories: Annotated[dict[str, str], Field(max_length=50)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LaxRequest(Request):
    """FastAPI hands pydantic a dict, which strict mode does not take for a dataclass."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Item:
    item_id: int
    slot: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    items: list[Item]


def answer(request: Request, timings: Timings) -> Answer:
    items = [Item(item_id=i, slot=i, score=1.0 - i / 100) for i in range(request.num_items)]
    return Answer(request_id=1, model_version="v1", degraded=[], timings_ms=timings, why=[], items=items)


class Work:
    """The service under ours: the same answer, with `num_stages` empty stages before it."""

    def __init__(self, num_stages: int = 0, ms: float = 0.0) -> None:
        self.names = [f"stage_{i}" for i in range(num_stages)]
        self.stages = Stages(dict.fromkeys(self.names, 1000.0))
        self.ms = ms

    def respond(self, request: Request, deadline: Deadline) -> Answer:
        for name in self.names:
            self.stages.run(name, deadline, self.compute, lambda: None)
        return answer(request, deadline.timings())

    def compute(self) -> None:
        if self.ms:
            time.sleep(self.ms / 1e3)

    def router(self) -> APIRouter:
        return route(self, "/toy/items", Request, Answer, deadline_ms=1000.0)


def ours(num_stages: int = 0) -> FastAPI:
    server = Server()
    server.app.router.routes.extend(Work(num_stages).router().routes)
    return server.app


def plain() -> FastAPI:
    """What a user would write first: FastAPI's own body, model and response."""
    app = FastAPI()

    @app.post("/toy/items")
    def items(request: LaxRequest) -> Answer:
        return answer(request, Timings(total=0.0, stages=[]))

    return app


def request_cpu_us(app: FastAPI, requests: int) -> Callable[[], float]:
    """-> a function that makes `requests` requests in process, one after the other, and returns CPU microseconds of one."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/toy/items",
        "raw_path": b"/toy/items",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "root_path": "",
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def batch() -> float:
        for _ in range(20):
            await app(dict(scope), receive, send)
        start = time.process_time()
        for _ in range(requests):
            await app(dict(scope), receive, send)
        return (time.process_time() - start) / requests * 1e6

    def measure() -> float:
        spent = asyncio.run(batch())
        assert set(statuses) == {200}, set(statuses)
        return spent

    return measure


def stage_us(calls: int) -> Callable[[], float]:
    stages = Stages({"a": 1000.0})

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            stages.run("a", Deadline(1000.0), int, int)
        return (time.perf_counter() - start) / calls * 1e6

    return measure


def call_us(calls: int) -> Callable[[], float]:
    call: Callable[[], int] = int

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            Deadline(1000.0)
            call()
        return (time.perf_counter() - start) / calls * 1e6

    return measure


def under_load(requests_per_second: float, seconds: float, in_flight: int) -> Row:
    """A service whose stage sleeps 20 ms, so its capacity is known: two calls in flight at 20 ms each are 100 a second."""
    server = Server()
    work = Work(num_stages=1, ms=20.0)
    router = route(work, "/toy/items", Request, Answer, deadline_ms=1000.0, in_flight=in_flight)
    server.app.router.routes.extend(router.routes)
    with running(server) as url:
        load = asyncio.run(open_loop(url + "/toy/items", requests_per_second, seconds, [BODY]))
    work.stages.close()
    return {
        "what": f"{requests_per_second:g} requests/s offered to 100/s, at most {in_flight} in flight",
        "answered per second": load.statuses.get("200", 0) / load.seconds,
        "told to come back": load.statuses.get("503", 0) / load.sent,
        "p50_ms": quantile(load.latency_ms, 0.5),
        "p99_ms": quantile(load.latency_ms, 0.99),
    }


def main() -> None:
    quick = "--quick" in sys.argv
    requests, rounds = (200, 3) if quick else (300, 41)
    rows: list[Row] = []
    for name, num_stages in (("no stage", 0), ("three stages", 3)):
        ratio = paired_rounds(request_cpu_us(ours(num_stages), requests), request_cpu_us(plain(), requests), rounds)
        rows.append(
            {
                "what": f"CPU of a validated request, {name}, beside plain FastAPI",
                "ours_us": ratio.a,
                "plain_us": ratio.b,
                "ratio": ratio.median,
                "ratio_low": ratio.low,
                "ratio_high": ratio.high,
            }
        )
    stage = paired_rounds(stage_us(requests), call_us(requests), rounds)
    rows.append({"what": "one empty stage, wall clock", "ours_us": stage.a, "plain_us": stage.b})
    rows += [under_load(250.0, 2.0 if quick else 8.0, in_flight) for in_flight in (4, 1000)]
    for row in rows:
        print(
            "  ".join(f"{key}: {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items())
        )
    if not quick:
        path = write_result(
            "serving",
            rows,
            "Process time counts every thread; latency counts from the time a request was meant to leave. Load generator and server share the machine and the process.",
        )
        print(f"written to {path}")


if __name__ == "__main__":
    main()
