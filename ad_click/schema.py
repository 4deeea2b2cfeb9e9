"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Rows, Catalog, Dataset, Judgments, Live, Request, Answer, Item; EVENTS, EXAMPLE, ITEM.
Choice: frozen dataclasses of equally long arrays; HTTP validates the same dataclasses, so there is one description of a request.
Else:   data frames, where columns are explored rather than known; pandas stops at data/.
Breaks: arrays of unequal length, a NaN in a number, an unknown field: refused here, before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, FiniteFloat

from common.contract import Bools, EventKind, Floats, Ints, Timings, Why
from common.data import columns
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore

SHOWN = ("request_id", "user_id", "ad_id", "campaign_id", "advertiser_id", "topic_id")
"""Whose impression an event speaks of; -1 where the platform has no such thing. A client says which request and which ad, the server joins the rest."""

_JOINED = {name: name for name in SHOWN if name not in ("request_id", "ad_id")}
_OF_THE_IMPRESSION: Mapping[str, Any] = {
    "keys": SHOWN,
    "optional": tuple(_JOINED),
    "follows": ("impression", "request_id", "ad_id"),
}

EVENTS: Mapping[str, EventKind] = {
    # price_micros is owed for a click, charge_micros for the impression itself; expected_micros is set aside for the click, which takes it back.
    "impression": EventKind(
        keys=SHOWN,
        values=("slot", "probability_ppm", "price_micros", "charge_micros", "expected_micros", "num_missing", "num_unknown", "degraded"),
        posted=False,
    ),
    "click": EventKind(
        **_OF_THE_IMPRESSION,
        values=("charge_micros", "expected_micros"),
        joined={"charge_micros": "price_micros", "expected_micros": "expected_micros", **_JOINED},
    ),
    "hide": EventKind(**_OF_THE_IMPRESSION, joined=_JOINED),
    "conversion": EventKind(**_OF_THE_IMPRESSION, joined=_JOINED),
    "forget": EventKind(keys=("user_id",)),
}  # fmt: skip

EXAMPLE: Mapping[str, Any] = {
    "user_id": 42,
    "num_slots": 3,
    "numbers": {"age": 34.0},
    "categories": {"country": "c0", "device": "mobile"},
}

ITEM: Mapping[str, Any] = {
    "ad_id": 1_000_000_000,
    "campaign_id": 1_000_000_000,
    "advertiser_id": 1_000_000_000,
    "bid_micros": 1_000_000_000,
    "budget_micros": 1_000_000_000_000_000,
    "categories": {"title": "new bikes today"},
}

Categories = Mapping[str, NDArray[np.str_]]


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
    categories: Categories = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns.equal_lengths("Rows", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints) -> Rows:
        """The rows at `index`, in that order."""
        return Rows(
            user_id=self.user_id[index],
            ad_id=self.ad_id[index],
            event_time=self.event_time[index],
            moment=self.moment[index],
            label=self.label[index],
            numbers={name: column[index] for name, column in self.numbers.items()},
            categories={name: column[index] for name, column in self.categories.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The ads as of training, [num_ads] each, sorted by ad_id. Money in micro-units of the account currency.

    A campaign has one budget for any 24 hours; every ad of it carries that budget. bid_micros is for a click, or for a thousand impressions
    where the category `pricing` says "cpm". advertiser_id and topic_id are -1 where there are none. Known numbers: start_time, min_age,
    max_age; known categories: pricing, target_country, title.
    """

    ad_id: Ints
    campaign_id: Ints
    advertiser_id: Ints
    topic_id: Ints
    bid_micros: Ints
    budget_micros: Ints
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Categories = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns.equal_lengths("Catalog", vars(self))
        assert (np.diff(self.ad_id) > 0).all(), "a catalogue is sorted by ad_id, without repeats"

    def __len__(self) -> int:
        return len(self.ad_id)

    def find(self, ad_id: Ints) -> Ints:
        """Index of each ad in the catalogue, -1 for an ad that is not in it."""
        if not len(self):
            return np.full(len(ad_id), -1)
        index = np.minimum(np.searchsorted(self.ad_id, ad_id), len(self) - 1)
        return np.where(self.ad_id[index] == ad_id, index, -1)

    def save(self, folder: Path) -> None:
        columns.save_dataclass(folder / "catalog.parquet", self)


def load_catalog(folder: Path) -> Catalog:
    return columns.load_dataclass(folder / "catalog.parquet", Catalog)


PRICINGS = ("cpc", "cpm")


def pricing(catalog: Catalog) -> NDArray[np.str_]:
    """[num_ads] what each ad pays for: cpc where the catalogue does not say."""
    return catalog.categories.get("pricing", np.full(len(catalog), "cpc"))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    train: Rows
    valid: Rows
    test: Rows  # labels are NaN: `data.judgments` is the key
    catalog: Catalog
    history: AsOfStore | LeaveOneOutStore
    published: str = ""  # whose figures of evaluate.PUBLISHED stand beside ours


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """The key to the test rows, in their order."""

    label: Floats
    user_id: Ints  # the cluster of the intervals
    slices: Categories
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log, [n] impressions: the rows, labelled where the window has closed (NaN before), the
    probabilities given when they were served, how many inputs of each were missing or unknown, and whether a stage had failed."""

    rows: Rows
    predictions: Floats
    num_missing: Ints
    num_unknown: Ints
    degraded: Bools


@dataclass(frozen=True, kw_only=True)
class Request:
    """An ad request: who, how many slots, and the context as the page knows it: numbers such as age, categories such as device."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    num_slots: Annotated[int, Field(ge=1, le=20)] = 3
    numbers: Annotated[dict[str, FiniteFloat], Field(max_length=50)] = field(default_factory=dict)
    categories: Annotated[dict[str, Annotated[str, Field(max_length=100)]], Field(max_length=50)] = field(
        default_factory=dict
    )


@dataclass(frozen=True, kw_only=True)
class Item:
    """An ad that comes, or changes, while the case is served: one row of the Catalog, and the same words for it. What is not said of who may
    see it is no limit; a campaign has the budget that the ad of it that was put last says."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    ad_id: Annotated[int, Field(ge=0, lt=2**31)]
    campaign_id: Annotated[int, Field(ge=0, lt=2**31)]
    advertiser_id: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    topic_id: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    bid_micros: Annotated[int, Field(ge=1, lt=2**40)]
    budget_micros: Annotated[int, Field(ge=0, lt=2**53)]
    numbers: Annotated[dict[str, FiniteFloat], Field(max_length=50)] = field(default_factory=dict)
    categories: Annotated[dict[str, Annotated[str, Field(max_length=100)]], Field(max_length=50)] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.categories.get("pricing", "cpc") not in PRICINGS:
            raise ValueError(f"categories.pricing is one of {', '.join(PRICINGS)}")


@dataclass(frozen=True, kw_only=True)
class ShownAd:
    ad_id: int
    campaign_id: int
    advertiser_id: int
    topic_id: int
    slot: int
    probability: float  # of a click in this slot
    pricing: str  # cpc: pays for a click; cpm: pays for a thousand impressions
    bid_micros: int
    price_micros: int  # owed if clicked
    charge_micros: int  # owed for being shown


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    ads: list[ShownAd]
