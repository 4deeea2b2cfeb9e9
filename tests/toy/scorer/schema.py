"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Rows, Dataset, Judgments, Live, Request, Answer, Item; EVENTS, EXAMPLE, ITEM.
Choice: frozen dataclasses of equally long arrays; HTTP validates the same dataclasses, so there is one description of a request.
Else:   data frames, where columns are explored rather than known.
Breaks: an unknown field, a wrong type, an id below zero: refused here, before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from common.contract import EventKind, Floats, Ints, Timings, Why
from common.data.columns import equal_lengths, load_dataclass, save_dataclass
from common.features.asof import AsOfStore

EVENTS: Mapping[str, EventKind] = {
    "impression": EventKind(keys=("request_id", "user_id", "letter_id"), values=("probability_ppm",), posted=False),
    "open": EventKind(keys=("request_id", "user_id", "letter_id")),
    "forget": EventKind(keys=("user_id",)),
}
EXAMPLE: Mapping[str, Any] = {"user_id": 42, "letter_id": 7}
ITEM: Mapping[str, Any] = {"letter_id": 1_000}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Letters that arrived, in columns, [n] each. `label`: 1.0 if it was opened, NaN where unknown."""

    user_id: Ints
    letter_id: Ints
    event_time: Ints
    moment: Ints
    label: Floats

    def __post_init__(self) -> None:
        equal_lengths("Rows", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The letters there were in training, ascending."""

    letter_id: Ints

    def save(self, folder: Path) -> None:
        save_dataclass(folder / "catalog.parquet", self)


def load_catalog(folder: Path) -> Catalog:
    return load_dataclass(folder / "catalog.parquet", Catalog)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    catalog: Catalog
    train: Rows
    valid: Rows
    test: Rows  # labels are NaN: `data.judgments` is the key
    history: AsOfStore


@dataclass(frozen=True, kw_only=True)
class Judgments:
    label: Floats
    user_id: Ints  # the cluster of the intervals
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log: the rows, the probabilities given when they were served."""

    rows: Rows
    predictions: Floats


@dataclass(frozen=True, kw_only=True)
class Request:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    letter_id: Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A letter that comes while the case is served. The id is the first field; whatever else is known of an item follows it."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    letter_id: Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    probability: float
    announce: bool
