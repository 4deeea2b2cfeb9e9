"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Rows, Requests, Dataset, Judgments, Live, Request, Answer, Item; EVENTS, EXAMPLE, ITEM.
Choice: frozen dataclasses of equally long arrays; HTTP validates the same dataclasses, so there is one description of a request.
Else:   data frames, where columns are explored rather than known.
Breaks: an unknown field, a wrong type, an id below zero: refused here, before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from common.contract import EventKind, Floats, Ints, Timings, Why
from common.data.columns import equal_lengths, load_dataclass, save_dataclass
from common.features.asof import AsOfStore

EVENTS: Mapping[str, EventKind] = {
    "impression": EventKind(keys=("request_id", "user_id", "book_id"), values=("slot", "score_ppm"), posted=False),
    "read": EventKind(keys=("request_id", "user_id", "book_id")),
    "forget": EventKind(keys=("user_id",)),
}
EXAMPLE: Mapping[str, Any] = {"user_id": 42, "num_books": 5}
ITEM: Mapping[str, Any] = {"book_id": 10_000}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Books shown, in columns, [n] each. `label`: 1.0 if it was read, NaN where unknown."""

    user_id: Ints
    book_id: Ints
    event_time: Ints
    moment: Ints
    label: Floats

    def __post_init__(self) -> None:
        equal_lengths("Rows", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Pages asked for, in columns, [num_requests] each."""

    user_id: Ints
    event_time: Ints
    moment: Ints

    def __post_init__(self) -> None:
        equal_lengths("Requests", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The books there were in training, ascending."""

    book_id: Ints

    def save(self, folder: Path) -> None:
        save_dataclass(folder / "catalog.parquet", self)


def load_catalog(folder: Path) -> Catalog:
    return load_dataclass(folder / "catalog.parquet", Catalog)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    catalog: Catalog
    train: Rows
    valid: Rows
    test: Requests  # carries no labels: `data.judgments` is the key
    history: AsOfStore


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """`gain(requests, ids [n, k]) -> [n, k]`, 0 for id -1: planted on the world, 1 for the books read later on real data."""

    requests: Requests
    gain: Callable[[Requests, Ints], Floats]
    relevant: Ints  # [n, m] the books read later, -1 pads
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log: the rows, the scores given when they were served."""

    rows: Rows
    predictions: Floats


@dataclass(frozen=True, kw_only=True)
class Request:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    num_books: Annotated[int, Field(ge=1, le=20)] = 5


@dataclass(frozen=True, kw_only=True)
class Item:
    """A book that comes while the case is served. The id is the first field; whatever else is known of an item follows it."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    book_id: Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class ShownBook:
    book_id: int
    slot: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    books: list[ShownBook]
