"""One small run of the case, shared by every test that needs a trained artifact or a server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ad_click import features, schema, serve
from ad_click.config import SMOKE, Config
from common.contract import Platform, Result
from common.lifecycle.home import Home
from common.lifecycle.score import patient
from common.serving.app import Served, Server
from common.serving.clock import SimulatedClock

PATIENT = replace(SMOKE, deadline_ms=60_000.0)  # a loaded machine must not decide what a test sees


@pytest.fixture(scope="session")
def tiny() -> Config:
    return PATIENT


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    from ad_click import pipeline

    root = tmp_path_factory.mktemp("runs")
    home = Home(root)
    result = pipeline.run(PATIENT, home.registry)
    home.seed(result.artifact, result.history)
    return root, result


@dataclass
class Running:
    client: TestClient
    service: serve.Service
    platform: Platform
    clock: SimulatedClock
    now: int


@pytest.fixture(scope="module")
def running(run_once: tuple[Path, Result], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A log of its own for every file: weeks that one of them plays are no other's past."""
    trained, result = run_once
    root = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(trained, root)
    server = Server(token="a token for tests", simulated_clock=True)
    assert isinstance(server.clock, SimulatedClock)
    platform = Home(root).platform(result.artifact, features.VIEWS, server.clock)
    now = int(result.history.event_time.max())
    server.clock.set(now)
    service = serve.start(result.artifact, platform)
    patient(service)
    version = result.artifact.version
    server.add(Served(name="ad_click", service=service, platform=platform, events=schema.EVENTS, version=version))
    with TestClient(server.app) as client:
        yield Running(client, service, platform, server.clock, now)
    server.close()
    platform.store.close()
    platform.log.close()
