"""POST /CASE/events: what happened comes back, is checked against the case's kinds, made durable, and moves the next answer's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from common.contract import FORGET, Event, EventKind, Platform
from common.errors import did_you_mean
from common.lifecycle.follow import catch_up
from common.lifecycle.log import EventLog
from common.serving.guards import refused_fields

MAX_BATCH = 1000
MAX_AHEAD_SECONDS = 60  # a later event would move the log's clock, and with it every window, into the future

Name = Annotated[str, Field(min_length=1, max_length=50)]
Id = Annotated[int, Field(ge=0, lt=2**53)]
Amount = Annotated[int, Field(gt=-(2**53), lt=2**53)]


@dataclass(frozen=True, kw_only=True)
class EventIn:
    """An event as it is posted: seconds since the epoch, or none for "now"."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    event_id: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Name
    keys: Annotated[dict[Name, Id], Field(max_length=20)]
    values: Annotated[dict[Name, Amount], Field(max_length=20)] = field(default_factory=dict)
    event_time: Annotated[int, Field(ge=0, lt=2**40)] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    events: Annotated[list[EventIn], Field(min_length=1, max_length=MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """`accepted` are new, `repeated` were known by their id; `position` is how far the features have followed the log."""

    accepted: int
    repeated: int
    position: int


BATCH = TypeAdapter(Batch)


def take(batch: Batch, kinds: Mapping[str, EventKind], platform: Platform) -> Accepted:
    """All of the batch or, if one event is wrong, none of it. Durable, and seen by the live store, on return.

    What an event's kind declares as joined comes from the event it follows, whatever the client says. An event that follows none the
    log knows is kept with joined values of 0: it is counted and never billed. One event of a kind follows one event: whatever ids a client
    thinks of, an impression is billed for one click. It is no earlier than what it follows: whatever time a client thinks of, a click falls
    into the windows that its impression falls into, or into later ones.
    """
    now = platform.clock.now()
    problems = [
        {"loc": ("events", i, *where), "msg": expected}
        for i, event in enumerate(batch.events)
        for where, expected in wrong(event, kinds, now)
    ]
    if problems:
        raise refused_fields(problems)
    events = [stamped(event, kinds[event.kind], now) for event in batch.events]
    appended = platform.log.append(with_joined(events, kinds, platform.log))
    accepted = int(appended.is_new.sum())
    return Accepted(
        accepted=accepted,
        repeated=len(batch.events) - accepted,
        position=catch_up(platform.store, platform.log),
    )


def example(kinds: Mapping[str, EventKind]) -> dict[str, Any]:
    """A batch of one that these kinds allow: the plainest kind that erases nothing."""
    posted = {name: kind for name, kind in kinds.items() if kind.posted}
    plain = {name: kind for name, kind in posted.items() if name != FORGET} or posted
    if not plain:
        return {}
    name, kind = min(plain.items(), key=lambda one: len(one[1].values))
    keys = {key: 1 for key in kind.keys if key not in kind.joined}
    values = dict.fromkeys(kind.posted_values, max(1, kind.least))
    return {"events": [{"event_id": "example-1", "kind": name, "keys": keys, "values": values}]}


def wrong(event: EventIn, kinds: Mapping[str, EventKind], now: int) -> list[tuple[tuple[str, ...], str]]:
    """-> (where, what was expected) for everything a kind's declaration does not allow."""
    kind = kinds.get(event.kind)
    if kind is None or not kind.posted:
        ours = f"{event.kind} is logged by the server, never posted; " if kind else ""
        return [(("kind",), f"{ours}one of {', '.join(sorted(name for name, of in kinds.items() if of.posted))}")]
    needed = [name for name in kind.keys if name not in kind.optional and name not in kind.joined]
    joined = [name for name in event.values if name in kind.values and name in kind.joined]
    posted = {name: value for name, value in event.values.items() if name not in joined}
    found: list[tuple[tuple[str, ...], str]] = [
        (("keys", name), f"{event.kind} needs this key") for name in needed if name not in event.keys
    ]
    found += [(("keys", name), did_you_mean(name[:50], kind.keys)) for name in event.keys if name not in kind.keys]
    found += [(("values", name), f"joined from the {kind.follows[0]}, never posted") for name in joined]
    found += [(("values", name), f"{event.kind} needs this value") for name in kind.posted_values if name not in posted]
    found += [
        (("values", name), did_you_mean(name[:50], kind.posted_values)) for name in posted if name not in kind.values
    ]
    found += [(("values", name), f"at least {kind.least}") for name, value in posted.items() if value < kind.least]
    if event.event_time is not None and event.event_time > now + MAX_AHEAD_SECONDS:
        found.append((("event_time",), f"at most {MAX_AHEAD_SECONDS} s after the server's clock, which says {now}"))
    return found


def stamped(event: EventIn, kind: EventKind, now: int) -> Event:
    return Event(
        event_id=named(event.kind, event.keys, kind.follows[1:]) if kind.follows else event.event_id,
        kind=event.kind,
        event_time=now if event.event_time is None else event.event_time,
        keys=event.keys,
        values=event.values,
    )


def with_joined(events: Sequence[Event], kinds: Mapping[str, EventKind], log: EventLog) -> list[Event]:
    """The events with what their kinds join; the log is asked once for all, and not at all if none follows anything."""
    following = [event for event in events if kinds[event.kind].follows]
    if not following:
        return list(events)
    ids = [one for event in following for one in (event.event_id, followed_id(event, kinds[event.kind]))]
    known = {one.event_id: one for one in log.find(ids) if one is not None}
    found: list[Event] = []
    for event in events:
        whole = joined(event, kinds[event.kind], known) if kinds[event.kind].follows else event
        known.setdefault(whole.event_id, whole)
        found.append(whole)
    return found


def named(kind: str, keys: Mapping[str, int], names: Sequence[str]) -> str:
    """The id of an event that is the only one of its kind with these keys."""
    return "-".join([kind, *(str(keys[name]) for name in names)])


def followed_id(event: Event, kind: EventKind) -> str:
    return named(kind.follows[0], event.keys, kind.follows[1:])


def joined(event: Event, kind: EventKind, known: Mapping[str, Event]) -> Event:
    """The first event of its kind to follow stands: a retry is no error, though its impression may have reached the log since."""
    first, source = known.get(event.event_id), known.get(followed_id(event, kind))
    if first is not None and first.kind == event.kind:
        return first
    if source is not None and source.kind != kind.follows[0]:  # the client chose its id
        source = None
    keys, values = dict(event.keys), dict(event.values)
    for own, theirs in kind.joined.items():
        if own in kind.values:
            values[own] = 0 if source is None else source.values.get(theirs, 0)
        elif source is not None:
            keys.pop(own, None)
            keys |= {own: source.keys[theirs]} if theirs in source.keys else {}
    time = event.event_time if source is None else max(event.event_time, source.event_time)
    return replace(event, event_time=time, keys=keys, values=values)
