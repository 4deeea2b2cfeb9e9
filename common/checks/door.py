"""The table of bad input: what arrives at the door broken is refused with a reason, is not echoed, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from common.checks.trial import Running, Trial, want
from common.contract import EventKind
from common.serving.feedback import MAX_AHEAD_SECONDS, MAX_BATCH
from common.serving.guards import MAX_BODY_BYTES

MARK = "zebra-7731"  # stands in bad input, and must not come back

Table = Mapping[str, bytes]


def bad_requests_are_refused(trial: Trial) -> None:
    """NaN, wrong types, missing and unknown fields, ids that are none, too much: 4xx with what, why and next."""
    for what, body in requests(trial.served.example).items():
        refused(trial.served, trial.served.route, what, body)


def bad_events_are_refused_and_nothing_is_written(trial: Trial) -> None:
    """A batch with one bad event is refused whole: half a batch would be counted twice when the client sends it again."""
    served = trial.served
    for what, body in events(trial).items():
        refused(served, f"/{served.name}/events", what, body)


def refused(served: Running, route: str, what: str, body: bytes, method: str = "POST") -> None:
    before = written(served)
    answer = served.client.request(method, route, content=body, headers={"content-type": "application/json"})
    want(400 <= answer.status_code < 500, f"{route}, {what}: answered {answer.status_code}, expected a 4xx")
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {}
    lacking = [part for part in ("what", "why", "next") if not error.get(part)]
    want(not lacking, f"{route}, {what}: the refusal does not say {', '.join(lacking)}: {answer.text[:200]}")
    want(MARK not in answer.text, f"{route}, {what}: the refusal echoes the input")
    want(written(served) == before, f"{route}, {what}: refused, but something was written")


def written(served: Running) -> tuple[int, int]:
    """How long the log is, and how often items changed."""
    return served.platform.log.end, served.platform.items.look().version


def requests(example: Mapping[str, Any]) -> Table:
    number = next((name for name, value in example.items() if isinstance(value, int | float)), "")
    want(
        bool(number),
        f"schema.EXAMPLE holds no number to put bad input in the place of: {dict(example)}. Add a user_id.",
    )
    table: dict[str, Any] = {
        "a word for a number": {**example, number: MARK},
        "a list for a number": {**example, number: [MARK]},
        "a number in quotes": {**example, number: "1"},
        "a negative id": {**example, number: -5},
        "an id beyond 64 bits": {**example, number: 2**70},
        "no field at all": {},
        "an unknown field": {**example, "no_such_field": MARK},
        "a list of requests": [dict(example)],
        "a body that is too large": {**example, "no_such_field": MARK * (MAX_BODY_BYTES // len(MARK) + 1)},
    }
    return raw(table, json.dumps({**example, number: "NUMBER"}))


def events(trial: Trial) -> Table:
    kinds: Mapping[str, EventKind] = trial.stage("schema").EVENTS
    posted = [name for name, kind in kinds.items() if kind.posted and set(kind.keys) - set(kind.optional)]
    want(
        bool(posted),
        f"schema.EVENTS ({', '.join(kinds)}) has no kind that a client may post and that must name a key. Add what people do.",
    )
    good = event_of(kinds, max(posted, key=lambda name: len(kinds[name].keys)))
    valued = event_of(kinds, max(posted, key=lambda name: len(kinds[name].values)))
    kind, keys, values = kinds[good["kind"]], good["keys"], good["values"]
    key = next(name for name in kind.keys if name not in kind.optional)
    future = trial.served.clock.now() + MAX_AHEAD_SECONDS + 1
    table: dict[str, Any] = {
        "an empty batch": {"events": []},
        "a huge batch": {"events": [{**good, "event_id": f"door-{i}"} for i in range(MAX_BATCH + 1)]},
        "an unknown kind": {"events": [{**good, "kind": MARK}]},
        "a missing key": {"events": [{**good, "keys": {k: 1 for k in keys if k != key}}]},
        "an unknown key": {"events": [{**good, "keys": {**keys, "no_such_key": 1}}]},
        "a key that is a word": {"events": [{**good, "keys": {**keys, key: MARK}}]},
        "a negative key": {"events": [{**good, "keys": {**keys, key: -1}}]},
        "an unknown value": {"events": [{**good, "values": {**values, "no_such_value": 1}}]},
        "half a second": {"events": [{**good, "event_time": 1.5}]},
        "an event from the future": {"events": [{**good, "event_time": future}]},
        "an event_id without end": {"events": [{**good, "event_id": MARK * 100}]},
        "an unknown field": {"events": [{**good, "no_such_field": MARK}]},
        "a moment of its own": {"events": [{**good, "moment": 0}]},
        "one bad event after a good one": {"events": [good, {**good, "event_id": "door-2", "kind": MARK}]},
        "no events": {},
    }
    table |= {
        f"{name}, which the server logs": {"events": [event_of(kinds, name)]} for name in kinds if name not in posted
    }
    table |= {
        f"a {value} below the least": {"events": [{**valued, "values": {**valued["values"], value: least - 1}}]}
        for value, least in dict.fromkeys(valued["values"], kinds[valued["kind"]].least).items()
    }
    return raw(table, json.dumps({"events": [{**good, "event_time": "NUMBER"}]}))


def event_of(kinds: Mapping[str, EventKind], name: str) -> dict[str, Any]:
    kind = kinds[name]
    keys, values = dict.fromkeys(kind.keys, 1), dict.fromkeys(kind.posted_values, max(1, kind.least))
    return {"event_id": f"door-{name}", "kind": name, "keys": keys, "values": values}


def raw(table: Mapping[str, Any], with_number: str) -> Table:
    """The table as bytes, and what no JSON writer would write."""
    numbers = {
        word: with_number.replace('"NUMBER"', word).encode() for word in ("NaN", "Infinity", "-Infinity", "1e999")
    }
    torn = {
        "an empty body": b"",
        "half a body": with_number[: len(with_number) // 2].encode(),
        "not UTF-8": b'{"\xff\xfe": 1}',
    }
    deep = {"brackets without end": b"[" * 100_000}
    return {what: json.dumps(body).encode() for what, body in table.items()} | numbers | torn | deep
