"""PUT and DELETE /CASE/items as they look from outside; what they do to answers is asked of every case by common/checks/items.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, cast

import pytest
from pydantic import ConfigDict, Field
from starlette.testclient import TestClient

from common.contract import Platform
from common.lifecycle.items import ItemStore
from common.serving.app import Server
from common.serving.items import MAX_BATCH, Kind, kind_of
from tests.common.serving import toy


@dataclass(frozen=True, kw_only=True)
class Item:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    thing_id: Annotated[int, Field(ge=0, lt=2**31)]
    weight: Annotated[float, Field(gt=0)] = 1.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ItemStore]:
    made = ItemStore(tmp_path / "items.sqlite")
    yield made
    made.close()


@pytest.fixture
def client(store: ItemStore) -> Iterator[TestClient]:
    server = Server(token="secret", simulated_clock=True)
    served = toy.served(clock=server.clock)
    platform = SimpleNamespace(log=served.platform.log, clock=server.clock, items=store)
    kind = Kind(item=Item, example={"thing_id": 9})
    server.add(replace(served, platform=cast(Platform, platform), item=kind))
    yield TestClient(server.app)
    server.close()


def test_what_is_taken_is_counted_and_written(client: TestClient, store: ItemStore) -> None:
    put = client.put("/toy/items", json={"items": [{"thing_id": 1}, {"thing_id": 2, "weight": 2.5}]})
    assert put.json() == {"accepted": 2, "version": 2}
    gone = client.request("DELETE", "/toy/items", json={"ids": [2, 3, 3]})
    assert gone.json() == {"accepted": 2, "version": 4}
    bodies = [(one.item_id, one.body) for one in store.changes(0)]
    assert bodies == [(1, b'{"thing_id":1,"weight":1.0}'), (2, None), (3, None)]


def test_a_full_batch_is_taken_and_one_more_is_not(client: TestClient, store: ItemStore) -> None:
    full = [{"thing_id": at} for at in range(MAX_BATCH)]
    assert client.put("/toy/items", json={"items": full}).json()["accepted"] == MAX_BATCH
    assert client.put("/toy/items", json={"items": [*full, {"thing_id": MAX_BATCH}]}).status_code == 422
    assert store.look().version == MAX_BATCH


def test_a_refusal_names_the_field_and_keeps_the_value_to_itself(client: TestClient, store: ItemStore) -> None:
    answer = client.put("/toy/items", json={"items": [{"thing_id": 1}, {"thing_id": 2, "weight": "zebra"}]})
    assert answer.status_code == 422 and "zebra" not in answer.text
    assert answer.json()["error"]["fields"][0]["field"] == "items.1.weight"
    twice = client.put("/toy/items", json={"items": [{"thing_id": 1}, {"thing_id": 1}]}).json()["error"]
    assert twice["fields"] == [{"field": "items.1.thing_id", "expected": "each id once in a batch"}]
    assert store.look().version == 0


def test_a_page_of_another_site_cannot_delete(client: TestClient) -> None:
    """A browser sends a form's text/plain anywhere unasked; for JSON, and for DELETE, it asks first, and nobody answers."""
    sent = client.request("DELETE", "/toy/items", content=b'{"ids": [1]}', headers={"content-type": "text/plain"})
    assert sent.status_code == 422
    asked = client.options("/toy/items", headers={"origin": "http://x", "access-control-request-method": "DELETE"})
    assert asked.status_code == 405 and "access-control-allow-origin" not in asked.headers


def test_the_pages_show_both(client: TestClient) -> None:
    api = client.get("/openapi.json").json()
    put, delete = (
        api["paths"]["/toy/items"][method]["requestBody"]["content"]["application/json"] for method in ("put", "delete")
    )
    assert put["example"] == {"items": [{"thing_id": 9}]} and delete["example"] == {"ids": [9]}
    assert put["schema"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/toy.Item"}
    assert set(api["components"]["schemas"]["toy.Item"]["properties"]) == {"thing_id", "weight"}
    wrong = client.post("/toy/items", json={})
    assert wrong.status_code == 405 and "DELETE or PUT" in wrong.json()["error"]["why"]


def test_a_case_that_takes_no_items_has_no_such_route(server: Server) -> None:
    client = TestClient(server.app)
    assert client.put("/toy/items", json={"items": [{"thing_id": 1}]}).status_code == 404
    assert "/toy/items" not in client.get("/openapi.json").json()["paths"]


def test_a_schema_says_what_it_takes_by_having_it() -> None:
    assert kind_of(SimpleNamespace()) is None
    kind = kind_of(SimpleNamespace(Item=Item, ITEM={"thing_id": 9}))
    assert kind is not None and kind.id_name == "thing_id"
