"""Over HTTP: an event changes the next answer to exactly what the offline join gives; every loss of quality is labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ad_click import data, schema
from ad_click.drills import DRILLS
from common.events import concat
from common.features.asof import AsOfStore
from common.serving.deadline import Fault
from tests.ad_click.conftest import Running

pytestmark = pytest.mark.slow


def ask(running: Running, **changes: Any) -> dict[str, Any]:
    answer = running.client.post("/ad_click/auction", json={**schema.EXAMPLE, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def click(running: Running, answer: dict[str, Any], kind: str = "click") -> None:
    ad = answer["ads"][0]
    keys = {"request_id": answer["request_id"], "user_id": 42} | {key: ad[key] for key in schema.SHOWN[2:]}
    values = {"price_micros": ad["price_micros"]} if kind == "click" else {}
    event = {"event_id": f"{kind}-{answer['request_id']}", "kind": kind, "keys": keys, "values": values}
    assert running.client.post("/ad_click/events", json={"events": [event]}).json()["accepted"] == 1


def test_an_answer_is_whole_and_not_degraded(running: Running) -> None:
    answer = ask(running)
    assert answer["degraded"] == [] and len(answer["ads"]) == 3
    assert len({ad["advertiser_id"] for ad in answer["ads"]}) == 3
    assert all(ad["price_micros"] <= ad["bid_micros"] for ad in answer["ads"])


def test_an_event_moves_the_next_answer_to_what_the_offline_join_gives(running: Running) -> None:
    service = running.service
    before = ask(running)
    click(running, before)
    after = ask(running)
    log = concat(list(running.platform.log.scan()))
    shown = data.labels.join(log, 86_400)
    mine = np.flatnonzero(np.isin(log.keys["request_id"][data.labels.impressions(log)], [after["request_id"]]))
    rows = shown.take(mine)
    request = schema.Request(**dict(schema.EXAMPLE))
    served = service._rows(request, service.catalog.find(rows.ad_id), running.now, int(rows.moment[0]))
    offline = service.features.inputs(served, AsOfStore(log))
    probability = service.model.score(offline) * np.array(service.policy.slot_multipliers)
    assert [ad["probability"] for ad in after["ads"]] == probability.tolist()
    clicks = offline.number_names.index("user.click")
    earlier = service._rows(request, service.catalog.find(rows.ad_id), running.now, int(rows.moment[0]) - 1)
    assert offline.numbers[0, clicks] >= 1
    assert service.features.inputs(earlier, AsOfStore(log)).numbers[0, clicks] == offline.numbers[0, clicks] - 1


def test_a_hidden_ad_is_not_shown_again(running: Running) -> None:
    answer = ask(running)
    click(running, answer, "hide")
    assert answer["ads"][0]["ad_id"] not in [ad["ad_id"] for ad in ask(running)["ads"]]


def test_spent_money_is_known_from_the_events(running: Running) -> None:
    answer = ask(running, user_id=43)
    ad = answer["ads"][0]
    budget = int(service_budget(running, ad["ad_id"]))
    keys = {"request_id": answer["request_id"], "user_id": 43} | {key: ad[key] for key in schema.SHOWN[2:]}
    event = {"event_id": "spend-it-all", "kind": "click", "keys": keys, "values": {"price_micros": budget}}
    assert running.client.post("/ad_click/events", json={"events": [event]}).json()["accepted"] == 1
    again = ask(running, user_id=43)
    assert ad["ad_id"] not in [shown["ad_id"] for shown in again["ads"]]
    assert any(why["reason"] == "budget" for why in again["why"])


def service_budget(running: Running, ad_id: int) -> int:
    catalog = running.service.catalog
    return int(catalog.budget_micros[catalog.find(np.array([ad_id]))[0]])


def test_cold_missing_and_unknown_are_labelled(running: Running) -> None:
    assert ask(running, user_id=2_000_000)["degraded"] == ["user"]
    assert ask(running, categories={"country": "c0"})["degraded"] == ["context"]
    assert ask(running, categories={"country": "c0", "device": "fridge"})["degraded"] == ["context"]
    assert ask(running, numbers={})["degraded"] == ["context"]


@pytest.mark.parametrize("name", DRILLS)
def test_a_broken_stage_is_labelled_and_answered(running: Running, name: str) -> None:
    """And `notices` tells the truth: the monitor can see it where an impression was logged, and nowhere else."""
    drill, end = DRILLS[name], running.platform.log.end
    running.service.stages.faults[drill.stage] = Fault(drill.fault, ms=1_000)
    limits, running.service.stages.limits_ms[drill.stage] = running.service.stages.limits_ms[drill.stage], 50.0
    try:
        answer = ask(running)
    finally:
        del running.service.stages.faults[drill.stage]
        running.service.stages.limits_ms[drill.stage] = limits
    assert answer["degraded"] == [drill.stage]
    assert len(answer["ads"]) == (0 if drill.stage in ("candidates", "store") else 3)
    assert running.platform.log.end - end == len(answer["ads"])
    assert ("the alert `degraded`" in drill.notices) == bool(answer["ads"])


def test_bad_requests_are_refused(running: Running) -> None:
    for body in ({}, {"user_id": -1}, {"user_id": "42"}, {"user_id": 42, "page": 1}, {"user_id": 42, "num_slots": 0}):
        assert running.client.post("/ad_click/auction", json=body).status_code == 422
