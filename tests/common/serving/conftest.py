from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.serving.app import Server
from tests.common.serving import toy


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with the toy on it, whose log is its own live store."""
    monkeypatch.setattr("common.serving.feedback.catch_up", lambda store, log: log.end)
    made = Server(expected=("toy",), token="secret", simulated_clock=True)
    made.add(toy.served(clock=made.clock))
    yield made
    made.close()
