"""What a case is, in types: the nouns every case shares and the protocols its modules satisfy (PEP 544).

Modules are the interface. `ad_click/baseline.py` satisfies `FitStage` by having `fit` and `load`; there is no base class, no decorator and
no registration. mypy checks each module against its protocol (tests/contract/test_types.py); `cases.Case.stage` names a missing verb at
run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # types only: importing the contract loads nothing but numpy
    from fastapi import APIRouter

    from common.eval.report import Interval, Published, Report
    from common.features.live import LiveStore
    from common.features.views import View
    from common.lifecycle.items import ItemStore
    from common.lifecycle.log import EventLog
    from common.lifecycle.registry import Artifact, Registry
    from common.monitoring.alerts import Alert
    from common.serving.deadline import Deadline, Stages

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# ---------------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, kw_only=True)
class EventKind:
    """What one kind of event must carry: `keys` name entities, `values` are integers (counts, seconds, micro-units of money).

    A client may leave out the keys in `optional` (they are -1 then) and may post no value below `least`; a kind that is not `posted` is
    written by the service alone, and refused over HTTP: who could post impressions could move every rate.

    `follows`: a kind and the keys that name one event of it. ("impression", "request_id", "ad_id") follows the event whose event_id is
    "impression-REQUEST_ID-AD_ID". `joined`: own key or value -> the key or value of the followed event that the server copies into it.
    A joined value is never posted. A joined key may be, and is overwritten. What is followed should not be `posted` itself: a price the
    client could log is a price the client could choose. If the followed event is not in the log's tail (a made-up request, a log begun
    anew), joined values are 0 and joined keys stay as posted, or -1: such a click is counted and never billed.

    One event of a kind follows one event: the server names it KIND and the keys, "click-REQUEST_ID-AD_ID", and keeps no event_id of the
    client's, under whose every new one the same impression would be billed again. The first stands, and any further is a repeated one,
    whatever it says. So a kind that happens more than once to one impression must not declare `follows`.
    """

    keys: tuple[str, ...]
    values: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    least: int = 0
    posted: bool = True
    follows: tuple[str, ...] = ()
    joined: Mapping[str, str] = field(default_factory=dict, hash=False)  # compared, but a dict has no hash

    def __post_init__(self) -> None:
        assert set(self.optional) <= set(self.keys), f"optional keys that are not among the keys: {self}"
        assert set(self.joined) <= {*self.keys, *self.values}, f"joined names that are not among keys or values: {self}"
        assert self.follows or not self.joined, f"joined, but follows nothing: {self}"
        assert set(self.follows[1:]) <= set(self.keys) - {*self.optional, *self.joined}, (
            f"follows by keys that a client may leave out: {self}"
        )

    @property
    def posted_values(self) -> tuple[str, ...]:
        """The values a client posts: all that are not joined."""
        return tuple(name for name in self.values if name not in self.joined)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened. `event_id` makes appending it twice the same as appending it once.

    `moment` is the log position at which the features of the impression this event belongs to were read; -1 where there is none.
    """

    event_id: str
    kind: str
    event_time: int  # seconds since the epoch, UTC
    keys: Mapping[str, int]
    values: Mapping[str, int] = field(default_factory=dict)
    moment: int = -1


@dataclass(frozen=True, kw_only=True)
class Events:
    """A stretch of the log in columns, arrays of equal length, in log order. An absent key is -1, an absent value 0.

    `position` is where an event stands in the log. A moment is a position too: a row at moment m sees the events with position < m.
    Time at a moment is the greatest event_time before it, so it is a function of the log and the same offline and online.
    """

    position: Ints
    kind: NDArray[np.str_]
    event_time: Ints
    moment: Ints
    keys: Mapping[str, Ints]
    values: Mapping[str, Ints]

    def __len__(self) -> int:
        return len(self.position)


FORGET = "forget"
"""The kind of event that erases an entity: views keyed by one of its keys drop what they knew about it."""

# ---------------------------------------------------------------------------------------------------------------------- stores


class FeatureStore(Protocol):
    """Feature values as of a moment. Offline the point-in-time join over the log, online the live store: one feature code reads both."""

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n] (int64; several key columns are joined by `views.pair`), moments [n] -> [n, view.width]."""
        ...


class Clock(Protocol):
    def now(self) -> int:
        """Seconds since the epoch, UTC."""
        ...


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What a served case is handed; nothing is looked up from a global."""

    store: LiveStore
    log: EventLog
    clock: Clock
    items: ItemStore

    def close(self) -> None:
        self.items.close()
        self.store.close()
        self.log.close()


# ---------------------------------------------------------------------------------------------------------------------- models


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """ids and scores [num_requests, k]. -1 pads ids and comes last; scores never rise along a row (padding scores are -inf)."""

    ids: Ints
    scores: Floats

    @classmethod
    def best_first(cls, ids: Ints, scores: Floats) -> Ranking:
        """[num_requests, k] each, padding scored -inf -> each row by its score; of equals the earlier stays first."""
        order = np.argsort(-scores, axis=1, kind="stable")
        return cls(ids=np.take_along_axis(ids, order, 1), scores=np.take_along_axis(scores, order, 1))


class Saves(Protocol):
    def save(self, folder: Path) -> None:
        """Writes itself into an existing empty folder: JSON, Parquet, safetensors or a model's own checked text. Never a pickle."""
        ...


I_contra = TypeVar("I_contra", contravariant=True)  # Inputs
Q_contra = TypeVar("Q_contra", contravariant=True)  # Requests
C_contra = TypeVar("C_contra", contravariant=True)  # Config
R_contra = TypeVar("R_contra", contravariant=True)  # Rows
D_contra = TypeVar("D_contra", contravariant=True)  # Dataset
F_contra = TypeVar("F_contra", contravariant=True)  # Features
P_contra = TypeVar("P_contra", contravariant=True)  # predictions: Floats | Ranking
J_contra = TypeVar("J_contra", contravariant=True)  # Judgments
L_contra = TypeVar("L_contra", contravariant=True)  # Live
D = TypeVar("D")  # Dataset, loaded and written
J = TypeVar("J")  # Judgments, likewise
L_co = TypeVar("L_co", covariant=True)
F_co = TypeVar("F_co", covariant=True)
I_co = TypeVar("I_co", covariant=True)
M_co = TypeVar("M_co", covariant=True)
W_co = TypeVar("W_co", covariant=True)
Q_co = TypeVar("Q_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)
A_contra = TypeVar("A_contra", contravariant=True)


class Features(Saves, Protocol[R_contra, I_co]):
    def inputs(self, rows: R_contra, store: FeatureStore) -> I_co: ...


class Scorer(Saves, Protocol[I_contra]):
    def score(self, inputs: I_contra) -> Floats:
        """[num_rows] probabilities, or [num_rows, num_labels]."""
        ...


class Ranker(Saves, Protocol[Q_contra]):
    def retrieve(self, requests: Q_contra, k: int, store: FeatureStore) -> Ranking: ...
    def rerank(self, requests: Q_contra, candidates: Ranking, store: FeatureStore) -> Ranking: ...


# ---------------------------------------------------------------------------------------------------------------------- serving


@dataclass(frozen=True, kw_only=True)
class StageTiming:
    name: str
    start: float  # ms since the request came in
    end: float
    status: str  # ok | late | failed | busy | open | cut  (see common/serving/deadline.py)


@dataclass(frozen=True, kw_only=True)
class Timings:
    total: float  # ms
    stages: list[StageTiming]


@dataclass(frozen=True, kw_only=True)
class Why:
    """One reason for one item of an answer: the stage that acted, what it did, by how much, on what evidence."""

    item: int
    stage: str
    reason: str
    effect: float
    evidence: str


class Service(Protocol[Q_contra, A_co]):
    @property
    def stages(self) -> Stages: ...  # where a drill switches its fault on

    def respond(self, request: Q_contra, deadline: Deadline) -> A_co: ...
    def router(self) -> APIRouter: ...


# ---------------------------------------------------------------------------------------------------------------------- simulation


class Visit(Protocol[Q_co, A_contra]):
    """One simulated person coming by: asks, then reacts to what was shown."""

    @property
    def event_time(self) -> int: ...
    def request(self) -> Q_co: ...
    def react(self, answer: A_contra) -> Sequence[Event | Errand]: ...


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What somebody comes back for, on another of the case's routes: an author who appeals, a reviewer who takes the next post. `body` is posted at its
    time, with the server's token where the player has it; `react` is given the answer as JSON."""

    event_time: int
    route: str
    body: Mapping[str, Any]
    react: Callable[[Mapping[str, Any]], Sequence[Event | Errand]]


# ---------------------------------------------------------------------------------------------------------------------- results

Table = list[dict[str, Any]]
"""An experiment's result: one dict a row, the same keys in each."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run of a pipeline gives. `reports` are keyed baseline, model and ceiling (or published)."""

    case: str
    preset: str
    reports: Mapping[str, Report]
    paired: Mapping[str, Interval]  # "model-baseline", "model-ceiling"
    artifact: Artifact
    history: Events  # what it was trained on: the log this artifact goes on from starts with it
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Drill:
    """A failure that can be switched on: which stage breaks how, and what a person would see."""

    stage: str
    fault: str  # slow | fail | hang
    looks: str  # how it looks from outside
    notices: str  # the check or alert that notices


# ---------------------------------------------------------------------------------------------------------------------- stages


class ItemsSchema(Protocol):
    """The schema of a case whose items come and go while it is served: PUT and DELETE /CASE/items. Its service asks
    `common.serving.current.Current` what may be shown."""

    @property
    def Item(self) -> type[Any]: ...  # noqa: N802  (a frozen dataclass, strict; its first field is the id, an int whose name ends in _id)

    @property
    def ITEM(self) -> Mapping[str, Any]: ...  # noqa: N802  (one as JSON, unknown to training, which the answer to EXAMPLE shows)


class WorldStage(Protocol[C_contra, W_co]):
    def make(self, config: C_contra) -> W_co: ...
    def ceiling(
        self, config: C_contra
    ) -> Any: ...  # .score(rows) for a Scorer case, .rank(requests, k) for a Ranker case


class DataStage(Protocol[C_contra, D, J, L_co]):
    def load(self, config: C_contra) -> D: ...
    def judgments(self, config: C_contra) -> J: ...
    def live(self, events: Events, config: C_contra) -> L_co: ...  # served traffic, read back from the log, as rows

    def write(self, dataset: D, judgments: J, folder: Path) -> None:
        """The bring-your-own files (CSV tables and their schema.toml) that `csv:FOLDER` reads back as the same Dataset, bit for bit."""
        ...


class FeaturesStage(Protocol[D_contra, C_contra, F_co]):
    @property
    def VIEWS(self) -> tuple[View, ...]: ...  # noqa: N802  (a module's constant; a property, so that a narrower type will do)

    def fit(self, dataset: D_contra, config: C_contra) -> F_co: ...
    def load(self, folder: Path) -> F_co: ...


class FitStage(Protocol[D_contra, F_contra, C_contra, M_co]):
    """baseline and model."""

    def fit(self, dataset: D_contra, features: F_contra, config: C_contra) -> M_co: ...
    def load(self, folder: Path) -> M_co: ...


Invariant = Callable[[Any, np.random.Generator], str]
"""(policy, rng) -> "" where the rule held on candidates drawn from rng, else what was seen."""


class PolicyStage(Protocol[P_contra, R_contra, C_contra, M_co]):
    @property
    def INVARIANTS(self) -> Mapping[str, Invariant]: ...  # noqa: N802  (a sentence, and the function that tries to break it)

    def fit(self, predictions: P_contra, rows: R_contra, config: C_contra) -> M_co: ...
    def load(self, folder: Path) -> M_co: ...


class EvaluateStage(Protocol[P_contra, J_contra, C_contra]):
    @property
    def PUBLISHED(self) -> Mapping[str, Sequence[Published]]: ...  # noqa: N802  (by data set; the first figure is the third column)

    def evaluate(self, predictions: P_contra, judgments: J_contra, config: C_contra) -> Report: ...


class ServeStage(Protocol[Q_contra, A_co]):
    ROUTE: str

    def start(self, artifact: Artifact, platform: Platform) -> Service[Q_contra, A_co]: ...


class MonitorStage(Protocol[P_contra, R_contra, L_contra, C_contra]):
    def reference(self, predictions: P_contra, rows: R_contra, config: C_contra) -> Any: ...
    def load(self, folder: Path) -> Any: ...
    def check(self, reference: Any, live: L_contra, config: C_contra) -> list[Alert]: ...


class SimulateStage(Protocol[C_contra]):
    def visits(self, config: C_contra, since: int, until: int) -> Iterator[Visit[Any, Any]]: ...


class PipelineStage(Protocol[C_contra]):
    def run(self, config: C_contra, registry: Registry) -> Result: ...


Experiment = Callable[[Any], Table]


class ExperimentsStage(Protocol):
    @property
    def EXPERIMENTS(self) -> Mapping[str, Experiment]: ...  # noqa: N802


class DrillsStage(Protocol):
    @property
    def DRILLS(self) -> Mapping[str, Drill]: ...  # noqa: N802


STAGES: Mapping[str, Sequence[str]] = {
    "config": ("Config", "SMOKE", "DEMO", "DEFAULT", "LARGE", "OVERRIDES"),
    "schema": ("Rows", "Dataset", "Judgments", "Request", "Answer", "Live", "EVENTS", "EXAMPLE"),
    "world": ("make", "ceiling"),
    "data": ("load", "judgments", "live", "write", "ROLES"),
    "features": ("VIEWS", "fit", "load"),
    "baseline": ("fit", "load"),
    "model": ("fit", "load"),
    "policy": ("fit", "load", "INVARIANTS"),
    "evaluate": ("evaluate", "PUBLISHED"),
    "serve": ("ROUTE", "start"),
    "monitor": ("reference", "load", "check"),
    "simulate": ("visits",),
    "experiments": ("EXPERIMENTS",),
    "drills": ("DRILLS",),
    "pipeline": ("run",),
}
"""Every stage of a case and the verbs it must have, in the order they are read. schema.EXAMPLE is a request body, as JSON, that works."""
