"""A Trial: one case carried once through its pipeline at SMOKE in a folder of its own, trained, published, reloaded and served.

Every part is made when it is first asked for, so a check pays for what it looks at and no more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from common import events as columns
from common.cases import Case
from common.contract import Events, Floats, Ints, Platform, Result
from common.features.asof import AsOfStore
from common.features.live import LiveStore
from common.features.views import View
from common.lifecycle.home import Home
from common.lifecycle.registry import Artifact
from common.serving.app import Served, Server
from common.serving.clock import SimulatedClock

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TOKEN = "trial"
HANG_SECONDS = 2.0  # ten times the deadline of any case


def want(holds: bool, problem: str) -> None:
    """Fails the check with a sentence. Not an `assert` statement: checks must fail under `python -O` too."""
    if not holds:
        raise AssertionError(problem)


class Trial:
    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.home = Home(folder / "runs")
        self._closing: list[Callable[[], object]] = []

    def stage(self, name: str) -> Any:
        return self.case.stage(name)

    @cached_property
    def config(self) -> Any:
        return self.case.preset("smoke")

    @cached_property
    def dataset(self) -> Any:
        return self.stage("data").load(self.config)

    @cached_property
    def result(self) -> Result:
        result: Result = self.stage("pipeline").run(self.config, self.home.registry)
        self.home.seed(result.artifact, result.history)
        return result

    @cached_property
    def artifact(self) -> Artifact:
        """As a server would open it: checked against its manifest."""
        return self.home.registry.open(self.case.name, self.result.artifact.version)

    def part(self, name: str) -> Any:
        """features, baseline, model, policy or reference, reloaded from the published artifact."""
        stage = self.stage("monitor" if name == "reference" else name)
        return stage.load(self.artifact.folder / name)

    @cached_property
    def is_ranker(self) -> bool:
        return hasattr(self.part("model"), "retrieve")

    def fit(self, config: Any) -> Mapping[str, Floats]:
        """Trains on `config` from the start; -> the arrays that baseline and model give on its test rows, in memory, never saved."""
        dataset = self.stage("data").load(config)
        features = self.stage("features").fit(dataset, config)
        made = {name: self.stage(name).fit(dataset, features, config) for name in ("baseline", "model")}
        return scores(made, features, dataset, config)

    @cached_property
    def trained(self) -> Mapping[str, Floats]:
        return self.fit(self.config)

    @cached_property
    def served(self) -> Running:
        return self.serve(self.artifact)

    def serve(self, artifact: Artifact) -> Running:
        server = Server(token=TOKEN, simulated_clock=True)
        clock = cast(SimulatedClock, server.clock)
        clock.set(int(self.result.history.event_time.max()) + 60)
        opened = self.home.platform(artifact, self.stage("features").VIEWS, clock)
        recorder = Recorder(opened.store)
        platform = Platform(store=cast(LiveStore, recorder), log=opened.log, clock=clock)
        service = self.stage("serve").start(artifact, platform)
        schema = self.stage("schema")
        server.add(
            Served(
                name=self.case.name,
                service=service,
                platform=platform,
                events=schema.EVENTS,
                version=artifact.version,
                example=schema.EXAMPLE,
            )
        )
        self._closing += [server.close, opened.store.close, opened.log.close]
        return Running(self.stage("serve").ROUTE, self.case.name, schema.EXAMPLE, server, service, platform, recorder)

    def close(self) -> None:
        while self._closing:
            self._closing.pop(0)()


@dataclass(frozen=True)
class Running:
    """A case being served, over ASGI, with a clock that stands still until it is moved."""

    route: str
    name: str
    example: Mapping[str, Any]
    server: Server
    service: Any
    platform: Platform
    recorder: Recorder

    @cached_property
    def client(self) -> TestClient:
        from starlette.testclient import TestClient

        return TestClient(self.server.app, raise_server_exceptions=False)

    @property
    def clock(self) -> SimulatedClock:
        return cast(SimulatedClock, self.server.clock)

    def ask(self, **changed: Any) -> dict[str, Any]:
        """The example request, with some fields changed; anything but a 200 fails the check."""
        answer = self.client.post(self.route, json={**self.example, **changed})
        want(answer.status_code == 200, f"{self.route} answered {answer.status_code}: {answer.text[:300]}")
        return cast(dict[str, Any], answer.json())

    def post(self, *events: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.client.post(f"/{self.name}/events", json={"events": list(events)})
        want(answer.status_code == 200, f"/{self.name}/events answered {answer.status_code}: {answer.text[:300]}")
        return cast(dict[str, Any], answer.json())

    def logged(self, since: int = 0) -> Events:
        return columns.concat(list(self.platform.log.scan(since)))

    def impressions(self, since: int) -> Events:
        events = self.logged(since)
        return columns.take(events, np.flatnonzero(events.kind == "impression"))


@dataclass(frozen=True)
class Read:
    """One read of the live store: which view, whose keys, as of which position, and what it said."""

    view: View
    keys: Ints
    position: int
    values: Floats


class Recorder:
    """Stands before the live store and notes what answers read: no answer is taken at its word."""

    def __init__(self, store: LiveStore) -> None:
        self._store = store
        self.reads: list[Read] = []
        self._fault = self._where = ""
        self._repaired = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def broken(self, where: str, fault: str) -> Iterator[None]:
        """where: open | read; fault: fail | hang. A hang ends with the `with`, or after HANG_SECONDS where it holds up the check itself."""
        self._where, self._fault = where, fault
        self._repaired.clear()
        try:
            yield
        finally:
            self._where = self._fault = ""
            self._repaired.set()

    def meet(self, where: str) -> None:
        if self._where == where and self._fault == "fail":
            raise OSError("the store is broken on purpose")
        if self._where == where:
            self._repaired.wait(HANG_SECONDS)

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        self.meet("open")
        with self._store.snapshot() as now:
            yield _Noting(now, self)

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        with self.snapshot() as now:
            return cast(Floats, now.read(view, keys, moments))


class _Noting:
    def __init__(self, now: Any, recorder: Recorder) -> None:
        self._now, self._recorder = now, recorder
        self.position: int = now.position

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        self._recorder.meet("read")
        values: Floats = self._now.read(view, keys, moments)
        self._recorder.reads.append(Read(view, keys.copy(), self.position, values.copy()))
        return values


def scores(models: Mapping[str, Any], features: Any, dataset: Any, config: Any) -> dict[str, Floats]:
    """The arrays that each model gives on the test rows: scores of a Scorer; ids and scores of a Ranker, retrieved and re-ranked."""
    found: dict[str, Floats] = {}
    for name, model in models.items():
        if hasattr(model, "score"):
            found[name] = model.score(features.inputs(dataset.test, dataset.history))
            continue
        candidates = model.retrieve(dataset.test, config.num_candidates, dataset.history)
        ranked = model.rerank(dataset.test, candidates, dataset.history)
        found |= {
            f"{name}.{step}.{part}": getattr(of, part)
            for step, of in (("retrieve", candidates), ("rerank", ranked))
            for part in ("ids", "scores")
        }
    return found


def arrays(thing: Any, path: str = "") -> dict[str, np.ndarray[Any, Any]]:
    """Every array inside dataclasses, mappings and sequences, by path; a store counts as its events. What "the same data" compares."""
    if isinstance(thing, np.ndarray):
        return {path: thing}
    if hasattr(thing, "events") and isinstance(thing.events, Events):
        return arrays(thing.events, f"{path}.events")
    if dataclasses.is_dataclass(thing):
        parts = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    elif isinstance(thing, Mapping):
        parts = dict(thing)
    elif isinstance(thing, list | tuple):
        parts = {str(i): part for i, part in enumerate(thing)}
    elif hasattr(thing, "tocsr"):
        return arrays(thing.toarray(), path)
    else:
        parts = {}
    return {key: array for name, part in parts.items() for key, array in arrays(part, f"{path}.{name}").items()}


def digests(named: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, str]:
    """A fingerprint of each array's type, shape and bits."""
    of = {
        name: f"{array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes()
        for name, array in named.items()
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in of.items()}


def same_bits(ours: Mapping[str, Any], theirs: Mapping[str, Any], of: str) -> None:
    """Both hold the same arrays, bit for bit; the first that differs is named."""
    want(ours.keys() == theirs.keys(), f"{of}: {sorted(ours)} against {sorted(theirs)}")
    for name in ours:
        a, b = np.asarray(ours[name]), np.asarray(theirs[name])
        want(a.shape == b.shape, f"{of}: {name} has shape {a.shape} against {b.shape}")
        different = a != b if a.dtype.kind != "f" else (a != b) & ~(np.isnan(a) & np.isnan(b))
        if different.any():
            first = tuple(int(i) for i in np.argwhere(different)[0])
            want(
                False,
                f"{of}: {name} differs at {first}: {a[first]} against {b[first]} ({int(different.sum())} of {a.size} differ)",
            )


def offline(events: Events, read: Read) -> Floats:
    """What the point-in-time join over the log says to the same question."""
    return AsOfStore(events).read(read.view, read.keys, np.full(len(read.keys), read.position, dtype=np.int64))
