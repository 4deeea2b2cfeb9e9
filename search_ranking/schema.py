"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Rows, Requests, Queries, Catalog, Dataset, Judgments, Live, Request, Answer, Item; EVENTS, EXAMPLE, ITEM; query_id.
Choice: frozen dataclasses of equally long arrays; HTTP validates the same dataclasses, so there is one description of a request.
        A query is known by a hash of its normalised text, so that two ways to type it share their history, in the log and in the request.
Else:   data frames, where columns are explored rather than known; pandas stops at data/.
Breaks: arrays of unequal length, a catalogue out of order, an unknown or missing field: refused here, before any code of the case runs.
        Two queries with one hash share a history: one in two thousand million pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from common.contract import Bools, EventKind, Floats, Ints, Ranking, Timings, Why
from common.data import columns
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore

Texts = NDArray[np.str_]

SHOWN = ("request_id", "user_id", "query_id", "doc_id")
"""The keys of everything that happens to a result shown."""
EVENTS: Mapping[str, EventKind] = {
    "impression": EventKind(
        keys=SHOWN, values=("slot", "seen_ppm", "score_ppm", "swapped", "cold", "degraded"), posted=False
    ),
    "click": EventKind(keys=SHOWN, values=("dwell_seconds", "satisfied")),
    "forget": EventKind(keys=("user_id",)),
}
"""`seen_ppm`: how often a result in that slot is examined, in parts per million of the first, as the server of the day believed: so a count
of clicks can be held against a count of looks. `swapped`: the page stood in an order by lot, to learn that curve. `cold`: nobody had asked this
query in training."""
EXAMPLE: Mapping[str, Any] = {"user_id": 42, "query": "bicycle repair", "page_size": 10}
ITEM: Mapping[str, Any] = {
    "doc_id": 1_000_000_000,
    "channel_id": 1_000_000_000,
    "title": "bicycle repair",
    "tags": "bicycle repair",
    "language": "en",
    "length_seconds": 60,
    "uploaded": 2_000_000_000,
}
TASKS = ("clicked", "satisfied", "dwell_seconds", "grade")
"""What a row may be labelled with. `satisfied` and `dwell_seconds` are known of clicked results only; `grade` is what a judge said, of rows that
nobody had the chance to click on."""


def query_id(normalised: str) -> int:
    """31 bits of the normalised text's hash: the same in the log, in training and in the request."""
    return int.from_bytes(hashlib.blake2b(normalised.encode(), digest_size=4).digest(), "big") >> 1


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Results shown, in columns, [n] each; those of one page stand together, in the order of their slots. `moment`: the log position at which the
    features are read. `labels`: one [n] column for each of TASKS, NaN where unknown."""

    request_id: Ints
    user_id: Ints
    query_id: Ints
    doc_id: Ints
    event_time: Ints
    moment: Ints
    labels: Mapping[str, Floats] = field(default_factory=dict)
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, Texts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns.equal_lengths("Rows", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools) -> Rows:
        keys = {name: getattr(self, name)[index] for name in ("user_id", "query_id", "doc_id", "event_time", "moment")}
        return Rows(
            request_id=self.request_id[index],
            **keys,
            labels={name: column[index] for name, column in self.labels.items()},
            numbers={name: column[index] for name, column in self.numbers.items()},
            categories={name: column[index] for name, column in self.categories.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Queries asked, in columns, [num_requests] each: by whom, when, as of which log position, and the text as it was typed. `language` "" and
    `max_age_days` 0 filter nothing."""

    user_id: Ints
    query_id: Ints
    query: Texts
    event_time: Ints
    moment: Ints
    age: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # years, -1 unknown
    country: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    language: Texts = field(default_factory=lambda: np.empty(0, np.str_))
    max_age_days: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        for name, nothing in (("age", -1), ("country", -1), ("language", ""), ("max_age_days", 0)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.user_id), nothing))
        columns.equal_lengths("Requests", vars(self))

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools | slice) -> Requests:
        return Requests(**{name: column[index] for name, column in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Queries:
    """The text of every query of the rows, [num_queries] each, sorted by query_id: as it was first typed."""

    query_id: Ints
    text: Texts

    def of(self, query_id: Ints) -> Texts:
        """[n] ids of rows -> [n] texts. Of any other query there is none."""
        assert np.isin(query_id, self.query_id).all(), "a query of no row has no text"
        texts: Texts = self.text[np.searchsorted(self.query_id, query_id)]
        return texts


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The documents as of training, [num_docs] each, sorted by doc_id. Columns of the rules that are not given forbid nothing. `frames`
    [num_docs, dim] describes the thumbnail, as an image encoder would; [num_docs, 0] where there is none."""

    doc_id: Ints
    channel_id: Ints  # -1 where unknown
    title: Texts
    description: Texts
    tags: Texts  # words
    frames: NDArray[np.float32]
    explicit: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    min_age: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # years
    barred_in: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # bit c: not in country c
    fingerprint: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # nearly alike for copies; 0 unknown
    numbers: Mapping[str, Floats] = field(default_factory=dict)  # length_seconds, uploaded
    categories: Mapping[str, Texts] = field(default_factory=dict)  # language, topic

    def __post_init__(self) -> None:
        for name in ("explicit", "min_age", "barred_in", "fingerprint"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self.doc_id), np.int64))
        columns.equal_lengths("Catalog", vars(self))
        assert (np.diff(self.doc_id) > 0).all(), "a catalogue is sorted by doc_id, without repeats"

    def __len__(self) -> int:
        return len(self.doc_id)

    def save(self, folder: Path) -> None:
        seen = (
            self.frames if self.frames.shape[1] else np.zeros((len(self), 1), np.float32)
        )  # no file holds a column of no width
        columns.save_dataclass(folder / "catalog.parquet", replace(self, frames=seen))


def load_titles(folder: Path) -> list[str]:
    """Of every document of a saved catalogue, in its order, and nothing else of it."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / "catalog.parquet", page_checksum_verification=True) as file:
        titles: list[str] = file.read(["title"], use_threads=False).column("title").to_pylist()
        return titles


@dataclass(frozen=True, kw_only=True)
class Dataset:
    train: Rows
    valid: Rows
    test: Requests  # carries no labels: `data.judgments` is the key
    queries: Queries  # of train and valid
    catalog: Catalog
    history: AsOfStore | LeaveOneOutStore
    candidates: Ranking | None = None  # to rerank, where the data set gives them (LETOR)
    published: str = ""  # whose figures of evaluate.PUBLISHED stand beside ours


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """The key to the test requests, in their order. `gain(requests, ids [n, k]) -> [n, k]` answers for any pair, 0 for id -1: planted on the
    world, the judged grade on real data. `relevant` [n, m] are those judged relevant, best first, -1 pads, `grades` theirs."""

    requests: Requests
    gain: Callable[[Requests, Ints], Floats]
    relevant: Ints
    grades: Floats
    num_docs: int
    slices: Mapping[str, Texts]
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log, [n] each: the rows, the scores they were served with; `cold`: nobody had asked the query in
    training, `degraded`: a stage did not come in time."""

    rows: Rows
    predictions: Floats
    cold: Bools
    degraded: Bools


Words = Annotated[str, Field(max_length=300)]
Word = Annotated[str, Field(max_length=50)]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Somebody searches: `page_size` results from place `offset` on, in one `language` and no older than `max_age_days` if that is said.
    Without an age only what is for everybody is shown, without a country only what is allowed everywhere."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    query: Annotated[str, Field(max_length=300)]
    page_size: Annotated[int, Field(ge=1, le=50)] = 10
    offset: Annotated[int, Field(ge=0, le=200)] = 0
    language: Word | None = None
    max_age_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    age: Annotated[int, Field(ge=0, le=130)] | None = None
    country: Annotated[int, Field(ge=0, lt=63)] | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """A document that comes, or changes, while the case is served: one row of the Catalog, and the same words for it."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    doc_id: Annotated[int, Field(ge=0, lt=2**31)]
    title: Words
    uploaded: Annotated[int, Field(ge=0, lt=2**40)]
    description: Annotated[str, Field(max_length=2_000)] = ""
    tags: Words = ""
    topic: Word = ""
    language: Word = ""
    channel_id: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    length_seconds: Annotated[int, Field(ge=0, lt=2**20)] = 0
    explicit: bool | None = None
    min_age: Annotated[int, Field(ge=0, le=130)] | None = None
    barred_in: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    fingerprint: Annotated[int, Field(ge=0, lt=2**52)] = 0


@dataclass(frozen=True, kw_only=True)
class Result:
    doc_id: int
    channel_id: int
    slot: int  # its place in the whole list, over all pages, from 0
    title: str
    score: float
    ranks: dict[str, int]  # the place it had in each leg that found it, from 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    understood: dict[str, str]  # what was made of the query: corrected, language, intent, entity
    total: int  # candidates that could be shown when the list was made, over all pages
    results: list[Result]


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A query on its way: what was typed so far."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    prefix: Annotated[str, Field(max_length=300)]
    k: Annotated[int, Field(ge=1, le=20)] = 8


@dataclass(frozen=True, kw_only=True)
class Suggested:
    suggestions: list[str]
