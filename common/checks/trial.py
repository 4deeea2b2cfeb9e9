"""A Trial: one case carried once through its pipeline at SMOKE in a folder of its own, trained, published, reloaded and served.

Every part is made when it is first asked for, so a check pays for what it looks at and no more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from common import events as columns
from common.cases import Case
from common.contract import Events, Floats, Ints, Platform, Result, Saves
from common.errors import InputError
from common.features.asof import AsOfStore
from common.features.live import LiveStore
from common.features.views import View
from common.lifecycle.home import Home
from common.lifecycle.registry import Artifact, Registry
from common.serving.app import Served, Server
from common.serving.clock import SimulatedClock
from common.serving.items import kind_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TOKEN = "trial"
HANG_SECONDS = 2.0  # ten times the deadline of any case
NUM_VISITS = 200  # a monitor whose labels are rare asks for more: monitor.NUM_VISITS

M = TypeVar("M")


class Needs(AssertionError):
    """A check that could not be asked: what it needs failed before, and the check that needed it first has said why."""


class NotHere(Needs):
    """A check of something this case does not have, and need not have."""


def want(holds: bool, problem: str) -> None:
    """Fails the check with a sentence. Not an `assert` statement: checks must fail under `python -O` too."""
    if not holds:
        raise AssertionError(problem)


class Trial:
    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.home = Home(folder / "runs")
        self._registry = _Keeping(self.home.root)
        self._failed: dict[str, str] = {}
        self._closing: list[Callable[[], object]] = []

    def stage(self, name: str) -> Any:
        return self.case.stage(name)

    @cached_property
    def config(self) -> Any:
        return self.case.preset("smoke")

    @cached_property
    def dataset(self) -> Any:
        return self._once("data.load", lambda: self.stage("data").load(self.config))

    @cached_property
    def num_visits(self) -> int:
        """How many visits in a row are played to judge the case: monitor.NUM_VISITS where it says so, else 200."""
        asked = getattr(self.stage("monitor"), "NUM_VISITS", NUM_VISITS)
        want(
            isinstance(asked, int) and asked > 0,
            f"monitor.NUM_VISITS is {asked!r}, expected a whole number above 0: how many visits judge the labels",
        )
        return cast(int, asked)

    @cached_property
    def result(self) -> Result:
        _ = self.dataset  # data that cannot be read are told there
        return self._once("the pipeline", self._run)

    def _run(self) -> Result:
        result: Result = self.stage("pipeline").run(self.config, self._registry)
        self.home.seed(result.artifact, result.history)
        return result

    def fitted(self, name: str) -> Any:
        """A part as the pipeline had it in memory when it was published."""
        parts = self._registry.parts if self.result else {}
        want(name in parts, f"pipeline.run gives registry.publish no part {name!r}; it gives {', '.join(parts)}")
        return parts[name]

    @cached_property
    def artifact(self) -> Artifact:
        """As a server would open it: checked against its manifest."""
        return self.home.registry.open(self.case.name, self.result.artifact.version)

    def part(self, name: str) -> Any:
        """features, baseline, model, policy or reference, reloaded from the published artifact."""
        stage, folder = self.stage("monitor" if name == "reference" else name), self.artifact.folder / name
        want(
            folder.is_dir(),
            f"the artifact has no {name}/. Add it to the parts that pipeline.run gives to registry.publish.",
        )
        return stage.load(folder)

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
        _ = self.result  # a model that cannot be trained is told there
        return self._once("training again", lambda: self.fit(self.config))

    @cached_property
    def served(self) -> Running:
        artifact = self.artifact
        return self._once("serving", lambda: self.serve(artifact), "serve {}")

    @contextmanager
    def apart(self, name: str) -> Iterator[Running]:
        """The artifact served from a state folder of this name, whose log begins where training ended: what is done to it no other check
        sees. Served again under the same name, it goes on from there, as after a restart."""
        home, others = Home(self.folder / name), self._closing
        _ = self.artifact  # an artifact that is not there is told there
        home.seed(self.artifact, self.result.history)
        self._closing = []
        try:
            yield self._once("serving", lambda: self.serve(self.artifact, home), "serve {}")
        finally:
            self.close()
            self._closing = others

    def serve(self, artifact: Artifact, home: Home | None = None) -> Running:
        server = Server(token=TOKEN, simulated_clock=True)
        clock = cast(SimulatedClock, server.clock)
        clock.set(int(self.result.history.event_time.max()) + 60)
        opened = (home or self.home).platform(artifact, self.stage("features").VIEWS, clock)
        recorder = Recorder(opened.store)
        platform = replace(opened, store=cast(LiveStore, recorder))
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
                item=kind_of(schema),
            )
        )
        self._closing += [server.close, opened.close]
        return Running(self.stage("serve").ROUTE, self.case.name, schema.EXAMPLE, server, service, platform, recorder)

    def close(self) -> None:
        while self._closing:
            self._closing.pop(0)()

    def _once(self, what: str, make: Callable[[], M], command: str = "run {} --preset smoke") -> M:
        """A failure is told in full to the check that asks first; the others are told in a line that they need it."""
        if what in self._failed:
            raise Needs(f"needs {what}, which failed: {self._failed[what]}")
        try:
            return make()
        except Needs:
            raise
        except Exception as error:
            self._failed[what] = told(error, self.case.package)
            more = f"`mlsd {command.format(self.case.name)}` shows the whole traceback."
            raise AssertionError(f"{what} failed: {self._failed[what]} {more}") from error


def told(error: Exception, package: str) -> str:
    """An error as a sentence: its own where it was written for people, else what it is and where in the case it happened."""
    if isinstance(error, AssertionError | InputError) and str(error):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if f"/{package.replace('.', '/')}/" in frame.filename] or frames
    where = f" at {Path(inside[-1].filename).name}:{inside[-1].lineno}, in {inside[-1].name}" if inside else ""
    return f"{type(error).__name__}: {error}{where}."


class _Keeping(Registry):
    """Keeps the parts it is given: what was fitted can be held against what is loaded."""

    parts: Mapping[str, Saves] = {}

    def publish(
        self,
        case: str,
        *,
        parts: Mapping[str, Saves],
        config: Any,
        reports: Mapping[str, Any],
        paired: Mapping[str, Any] | None = None,
    ) -> Artifact:
        self.parts = parts
        return super().publish(case, parts=parts, config=config, reports=reports, paired=paired)


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
    def snapshot(self, patience: float | None = None) -> Iterator[Any]:
        self.meet("open")
        with self._store.snapshot(patience) as now:
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


def state(thing: Any, path: str = "") -> dict[str, np.ndarray[Any, Any]]:
    """What an object holds, by path, down to numbers, words and arrays; a cached_property is made from the rest and left out."""
    if isinstance(thing, Mapping):
        parts = {str(key): part for key, part in thing.items()}
    elif isinstance(thing, set | frozenset):
        parts = {str(i): part for i, part in enumerate(sorted(thing, key=repr))}
    elif isinstance(thing, list | tuple):
        parts = {str(i): part for i, part in enumerate(thing)}
    elif hasattr(thing, "__dict__") and not callable(thing):
        made = {name for name in vars(thing) if isinstance(getattr(type(thing), name, None), cached_property)}
        parts = {name: part for name, part in vars(thing).items() if name not in made}
    else:
        simple = thing is None or isinstance(thing, np.ndarray | np.generic | bool | int | float | str | bytes)
        return {path: np.asarray(thing if simple and thing is not None else str(type(thing)))}
    return {key: array for name, part in parts.items() for key, array in state(part, f"{path}.{name}").items()}


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
