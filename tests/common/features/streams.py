"""Random event streams, a view that uses every kind of feature, and an independent oracle of what each feature means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from common.contract import FORGET, Event, Floats
from common.features.views import Count, Decayed, Feature, Last, Rate, Recent, View

FEATURES: tuple[Feature, ...] = (
    Count("click"),
    Count("watch", "seconds"),
    Count("click", buckets=1),
    Count("click", buckets=4),
    Count("watch", "seconds", 7),
    Rate("click", "impression", 0.1, 5.0),
    Rate("click", "impression", 0.1, 5.0, 4),
    Last("watch", "seconds"),
    Last("watch", "age", 3),
    Last("like", "seconds", 0),
    Decayed("click", 2.5),
    Decayed("watch", 3.0, "seconds"),
    Recent("click", "item_id", 3),
    Recent("watch", "user_id", 2),
)
USER = View("user", ("user_id",), FEATURES, bucket=10)
PAIR = View("user_item", ("user_id", "item_id"), FEATURES, bucket=10)
NUM_USERS, NUM_ITEMS = 12, 6


def stream(seed: int, length: int, *, late: float = 0.3, forget: float = 0.01) -> list[Event]:
    """Ties (many events in a second), late arrivals up to nine buckets, repeated event_ids, forgotten users and items, absent keys."""
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    now = int(rng.integers(0, 1_000))
    for i in range(length):
        now += int(rng.choice([0, 0, 1, 2, 30], p=[0.4, 0.2, 0.25, 0.145, 0.005]))
        user, item = int(rng.integers(0, NUM_USERS)), int(rng.integers(0, NUM_ITEMS))
        if events and rng.random() < 0.05:
            events.append(events[int(rng.integers(0, len(events)))])
        elif rng.random() < forget:
            keys = {"user_id": user} if rng.random() < 0.6 else {"item_id": item}
            events.append(Event(event_id=f"e{i}", kind=FORGET, event_time=now, keys=keys))
        else:
            behind = int(rng.integers(0, 90)) if rng.random() < late else 0
            keys = {"user_id": user, "item_id": item} if rng.random() < 0.9 else {"user_id": user}
            kind = str(rng.choice(["impression", "click", "watch", "like"], p=[0.45, 0.25, 0.25, 0.05]))
            seconds = {"seconds": int(rng.integers(-5, 99))}
            events.append(
                Event(event_id=f"e{i}", kind=kind, event_time=max(0, now - behind), keys=keys, values=seconds)
            )
    return events


def distinct(events: Sequence[Event]) -> list[Event]:
    """What a log keeps of them: the first event of every id."""
    return list({event.event_id: event for event in events}.values())


def oracle(view: View, events: Sequence[Event], ids: tuple[int, ...]) -> list[float]:
    """The definitions, event by event: what the view says about one entity after all these events."""
    now = max((event.event_time for event in events), default=0) // view.bucket
    mine: list[Event] = []
    for event in events:
        keys = [event.keys.get(name, -1) for name in view.entity]
        if event.kind == FORGET and any(key == own for key, own in zip(keys, ids, strict=True)):
            mine = []
        if tuple(keys) == ids:
            mine.append(event)
    return [number for feature in view.features for number in _says(feature, mine, view.bucket, now)]


def _says(feature: Feature, events: list[Event], bucket: int, now: int) -> list[float]:
    def amounts(kind: str, value: str | None, buckets: int | None) -> list[int]:
        return [
            1 if value is None else event.values.get(value, 0)
            for event in events
            if event.kind == kind and (buckets is None or now - buckets < event.event_time // bucket <= now)
        ]

    match feature:
        case Count(kind, value, buckets):
            return [sum(amounts(kind, value, buckets))]
        case Rate(hit, base, prior, strength, buckets):
            hits, bases = len(amounts(hit, None, buckets)), len(amounts(base, None, buckets))
            return [(hits + prior * strength) / (bases + strength)]
        case Last(kind, name, expires):
            of_kind = [event for event in events if event.kind == kind][-1:]
            ages = [now - event.event_time // bucket for event in of_kind]
            if not of_kind or (expires is not None and ages[0] > expires):
                return [math.nan]
            return [ages[0] if name == "age" else of_kind[0].values.get(name, 0)]
        case Decayed(kind, half_life, value):
            of_kind = [event for event in events if event.kind == kind]
            ages = [now - event.event_time // bucket for event in of_kind]
            return [sum(x * 2 ** (-age / half_life) for x, age in zip(amounts(kind, value, None), ages, strict=True))]
        case Recent(kind, key, n):
            ids = [event.keys.get(key, -1) for event in events if event.kind == kind][::-1][:n]
            return [*ids, *[-1.0] * (n - len(ids))]


def bits(numbers: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Equal bits, equal numbers: a NaN equals itself, 0.0 is not -0.0."""
    return np.ascontiguousarray(numbers).view(np.int64)
