"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Rows, Catalog, Dataset, Judgments, Live, Request, Answer; EVENTS.
Choice: frozen dataclasses of equally long arrays; HTTP validates the same dataclasses, so there is one description of a request.
Else:   data frames, where columns are explored rather than known; pandas stops at data.py.
Breaks: arrays of unequal length, a NaN in a number, an unknown field: refused here, before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, FiniteFloat

from common.contract import EventKind, FeatureStore, Floats, Ints, Timings, Why

EVENTS: Mapping[str, EventKind] = {
    "impression": EventKind(
        keys=("request_id", "user_id", "ad_id"), values=("slot", "probability_ppm", "price_micros")
    ),
    "click": EventKind(keys=("request_id", "user_id", "ad_id")),
    "hide": EventKind(keys=("request_id", "user_id", "ad_id")),
    "forget": EventKind(keys=("user_id",)),
}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Impressions in columns, [n] each. `moment`: the log position at which the features are read. `label`: clicked within the window;
    NaN where unknown (test rows, rows to be scored). Further columns of a data set go into `numbers` and `categories`."""

    user_id: Ints
    ad_id: Ints
    event_time: Ints
    moment: Ints
    label: Floats
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The ads as of training, [num_ads] each, sorted by ad_id. Money in micro-units of the account currency."""

    ad_id: Ints
    advertiser_id: Ints
    bid_micros: Ints
    budget_micros: Ints
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ad_id)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    train: Rows
    valid: Rows
    test: Rows  # labels are NaN: `data.judgments` is the key
    catalog: Catalog
    history: FeatureStore


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """The key to the test rows, in their order."""

    label: Floats
    user_id: Ints  # the cluster of the intervals
    slices: Mapping[str, NDArray[np.str_]]
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log: the rows, the probabilities given when they were served."""

    rows: Rows
    predictions: Floats
    num_degraded: int = 0


@dataclass(frozen=True, kw_only=True)
class Request:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    num_slots: Annotated[int, Field(ge=1, le=20)] = 3
    numbers: Annotated[dict[str, FiniteFloat], Field(max_length=50)] = field(default_factory=dict)
    categories: Annotated[dict[str, str], Field(max_length=50)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ShownAd:
    ad_id: int
    slot: int
    probability: float
    bid_micros: int
    price_micros: int  # charged if clicked


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    ads: list[ShownAd]
