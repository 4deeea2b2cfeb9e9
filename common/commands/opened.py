"""A case opened from the registry, ready to be asked or served: what `serve`, `traffic`, `drill` and `demo` have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.cases import Case
from common.errors import InputError

if TYPE_CHECKING:
    from common.contract import Clock, Events, Platform, Service, Visit
    from common.eval.report import Interval
    from common.lifecycle.home import Home
    from common.lifecycle.log import EventLog
    from common.lifecycle.registry import Artifact
    from common.monitoring.alerts import Alert
    from common.serving.app import Served

WEEK = 7 * 86_400
MOST_WEEKS = 520  # a case whose people never come by must not be waited for


@dataclass(frozen=True)
class Opened:
    """One version of a case and the log it goes on from: who comes next, and what the monitor says of what was served."""

    case: Case
    artifact: Artifact
    log: EventLog

    @property
    def config(self) -> Any:
        """The Config it was trained with."""
        return self.case.stage("config").Config(**self.artifact.manifest["config"])

    def time(self) -> int:
        """Time as the log knows it: the greatest event_time in it, 0 where it is empty."""
        return max((int(part.event_time.max()) for part in self.log.scan() if len(part)), default=0)

    def visits(self, n: int) -> list[Visit[Any, Any]]:
        """The next n visits from the end of the log on, as many weeks of them as it takes."""
        visits, since = self.case.stage("simulate").visits, self.time()
        weeks = (visits(self.config, since + WEEK * i, since + WEEK * (i + 1)) for i in range(MOST_WEEKS))
        return list(islice(chain.from_iterable(weeks), n))

    def alerts(self, since: int) -> list[Alert]:
        """What the case's monitor says about the traffic served from log position `since` on."""
        monitor = self.case.stage("monitor")
        live = self._live(since)
        found: list[Alert] = monitor.check(monitor.load(self.artifact.folder / "reference"), live, self.config)
        return found

    def measured(self, since: int) -> Mapping[str, Interval]:
        """What a case measures of itself online, by metric, where its monitor says so; from log position `since` on."""
        measure = getattr(self.case.stage("monitor"), "measured", None)
        return {} if measure is None else measure(self._live(since))

    def _live(self, since: int) -> Any:
        return self.case.stage("data").live(self.events(since), self.config)

    def events(self, since: int) -> Events:
        from common.events import concat

        return concat(list(self.log.scan(since)))


@dataclass(frozen=True)
class Here(Opened):
    """Served on a free port of this machine, with a clock that stands where its log ends until it is set."""

    url: str
    clock: Any
    token: str
    service: Service[Any, Any]


@contextmanager
def reading(case: Case, home: Home, version: str = "live") -> Iterator[Opened]:
    """To read beside a server that runs in another process."""
    artifact = home.registry.open(case.name, version)
    log = home.log(artifact)
    try:
        yield Opened(case, artifact, log)
    finally:
        log.close()


@contextmanager
def here(case: Case, out: Path, version: str = "live") -> Iterator[Here]:
    """Serves one case from this process while the block runs; the log has one writer, so nothing else may serve it meanwhile."""
    import secrets

    from common.lifecycle.home import Home
    from common.serving.app import Server
    from common.serving.clock import SimulatedClock
    from common.serving.run import running

    token, home = secrets.token_urlsafe(), Home(out)
    server = Server(token=token, simulated_clock=True)
    assert isinstance(server.clock, SimulatedClock)
    artifact = home.registry.open(case.name, version)
    with platform(case, artifact, home, server.clock) as opened:
        served = serve(case, artifact, opened)
        server.add(served)
        with running(server) as url:
            found = Here(case, artifact, opened.log, url, server.clock, token, served.service)
            server.clock.set(found.time())
            yield found


@contextmanager
def platform(case: Case, artifact: Artifact, home: Home, clock: Clock) -> Iterator[Platform]:
    opened = home.platform(artifact, case.stage("features").VIEWS, clock)
    try:
        yield opened
    finally:
        opened.close()


def serve(case: Case, artifact: Artifact, platform: Platform) -> Served:
    """The service, started; native libraries are held to the threads that suit a request's few rows."""
    from common.serving.app import Served
    from common.serving.items import kind_of
    from common.training.seeding import limit, serving_threads

    try:
        service: Service[Any, Any] = case.stage("serve").start(artifact, platform)
    except (
        AttributeError,
        KeyError,
        TypeError,
    ) as error:  # the files are whole (the registry looked), the code moved on
        raise InputError(
            f"{case.name} {artifact.version} was written by other code than this: {type(error).__name__} {error}. Train a new "
            f"version and make it live: mlsd run {case.name}, then mlsd registry {case.name} --point live=VERSION --reason ..."
        ) from error
    limit(serving_threads())
    schema = case.stage("schema")
    return Served(
        name=case.name,
        service=service,
        platform=platform,
        events=schema.EVENTS,
        version=artifact.version,
        summary={key: artifact.manifest.get(key, {}) for key in ("reports", "paired")},
        example=schema.EXAMPLE,
        item=kind_of(schema),
    )


def percentiles(ms: Sequence[float]) -> dict[str, float | None]:
    """{"p50_ms", "p99_ms"}: half of the answers, and ninety-nine in a hundred, took no longer."""
    import numpy as np

    if not ms:
        return {"p50_ms": None, "p99_ms": None}
    p50, p99 = np.percentile(ms, [50, 99])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}
