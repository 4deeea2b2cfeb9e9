"""The HTTP app: one factory, cases added as they become ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from pydantic import ConfigDict, Field, TypeAdapter
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from common.contract import EventKind, Platform, Service
from common.errors import InputError, NotReady
from common.monitoring.prometheus import CONTENT_TYPE, Metrics
from common.serving import feedback, guards, items, pages
from common.serving.clock import SimulatedClock, SystemClock
from common.serving.deadline import Deadline

T = TypeVar("T")
Read = Callable[[Request], Awaitable[bytes]]
JSON = "application/json"

EVENTS_IN_FLIGHT = 8
ITEMS_IN_FLIGHT = 4
RESPONSES: dict[int | str, dict[str, Any]] = {code: {"description": text} for code, text in guards.STATUSES.items()}


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
    item: items.Kind | None = None  # what it takes at /CASE/items, if anything


@dataclass(frozen=True, kw_only=True)
class ClockSetting:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    now: Annotated[int, Field(ge=0, lt=2**40)]


class App(FastAPI):
    """FastAPI, with the schemas of bodies we decode ourselves moved to where OpenAPI's references look for them."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            shared = schema.setdefault("components", {}).setdefault("schemas", {})
            for operation in (operation for item in schema["paths"].values() for operation in item.values()):
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    shared.update(content["schema"].pop("$defs", {}))
        return self.openapi_schema or {}


class Server:
    """`app` answers /health /ready /metrics /docs / (the status page), /CASE/events, /CASE/items, and every case's own routes once it is
    added.

    `clock` is what the platforms of its cases are to be opened with.
    """

    def __init__(
        self, *, expected: tuple[str, ...] = (), token: str | None = None, simulated_clock: bool = False
    ) -> None:
        """`expected`: cases that will come; /ready is 503 and the page says "waiting" until they are there."""
        if simulated_clock and not token:
            raise InputError(
                "A simulated clock can be set over HTTP, so it needs a token. Pass token=..., any long random text."
            )
        self.clock: SystemClock | SimulatedClock = SimulatedClock() if simulated_clock else SystemClock()
        self.metrics = Metrics()
        self.app: FastAPI = App(title="mlsd", docs_url=None, redoc_url=None)
        self.app.state.metrics = self.metrics
        self.app.state.token = token or ""
        self._expected = expected
        self._cases: dict[str, Served] = {}
        self._routes: dict[str, list[BaseRoute]] = {}
        self._lock = threading.Lock()
        guards.install(self.app)
        self.app.router.routes.extend(self._pages().routes)
        if isinstance(self.clock, SimulatedClock):
            self.app.router.routes.extend(clock_router(self.clock, token or "").routes)
        self._own = list(self.app.router.routes)

    def add(self, served: Served) -> None:
        """Mounts a case, or swaps in a new version of it. Safe while requests are being answered: each keeps the version it came in on."""
        routes = [*served.service.router().routes, *events_router(served).routes, *items_routes(served)]
        with self._lock:
            self._cases[served.name] = served
            self._routes[served.name] = routes
            self.app.router.routes[:] = self._own + [one for of_case in self._routes.values() for one in of_case]
            self.app.openapi_schema = None

    def close(self) -> None:
        """Ends the stage threads of every case."""
        for served in self._cases.values():
            served.service.stages.close()

    def missing(self) -> list[str]:
        return [name for name in self._expected if name not in self._cases]

    def cases(self) -> list[dict[str, Any]]:
        """What /cases answers: every case, those that are ready and those still to come."""
        ready = [
            {
                "name": served.name,
                "state": "ready",
                "version": served.version,
                "route": next((getattr(one, "path", "") for one in self._routes[name]), ""),
                "example": served.example,
                "summary": served.summary,
                "look": self._look(name),
            }
            for name, served in list(self._cases.items())
        ]
        return ready + [{"name": name, "state": "waiting"} for name in self.missing()]

    def _look(self, name: str) -> str:
        """Where a case has a page of its own, "" where it has none."""
        path = f"/{name}/look"
        return path if any(getattr(one, "path", "") == path for one in self._routes[name]) else ""

    def _pages(self) -> APIRouter:
        router = APIRouter()

        @router.get("/", include_in_schema=False)
        async def status_page(request: Request) -> HTMLResponse:
            return HTMLResponse(pages.status(self.cases(), str(request.base_url).rstrip("/")))

        @router.get("/docs", include_in_schema=False)
        async def docs_page() -> HTMLResponse:
            return HTMLResponse(pages.DOCS)

        @router.get("/health", summary="The process is alive")
        async def health() -> dict[str, str]:
            return {"status": "alive"}

        @router.get("/ready", summary="Every expected case answers", responses={503: RESPONSES[503]})
        async def ready() -> Response:
            missing = self.missing()
            body = {"ready": sorted(self._cases), "missing": missing}
            return guards.answer_json(body, 503 if missing else 200, {"retry-after": "5"} if missing else None)

        @router.get("/cases", summary="The cases, their results and a body that works")
        async def cases() -> Response:
            return guards.answer_json({"cases": self.cases()})

        @router.get("/metrics", summary="Prometheus text")
        async def metrics() -> Response:
            return Response(self.metrics.text(), media_type=CONTENT_TYPE)

        return router


def route(
    service: Service[Any, Any],
    path: str,
    request: type,
    answer: type,
    *,
    deadline_ms: float,
    in_flight: int = 4,
    read: Read = guards.json_body,
    kinds: Sequence[str] = (JSON,),
) -> APIRouter:
    """The router of a service with one POST route: validated body -> service.respond under a deadline -> answer as JSON. More than
    `in_flight` requests at once are answered 503 with Retry-After instead of queueing. `read`: gives the body as JSON, of
    whichever of these `kinds` it came."""

    async def respond(asked: Any, metrics: Metrics) -> Any:
        deadline = Deadline(deadline_ms)
        start = time.perf_counter()
        given = await to_thread.run_sync(service.respond, asked, deadline)
        metrics.answered(case_of(path), time.perf_counter() - start, deadline.degraded, deadline.timings().stages)
        return given

    return json_post(path, TypeAdapter(request), answer, respond, in_flight, read=read, kinds=kinds)


def events_router(served: Served) -> APIRouter:
    async def take(batch: feedback.Batch, metrics: Metrics) -> feedback.Accepted:
        given = await to_thread.run_sync(feedback.take, batch, served.events, served.platform)
        metrics.events.labels(served.name, "accepted").inc(given.accepted)
        metrics.events.labels(served.name, "repeated").inc(given.repeated)
        return given

    example = feedback.example(served.events)
    return json_post(f"/{served.name}/events", feedback.BATCH, feedback.Accepted, take, EVENTS_IN_FLIGHT, example)


def items_routes(served: Served) -> list[BaseRoute]:
    """PUT and DELETE, where the case takes items."""
    if served.item is None:
        return []
    path, id_name, example = f"/{served.name}/items", served.item.id_name, served.item.example

    async def put(batch: Any, metrics: Metrics) -> items.Accepted:
        return await to_thread.run_sync(items.put, batch.items, id_name, served.platform)

    async def delete(gone: items.Gone, metrics: Metrics) -> items.Accepted:
        return await to_thread.run_sync(items.delete, gone.ids, served.platform)

    bodies = {"items": [example]}, {"ids": [example.get(id_name, 0)]}
    puts = json_post(path, served.item.batch(), items.Accepted, put, ITEMS_IN_FLIGHT, bodies[0], method="PUT")
    deletes = json_post(path, items.GONE, items.Accepted, delete, ITEMS_IN_FLIGHT, bodies[1], method="DELETE")
    return [*puts.routes, *deletes.routes]


def json_post(
    path: str,
    adapter: TypeAdapter[T],
    answer: type,
    respond: Callable[[T, Metrics], Any],
    in_flight: int,
    example: Mapping[str, Any] | None = None,
    method: str = "POST",
    guarded: bool = False,
    read: Read = guards.json_body,
    kinds: Sequence[str] = (JSON,),
) -> APIRouter:
    """One route that decodes its own body: pydantic reads the bytes once, where FastAPI parses to Python objects and walks them again,
    and the answer's dataclass goes to orjson as it is. `guarded`: for the holder of the server's token alone."""
    router = APIRouter()
    gate = guards.InFlight(in_flight)
    case = case_of(path)
    content = {"schema": adapter.json_schema(ref_template=f"#/components/schemas/{case}.{{model}}")}
    content["schema"]["$defs"] = {f"{case}.{name}": one for name, one in content["schema"].get("$defs", {}).items()}
    if example:
        content["example"] = dict(example)

    async def endpoint(http: Request) -> Response:
        metrics: Metrics = http.app.state.metrics
        try:
            if guarded:
                guards.hold(http, http.app.state.token)
            asked = guards.decode(adapter, await read(http))
            with gate.slot():
                metrics.in_flight.labels(case).set(gate.now)
                return guards.answer_json(await respond(asked, metrics))
        except Exception as error:
            metrics.requests.labels(case, str(status_of(error))).inc()
            raise
        finally:
            metrics.in_flight.labels(case).set(gate.now)

    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        response_model=answer,
        responses=RESPONSES,
        name=path.rsplit("/", 1)[-1],
        openapi_extra=body_of(content, kinds),
    )
    return router


def body_of(content: Mapping[str, Any], kinds: Sequence[str] = (JSON,)) -> dict[str, Any]:
    """What OpenAPI is told about a body we decode ourselves."""
    return {"requestBody": {"required": True, "content": {kind: dict(content) for kind in kinds}}}


def case_of(path: str) -> str:
    return path.split("/")[1]


def status_of(error: Exception) -> int:
    if isinstance(error, guards.Refused):
        return error.status_code
    if isinstance(error, InputError):
        return 503 if isinstance(error, NotReady) else 422
    return 500


def clock_router(clock: SimulatedClock, token: str) -> APIRouter:
    """POST /clock {"now": seconds} with "Authorization: Bearer TOKEN"."""
    router = APIRouter()
    adapter = TypeAdapter(ClockSetting)

    @router.post(
        "/clock",
        summary='Moves the simulated clock; wants the header "authorization: Bearer TOKEN"',
        responses={401: RESPONSES[401], 413: RESPONSES[413], 422: RESPONSES[422]},
        openapi_extra=body_of({"schema": adapter.json_schema(), "example": {"now": clock.now()}}),
    )
    async def set_clock(http: Request) -> Response:
        guards.hold(http, token)
        clock.set(guards.decode(adapter, await guards.json_body(http)).now)
        return guards.answer_json(asdict(ClockSetting(now=clock.now())))

    return router
