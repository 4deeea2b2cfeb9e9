"""Over HTTP: an event changes the next answer to exactly what the offline join gives; every loss of quality is labelled."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ad_click import data, features, schema
from ad_click.drills import DRILLS
from common.contract import Event
from common.events import concat
from common.features.asof import AsOfStore
from common.lifecycle.follow import catch_up
from common.serving.deadline import Fault
from tests.ad_click.conftest import Running

pytestmark = pytest.mark.slow


def ask(running: Running, **changes: Any) -> dict[str, Any]:
    answer = running.client.post("/ad_click/auction", json={**schema.EXAMPLE, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def react(running: Running, answer: dict[str, Any], kind: str = "click", slot: int = 0, **said: Any) -> dict[str, int]:
    """Posts what a person does with the ad in this slot; `said` adds to the event or replaces what it says."""
    ad_id = answer["ads"][slot]["ad_id"]
    keys = {"request_id": answer["request_id"], "user_id": 42, "ad_id": ad_id, **said.pop("keys", {})}
    event = {"event_id": f"{kind}-{answer['request_id']}", "kind": kind, "keys": keys, **said}
    taken = running.client.post("/ad_click/events", json={"events": [event]})
    assert taken.status_code == 200, taken.text
    return taken.json()  # type: ignore[no-any-return]


def spent(running: Running, campaign_id: int) -> float:
    """Micros of the campaign's budget that are owed or set aside, as the next answer reads it."""
    with running.platform.store.snapshot() as store:
        return float(store.read(features.SPEND, np.array([campaign_id]), np.array([store.position])).sum())


def test_an_answer_is_whole_and_not_degraded(running: Running) -> None:
    answer = ask(running)
    assert answer["degraded"] == [] and len(answer["ads"]) == 3
    assert len({ad["advertiser_id"] for ad in answer["ads"]}) == 3
    for ad in answer["ads"]:
        owed, other = ("charge_micros", "price_micros") if ad["pricing"] == "cpm" else ("price_micros", "charge_micros")
        assert 0 < ad[owed] <= ad["bid_micros"] and ad[other] == 0


def test_an_event_moves_the_next_answer_to_what_the_offline_join_gives(running: Running) -> None:
    service = running.service
    before = ask(running)
    assert react(running, before)["accepted"] == 1
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
    clicks = offline.number_names.index("user.decayed_click_72")
    earlier = service._rows(request, service.catalog.find(rows.ad_id), running.now, int(rows.moment[0]) - 1)
    assert offline.numbers[0, clicks] >= 1
    without = service.features.inputs(earlier, AsOfStore(log)).numbers[0, clicks]
    assert offline.numbers[0, clicks] == pytest.approx(without + 1)


def test_a_hidden_ad_is_not_shown_again(running: Running) -> None:
    answer = ask(running)
    hidden = answer["ads"][0]["ad_id"]
    assert react(running, answer, "hide")["accepted"] == 1
    again = ask(running)
    assert hidden not in shown(again) and [line["reason"] for line in again["why"] if line["item"] == hidden] in (
        ["hidden"],
        [],
    )
    assert "hidden" in {line["reason"] for line in again["why"]}


def test_a_clicks_charge_comes_from_its_impression_whatever_the_client_says(running: Running) -> None:
    answer, slot = ask_for(running, "cpc")
    ad = answer["ads"][slot]
    before = spent(running, ad["campaign_id"])
    end = running.platform.log.end
    lie = dict.fromkeys(schema.SHOWN[3:], 10**6)
    assert react(running, answer, slot=slot, keys=lie)["accepted"] == 1
    (logged,) = running.platform.log.find([f"click-{answer['request_id']}-{ad['ad_id']}"])
    assert logged is not None and logged.values == {"charge_micros": ad["price_micros"]}
    assert {name: logged.keys[name] for name in schema.SHOWN[3:]} == {name: ad[name] for name in schema.SHOWN[3:]}
    assert spent(running, ad["campaign_id"]) == before + ad["price_micros"] > before
    again = react(running, answer, slot=slot, event_id="another id", keys={"user_id": 43})
    assert (again["accepted"], again["repeated"]) == (0, 1), "one impression, one click to pay for"
    assert spent(running, ad["campaign_id"]) == before + ad["price_micros"] and running.platform.log.end == end + 1
    priced = {"values": {"charge_micros": 1}}
    event = {"event_id": "e", "kind": "click", "keys": {"request_id": 1, "user_id": 42, "ad_id": 1}, **priced}
    assert running.client.post("/ad_click/events", json={"events": [event]}).status_code == 422


def test_an_impression_is_charged_at_once_and_its_click_costs_nothing(running: Running) -> None:
    answer, slot = ask_for(running, "cpm")
    ad = answer["ads"][slot]
    (logged,) = running.platform.log.find([f"impression-{answer['request_id']}-{ad['ad_id']}"])
    assert logged is not None and logged.values["charge_micros"] == ad["charge_micros"] > 0
    before = spent(running, ad["campaign_id"])
    assert react(running, answer, slot=slot)["accepted"] == 1
    assert spent(running, ad["campaign_id"]) == before


def test_what_was_shown_is_set_aside_until_its_clicks_are_in(running: Running) -> None:
    answer, slot = ask_for(running, "cpc")
    ad = answer["ads"][slot]
    (logged,) = running.platform.log.find([f"impression-{answer['request_id']}-{ad['ad_id']}"])
    assert logged is not None and logged.values["expected_micros"] == round(ad["probability"] * ad["price_micros"]) > 0


def test_a_click_on_no_impression_costs_nobody_anything(running: Running) -> None:
    """Negative control: a click on an answer nobody gave, for a campaign of the client's choice."""
    answer, slot = ask_for(running, "cpc")
    campaign_id = answer["ads"][slot]["campaign_id"]
    before = spent(running, campaign_id)
    made_up = {"request_id": 12345, "campaign_id": campaign_id}
    assert react(running, answer, slot=slot, keys=made_up)["accepted"] == 1
    assert spent(running, campaign_id) == before


def test_a_campaign_that_is_spent_leaves_and_its_place_is_refilled(running: Running, few: None) -> None:
    """All of its ads leave; others that were not among the candidates come in, so as many are looked at as before."""
    request, now = schema.Request(**dict(schema.EXAMPLE)), running.now
    service, catalog = running.service, running.service.catalog
    answer = ask(running)
    ad = answer["ads"][0]
    before = looked_at(running, request, now)
    pay(running, ad["campaign_id"], int(catalog.budget_micros[catalog.find(np.array([ad["ad_id"]]))[0]]))
    after = looked_at(running, request, now)
    gone, come = set(before) - set(after), set(after) - set(before)
    assert {int(catalog.campaign_id[catalog.find(np.array([one]))[0]]) for one in gone} == {ad["campaign_id"]}
    assert len(before) == len(after) == service.config.num_candidates and len(come) == len(gone) > 0
    again = ask(running)
    assert ad["ad_id"] not in shown(again) and len(again["ads"]) == len(answer["ads"])


def test_an_ad_that_can_no_longer_pay_its_click_says_so(running: Running) -> None:
    answer, slot = ask_for(running, "cpc", user_id=43)
    ad, catalog = answer["ads"][slot], running.service.catalog
    budget = int(catalog.budget_micros[catalog.find(np.array([ad["ad_id"]]))[0]])
    pay(running, ad["campaign_id"], budget - int(spent(running, ad["campaign_id"])) - 1)
    again = ask(running, user_id=43)
    assert ad["ad_id"] not in shown(again)
    assert {line["reason"] for line in again["why"] if line["item"] == ad["ad_id"]} <= {"budget"}
    assert "budget" in {line["reason"] for line in again["why"]}


def test_nobody_is_shown_one_ad_more_often_than_allowed_in_a_day(running: Running) -> None:
    most = running.service.policy.rules.most_seen
    seen = Counter(ad for _ in range(3 * most) for ad in shown(ask(running, user_id=44)))
    assert max(seen.values()) == most, "capped, and the cap was reached"
    last = ask(running, user_id=44)
    assert not {ad for ad, times in seen.items() if times == most} & set(shown(last))
    assert "frequency" in {line["reason"] for line in last["why"]}
    capped = next(ad for ad, times in seen.items() if times == most)
    assert "frequency" not in {line["reason"] for line in ask(running, user_id=45)["why"]}, (
        f"{capped} is capped for 44 alone"
    )


def shown(answer: dict[str, Any]) -> list[int]:
    return [ad["ad_id"] for ad in answer["ads"]]


def ask_for(running: Running, pricing: str, **changes: Any) -> tuple[dict[str, Any], int]:
    """An answer with an ad of this pricing, and its slot; somebody else asks until there is one."""
    for user_id in (changes.pop("user_id", 42), *range(100, 160)):
        answer = ask(running, **{**changes, "user_id": user_id, "num_slots": 20})
        for slot, ad in enumerate(answer["ads"]):
            if ad["pricing"] == pricing:
                return answer, slot
    raise AssertionError(f"no {pricing} ad in any answer")


def pay(running: Running, campaign_id: int, micros: int) -> None:
    """A click that costs this much, as the server would have logged it."""
    event = Event(
        event_id=f"paid-{campaign_id}-{running.platform.log.end}",
        kind="click",
        event_time=running.platform.clock.now(),
        keys={"campaign_id": campaign_id},
        values={"charge_micros": micros},
    )
    running.platform.log.append([event])
    catch_up(running.platform.store, running.platform.log)


@pytest.fixture
def few(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer candidates than ads that fit."""
    monkeypatch.setattr(running.service, "config", replace(running.service.config, num_candidates=20))


def looked_at(running: Running, request: schema.Request, now: int) -> list[int]:
    service = running.service
    with running.platform.store.snapshot() as store:
        found = service._look_up(request, service._wanted(request, now), store)
    return service.catalog.ad_id[found.place].tolist()  # type: ignore[no-any-return]


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
