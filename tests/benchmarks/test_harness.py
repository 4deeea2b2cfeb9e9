"""The harness that every timing here goes through."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness
from common.serving.app import Server
from common.serving.run import running
from tests.common.serving import toy


def test_rounds_are_paired_and_take_turns() -> None:
    order: list[str] = []
    figures = iter(range(1, 100))

    def take(name: str, factor: float) -> float:
        order.append(name)
        return factor * next(figures)

    ratio = harness.paired_rounds(lambda: take("a", 2.0), lambda: take("b", 1.0), rounds=3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((2 / 2, 10 / 6, 8 / 3))


@pytest.mark.parametrize("n", [1, 2, 7, 100])
@pytest.mark.parametrize("q", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_quantile_is_numpys_inverted_cdf(n: int, q: float) -> None:
    values = np.random.default_rng(n).normal(size=n).tolist()
    assert harness.quantile(values, q) == np.quantile(values, q, method="inverted_cdf")


def test_a_result_names_the_machine_and_no_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    path = harness.write_result("x", [{"what": "a", "us": 1.23456}, {"what": "b", "ms": 2}], "why", seed=3)
    found = json.loads(path.read_text())
    assert (found["origin"], found["seed"], found["rows"][0]["us"]) == ("machine", 3, 1.23456)
    assert {"cores", "python", "versions"} <= set(found["machine"])
    text = path.with_suffix(".md").read_text()
    assert "| what | us | ms |" in text
    assert "| b |  | 2 |" in text


@pytest.mark.slow
def test_open_loop_counts_every_request_and_status() -> None:
    server = Server()
    server.add(toy.served())
    with running(server) as url:
        good, bad = b'{"user_id": 1}', b'{"user_id": "x"}'
        load = asyncio.run(harness.open_loop(url + "/toy/count", 50, 0.4, [good, bad]))
        dead = asyncio.run(harness.open_loop("http://127.0.0.1:9/", 50, 0.1, [good]))
    assert load.sent == 20
    assert sum(load.statuses.values()) == 20
    assert load.statuses["422"] == 10
    assert len(load.latency_ms) == load.statuses.get("200", 0)
    assert dead.statuses == {"ConnectError": 5}
