"""The guards at the door: what a request may be before any code of a case sees it, and the one shape every refusal has.

{"error": {"what": "...", "why": "...", "next": "...", "fields": [{"field": "events.0.keys.ad_id", "expected": "..."}]}}
The input itself is never echoed: only the path of the field that is wrong, cut short.
"""

from __future__ import annotations

import hmac
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import InputError, NotReady, did_you_mean

T = TypeVar("T")

MAX_BODY_BYTES = 1_000_000
MAX_FIELDS_NAMED = 5
UNKNOWN_FIELD = "There is no such field; leave it out"
STATUSES = {
    400: "The body could not be read.",
    401: "The token is missing or wrong.",
    404: "There is no such route.",
    409: "Things have moved on: this cannot be done any more, or not yet.",
    413: "The body is too large.",
    422: "The body is not what this route takes.",
    429: "Too many requests from this client.",
    503: "The server is busy, or not ready yet.",
}
logger = logging.getLogger(__name__)


class Refused(HTTPException):
    """A request turned away, in three sentences: what happened, why, what to do next."""

    def __init__(
        self,
        status: int,
        *,
        why: str,
        next: str,
        what: str | None = None,
        fields: Sequence[Mapping[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:
        headers = {"retry-after": str(retry_after)} if retry_after else None
        super().__init__(status, detail=why, headers=headers)
        self.problem: dict[str, Any] = {"what": what or STATUSES.get(status, "Refused."), "why": why, "next": next}
        if fields:
            self.problem["fields"] = list(fields)

    def response(self) -> Response:
        return answer_json({"error": self.problem}, self.status_code, self.headers)


def answer_json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, dict(headers) if headers else None, media_type="application/json")


def decode(adapter: TypeAdapter[T], body: bytes) -> T:
    """JSON bytes -> T, or Refused 422. NaN and Infinity, which Python's parsers let through, are not JSON and are refused here."""
    if b"NaN" in body or b"Infinity" in body:
        refuse_nan(body)
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise refused_fields(error.errors(include_url=False, include_context=False, include_input=False)) from None


async def json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON. A page in the user's browser can post plain text to localhost, but not JSON unasked."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            422, why="The content type is not application/json.", next="Send the header content-type: application/json."
        )
    return await request.body()


def hold(request: Request, token: str) -> None:
    """Refused 401 unless the sender holds the token; without a token nobody does."""
    given = request.headers.get("authorization", "").encode()
    if not token or not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise Refused(
            401,
            why="Only the holder of the server's token may do this.",
            next='Send "Authorization: Bearer TOKEN" with the token the server was started with.',
        )


def refuse_nan(body: bytes) -> None:
    """orjson keeps to the standard, so what it reads holds these words inside strings only; what it does not, validation names."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(
            422,
            why="It is not JSON: NaN and Infinity do not exist there.",
            next="Leave a missing number out, or send a finite one.",
        ) from None


def refused_fields(errors: Sequence[Mapping[str, Any]]) -> Refused:
    """Names the first wrong fields and what was expected there; never the value received."""
    fields = [{"field": path(error["loc"]), "expected": expected(error)} for error in errors[:MAX_FIELDS_NAMED]]
    first = "; ".join(f"{field['field']}: {field['expected']}" for field in fields)
    more = f" (and {len(errors) - len(fields)} more)" if len(errors) > len(fields) else ""
    return Refused(
        422, why=first + more, next="Mend these fields; /docs shows the schema and a body that works.", fields=fields
    )


def expected(error: Mapping[str, Any]) -> str:
    return (
        UNKNOWN_FIELD if error.get("type") in {"unexpected_keyword_argument", "extra_forbidden"} else str(error["msg"])
    )


def path(location: Sequence[Any]) -> str:
    """("events", 3, "keys") -> "events.3.keys". An unknown field's name is the sender's, so it is cut to what can be printed."""
    parts = ["".join(c if c.isprintable() else "?" for c in str(part))[:40] for part in location]
    return ".".join(part for part in parts if part != "body") or "body"


@dataclass
class InFlight:
    """At most `limit` requests of a route at once; the next is told to come back, not queued: a queue only makes everyone late."""

    limit: int
    now: int = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """To be entered on the event loop, which makes counting safe without a lock."""
        if self.now >= self.limit:
            raise Refused(
                503,
                what="The server is busy.",
                why=f"This route answers {self.limit} requests at once and all are taken.",
                next="Send it again after the seconds in Retry-After.",
                retry_after=1,
            )
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1


class Door:
    """ASGI middleware: the body's size is checked before it is parsed, and no exception leaves as anything but a numbered 500."""

    def __init__(self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answered = False
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_body_bytes:  # a chunked body has no length header
                raise self.too_large()
            return message

        async def watched(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
            if not length.isdigit() or int(length[:20]) > self.max_body_bytes:
                raise self.too_large()
            await self.app(scope, counted, watched)
        except Refused as refused:
            await refused.response()(scope, receive, send)
        except Exception:
            if answered:
                raise
            await unexpected()(scope, receive, send)
        return None

    def too_large(self) -> Refused:
        return Refused(
            413,
            why=f"A body may have {self.max_body_bytes} bytes.",
            next="Send fewer things at a time, in several requests.",
        )


def unexpected() -> Response:
    """Our own mistake: the log gets the traceback, the sender a number to quote and nothing of what is inside."""
    number = uuid.uuid4().hex[:12]
    logger.exception("unexpected error %s", number)
    problem = {
        "what": "The server made a mistake.",
        "why": f"Error {number}.",
        "next": "Look for this number in the server's log.",
    }
    return answer_json({"error": problem}, 500)


def install(app: FastAPI) -> None:
    """Puts the door in front and gives every refusal, FastAPI's own included, the one shape."""
    app.add_middleware(Door)

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refused = error if isinstance(error, Refused) else foreign(app, request, error)
        return refused.response()

    def on_fields(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refused_fields(error.errors()).response()

    def on_input(request: Request, error: Exception) -> Response:
        return from_input(error).response()

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_fields)
    app.add_exception_handler(InputError, on_input)


def from_input(error: Exception) -> Refused:
    if isinstance(error, NotReady):
        return Refused(
            503,
            what="Not ready yet.",
            why=str(error),
            next="Send it again after the seconds in Retry-After.",
            retry_after=2,
        )
    return Refused(422, what="The request cannot be answered as it stands.", why=str(error), next="Mend it; see /docs.")


def foreign(app: FastAPI, request: Request, error: HTTPException) -> Refused:
    """404 and 405 come from the router, with the routes there are."""
    paths = sorted({getattr(route, "path", "") for route in app.routes})
    if error.status_code == 404:
        return Refused(
            404, why=did_you_mean(request.url.path[:100], paths), next="/docs lists every route with a call that works."
        )
    if error.status_code == 405:
        here = [route for route in app.routes if getattr(route, "path", "") == request.url.path]
        methods = sorted({method for route in here for method in getattr(route, "methods", ())})
        return Refused(
            405,
            what="This route does not take that method.",
            why=f"It takes {' or '.join(methods)}.",
            next="/docs lists every route with its method.",
        )
    return Refused(error.status_code, why=str(error.detail), next="/docs lists every route with a call that works.")
