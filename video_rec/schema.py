"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Rows, Requests, Catalog, Dataset, Judgments, Live, Request, Answer, Item; EVENTS, EXAMPLE, ITEM.
Choice: frozen dataclasses of equally long arrays; HTTP validates the same dataclasses, so there is one description of a request.
Else:   data frames, where columns are explored rather than known; pandas stops at data/.
Breaks: arrays of unequal length, a catalogue out of order, an unknown or missing field: refused here, before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from common.contract import Bools, EventKind, Floats, Ints, Timings, Why
from common.data import columns
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore

SHOWN = ("request_id", "user_id", "video_id", "creator_id")
"""The keys of everything that happens to a video shown."""
EVENTS: Mapping[str, EventKind] = {
    "impression": EventKind(
        keys=SHOWN, values=("slot", "propensity_ppm", "score_ppm", "cold", "degraded"), posted=False
    ),
    "watch": EventKind(keys=SHOWN, values=("watch_seconds", "completed")),
    "like": EventKind(keys=SHOWN),
    "share": EventKind(keys=SHOWN),
    "hide": EventKind(keys=SHOWN),
    "forget": EventKind(keys=("user_id",)),
}
EXAMPLE: Mapping[str, Any] = {"user_id": 42, "feed_size": 20, "age": 31, "country": 0}
ITEM: Mapping[str, Any] = {
    "video_id": 1_000_000_000,
    "creator_id": 1_000_000_000,
    "title": "a new video",
    "language": "en",
    "length_seconds": 60,
    "uploaded": 2_000_000_000,
}
TASKS = ("clicked", "completed", "liked", "shared", "hidden", "watch_seconds")
"""What a row may be labelled with. All but clicked and hidden are known of watched videos only."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Impressions in columns, [n] each. `moment`: the log position at which the features are read. `labels`: one [n] column for each
    of TASKS, NaN where unknown. Further columns of a data set go into `numbers` and `categories`."""

    user_id: Ints
    video_id: Ints
    event_time: Ints
    moment: Ints
    labels: Mapping[str, Floats] = field(default_factory=dict)
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns.equal_lengths("Rows", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools) -> Rows:
        keys = {name: getattr(self, name)[index] for name in ("user_id", "video_id", "event_time", "moment")}
        return Rows(
            **keys,
            labels={name: column[index] for name, column in self.labels.items()},
            numbers={name: column[index] for name, column in self.numbers.items()},
            categories={name: column[index] for name, column in self.categories.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Feeds asked for, in columns, [num_requests] each: whose, when, and as of which log position; `age` in years and `country`, -1 unknown."""

    user_id: Ints
    event_time: Ints
    moment: Ints
    age: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    country: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        for name in ("age", "country"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.user_id), -1))
        columns.equal_lengths("Requests", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools | slice) -> Requests:
        return Requests(**{name: column[index] for name, column in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The videos as of training, [num_videos] each, sorted by video_id. Columns of the rules that are not given forbid nothing."""

    video_id: Ints
    creator_id: Ints  # -1 where unknown: no creator cap then
    title: NDArray[np.str_]
    explicit: Ints  # 1 if not to be recommended
    tags: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))  # words
    min_age: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # years
    barred_in: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # bit c: not in country c
    fingerprint: Ints = field(
        default_factory=lambda: np.empty(0, np.int64)
    )  # 52 bits, nearly alike for copies; 0 unknown
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, nothing in (("tags", ""), ("min_age", 0), ("barred_in", 0), ("fingerprint", 0)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.video_id), nothing))
        columns.equal_lengths("Catalog", vars(self))
        assert (np.diff(self.video_id) > 0).all(), "a catalogue is sorted by video_id, without repeats"

    def __len__(self) -> int:
        return len(self.video_id)

    def save(self, folder: Path) -> None:
        columns.save_dataclass(folder / "catalog.parquet", self)


def find(known: Ints, video_id: Ints) -> Ints:
    """Index of each video among the `known` of a catalogue, -1 for a video that is not in it."""
    if not len(known):
        return np.full(np.shape(video_id), -1)
    if known[-1] - known[0] == len(known) - 1:  # without a gap: nothing to search for
        index = video_id - known[0]
        return np.where((index >= 0) & (index < len(known)), index, -1)
    index = np.minimum(np.searchsorted(known, video_id), len(known) - 1)
    return np.where(known[index] == video_id, index, -1)


def load_titles(folder: Path) -> Any:
    """Of every video of a saved catalogue, in its order, as an Arrow array: numpy would make each title as wide as the longest, half a
    gigabyte at two million."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / "catalog.parquet", page_checksum_verification=True) as file:
        return file.read(["title"], use_threads=False).column("title")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    train: Rows
    valid: Rows
    test: Requests  # carries no labels: `data.judgments` is the key
    catalog: Catalog
    history: AsOfStore | LeaveOneOutStore


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """The key to the test requests, in their order. `gain(requests, ids [n, k]) -> [n, k]` answers for any pair, 0 for id -1: planted on
    the world, 1 for the held-out videos on real data. `relevant` [n, m] are the logged positives, -1 pads."""

    requests: Requests
    gain: Callable[[Requests, Ints], Floats]
    relevant: Ints
    num_videos: int  # of the catalogue
    slices: Mapping[str, NDArray[np.str_]]
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log, [n] each: the rows, the scores they were served with; `cold`: nothing was known of the viewer,
    `degraded`: a stage did not come in time."""

    rows: Rows
    predictions: Floats
    cold: Bools
    degraded: Bools


@dataclass(frozen=True, kw_only=True)
class Request:
    """A viewer opens the app: `feed_size` videos for `user_id`, as old and in the country that the account says. Without an age only what is for
    everybody is shown, without a country only what is allowed everywhere."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    feed_size: Annotated[int, Field(ge=1, le=50)] = 20
    age: Annotated[int, Field(ge=0, le=130)] | None = None
    country: Annotated[int, Field(ge=0, lt=63)] | None = None


Words = Annotated[str, Field(max_length=300)]
Word = Annotated[str, Field(max_length=50)]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A video that comes, or changes, while the case is served: one row of the Catalog, and the same words for it. What is not said of who
    may see it stays as it was, of a new video it is no limit; a copy is never less limited than what it copies. Uploaded (seconds UTC) later
    than now is now."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    video_id: Annotated[int, Field(ge=0, lt=2**31)]
    title: Words
    uploaded: Annotated[int, Field(ge=0, lt=2**40)]
    tags: Words = ""
    topic: Word = ""
    language: Word = ""
    creator_id: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    length_seconds: Annotated[int, Field(ge=0, lt=2**20)] = 0
    explicit: bool | None = None
    min_age: Annotated[int, Field(ge=0, le=130)] | None = None
    barred_in: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    fingerprint: Annotated[int, Field(ge=0, lt=2**52)] = 0


@dataclass(frozen=True, kw_only=True)
class ShownVideo:
    video_id: int
    creator_id: int
    slot: int
    title: str
    score: float
    source: str  # the candidate source that brought it


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    infeasible: list[str]  # what the rules ask for and no candidate could give
    videos: list[ShownVideo]
