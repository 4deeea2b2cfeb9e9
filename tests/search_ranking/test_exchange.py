"""An index exchanged while it is asked: a version with another encoder goes live under load, and one whose index is of another encoder does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from common.checks import Trial
from common.commands import output, serve
from common.lifecycle.home import Home
from common.serving.app import Server
from search_ranking import model
from search_ranking.model import TwoStage
from search_ranking.model.retrieval import dense, encoder
from search_ranking.schema import ITEM
from search_ranking.serve import ROUTE

pytestmark = pytest.mark.slow
CASE = "search_ranking"
QUERY = "zyqqo bicycle concert"


@dataclass
class Shop:
    """Three versions in a registry, and the server that follows its alias."""

    home: Home
    versions: dict[str, str]
    server: Server
    said: list[str] = field(default_factory=list)

    def point(self, name: str) -> None:
        self.home.registry.point(CASE, "live", self.versions[name], "a test")

    def version(self) -> str:
        return next((str(one["version"]) for one in self.server.cases() if "version" in one), "")


def published(home: Home, trial: Trial, better: TwoStage, **changes: Any) -> str:
    names = ("features", "baseline", "policy", "reference")
    parts = {"catalog": trial.dataset.catalog, "model": better, **{name: trial.part(name) for name in names}}
    config = replace(trial.config, **changes)
    artifact = home.registry.publish(CASE, parts=parts, config=config, reports={})
    home.seed(artifact, trial.result.history)
    return artifact.version


@pytest.fixture
def shop(trial: Trial, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    home, trained, other = Home(tmp_path), trial.part("model"), encoder.named(str(tiny), ())
    texts = model.texts(trial.dataset.catalog)
    index = dense.build(trial.dataset.catalog.doc_id, other.encode(texts), other.fingerprint)
    moved = replace(trained, legs=replace(trained.legs, encoder=other, vectors=index))
    mixed = replace(trained, legs=replace(trained.legs, vectors=index))
    versions = {
        "old": published(home, trial, trained),
        "new": published(home, trial, moved, encoder=str(tiny)),
        "mixed": published(home, trial, mixed),
    }
    shop = Shop(home, versions, Server(expected=(CASE,), token="of a test, long enough", simulated_clock=True))
    stop = threading.Event()

    def look(seconds: float) -> None:
        if stop.wait(0.02):
            raise SystemExit  # the loop that follows the alias has no other end

    monkeypatch.setattr(serve, "time", SimpleNamespace(sleep=look))
    monkeypatch.setattr(output, "say", shop.said.append)
    mounting = serve.Mounting(shop.server, home)

    def follow() -> None:
        with suppress(SystemExit):
            mounting.take_in({CASE: trial.case})

    following = threading.Thread(target=follow)
    following.start()
    try:
        until(lambda: shop.version() == versions["old"])
        yield shop
    finally:
        stop.set()
        following.join()
        shop.server.close()
        mounting.close()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "not within thirty seconds"
        time.sleep(0.02)


def ask(client: TestClient, query: str = QUERY) -> Any:
    return client.post(ROUTE, json={"user_id": 42, "query": query, "page_size": 10})


@contextmanager
def asked(shop: Shop) -> Iterator[list[Any]]:
    """Two people search without a pause while the block runs. -> their answers, in order of arrival."""
    stop, answers = threading.Event(), []

    def search() -> None:
        client = TestClient(shop.server.app)
        while not stop.is_set():
            answers.append(ask(client))

    searching = [threading.Thread(target=search) for _ in range(2)]
    for one in searching:
        one.start()
    try:
        yield answers
    finally:
        stop.set()
        for one in searching:
            one.join()


def test_another_encoders_index_goes_live_under_load_and_no_query_fails(shop: Shop) -> None:
    client = TestClient(shop.server.app)
    new = int(ITEM["doc_id"]) + 7
    item = {**ITEM, "doc_id": new, "title": QUERY, "description": "", "tags": ""}
    assert client.request("PUT", f"/{CASE}/items", json={"items": [item]}).status_code == 200

    def ranks() -> Any:
        return next((one["ranks"] for one in ask(client).json()["results"] if one["doc_id"] == new), {})

    until(lambda: "dense" in ranks())
    with asked(shop) as answers:
        until(lambda: len(answers) > 5)
        shop.point("new")
        until(lambda: shop.version() == shop.versions["new"])
        mounted = len(answers)
        until(lambda: len(answers) > mounted + 5)
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert all(len(answer.json()["results"]) == 10 for answer in answers)
    told = [answer.json()["model_version"] for answer in answers]
    assert set(told) == {shop.versions["old"], shop.versions["new"]}
    assert not shop.said
    until(lambda: "dense" in ranks())  # what was put before the exchange, by the vector the new encoder gives it


def test_a_version_whose_index_is_of_another_encoder_is_refused_and_the_old_one_goes_on(shop: Shop) -> None:
    with asked(shop) as answers:
        shop.point("mixed")
        until(lambda: bool(shop.said))
        refused = len(answers)
        until(lambda: len(answers) > refused + 5)
    assert len(shop.said) == 1 and "The index holds vectors of encoder" in shop.said[0]
    assert {answer.json()["model_version"] for answer in answers} == {shop.versions["old"]}
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    shop.point("new")
    until(lambda: shop.version() == shop.versions["new"])
    assert ask(TestClient(shop.server.app)).json()["model_version"] == shop.versions["new"]
