"""Over HTTP: an event changes the next answer to exactly what the offline join gives; every loss of quality is labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ad_click import data, features, schema, serve
from ad_click.config import Config
from ad_click.drills import DRILLS
from ad_click.features.items import merged
from common.contract import Event
from common.events import concat, take
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


def spent(running: Running, campaign_id: int) -> int:
    """Micros of the campaign's budget that are owed or set aside, as the next answer reads it."""
    with running.platform.store.snapshot() as store:
        read = store.read(features.SPEND, np.array([campaign_id]), np.array([store.position]))
        as_of = AsOfStore(concat(list(running.platform.log.scan()))).read(
            features.SPEND, np.array([campaign_id]), np.array([store.position])
        )
    assert np.array_equal(read, as_of)
    return int(serve.spent_of(read)[0])


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
    aside = expected(running, answer, slot)
    before = spent(running, ad["campaign_id"]) - aside
    end = running.platform.log.end
    lie = dict.fromkeys(schema.SHOWN[3:], 10**6)
    assert react(running, answer, slot=slot, keys=lie)["accepted"] == 1
    (logged,) = running.platform.log.find([f"click-{answer['request_id']}-{ad['ad_id']}"])
    assert logged is not None
    assert logged.values == {"charge_micros": ad["price_micros"], "expected_micros": aside}
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


def test_a_click_dated_back_is_charged_and_counts_all_the_same(running: Running) -> None:
    """The client's clock decides neither what is owed nor the label."""
    answer, slot = ask_for(running, "cpc")
    ad = answer["ads"][slot]
    before = spent(running, ad["campaign_id"]) - expected(running, answer, slot)
    assert react(running, answer, slot=slot, event_time=0)["accepted"] == 1
    assert spent(running, ad["campaign_id"]) == before + ad["price_micros"]
    log = concat(list(running.platform.log.scan()))
    log = take(log, np.flatnonzero(log.keys["request_id"] == answer["request_id"]))
    assert data.labels.join(log, 86_400).label.tolist() == [float(one["slot"] == slot) for one in answer["ads"]]


@pytest.mark.parametrize("is_clicked", [True, False])
def test_what_was_shown_is_set_aside_until_its_click_is_in_or_its_hour_is_over(
    running: Running, later: Callable[[int], None], is_clicked: bool
) -> None:
    """Shown at the end of an hour, it is set aside through the next one, in which the click may come; then nothing but the click is owed."""
    later(
        3_600 - running.clock.now() % 3_600 + 3 * 3_600 - 1
    )  # the last second of an hour, and nothing older set aside
    campaigns = running.service.catalog.campaign_id
    nothing = {int(one): spent(running, int(one)) for one in np.unique(campaigns)}
    answer, slot = ask_for(running, "cpc")
    ad = answer["ads"][slot]
    shown_before, aside = nothing[ad["campaign_id"]], expected(running, answer, slot)
    assert aside == round(ad["probability"] * ad["price_micros"]) > 0
    assert spent(running, ad["campaign_id"]) == shown_before + aside
    later(1_800)
    assert spent(running, ad["campaign_id"]) == shown_before + aside, (
        "the hour of the clock is over, the reservation is not"
    )
    owed = 0
    if is_clicked:
        owed = ad["price_micros"]
        assert react(running, answer, slot=slot)["accepted"] == 1
        assert spent(running, ad["campaign_id"]) == shown_before + owed
    later(3_600)
    assert spent(running, ad["campaign_id"]) == shown_before + owed


def test_a_click_after_its_reservation_is_over_frees_nothing_that_is_owed(
    running: Running, later: Callable[[int], None]
) -> None:
    answer, slot = ask_for(running, "cpc")
    ad = answer["ads"][slot]
    later(3 * 3_600)
    before = spent(running, ad["campaign_id"])
    assert react(running, answer, slot=slot)["accepted"] == 1
    assert spent(running, ad["campaign_id"]) == before + ad["price_micros"]


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


def test_a_campaign_that_is_spent_is_named_in_why(running: Running, later: Callable[[int], None]) -> None:
    """It leaves before anything is scored, and `why` says so, in words that are right for CPM too: three ads at most, the dearest."""
    later(25 * 3_600)
    request = schema.Request(**dict(schema.EXAMPLE))
    service, catalog = running.service, running.service.catalog
    assert out_of_budget(ask(running), "candidates") == [], "control: nobody has spent anything"
    wanted = service._wanted(request, running.clock.now())
    dearest = int(wanted[service._cpm[wanted]][0])
    campaign = int(catalog.campaign_id[dearest])
    pay(running, campaign, int(catalog.budget_micros[dearest]))
    answer = ask(running)
    lines = [line for line in answer["why"] if line["stage"] == "candidates"]
    spent_ads = wanted[catalog.campaign_id[wanted] == campaign]  # dearest first
    assert [line["item"] for line in lines] == catalog.ad_id[spent_ads][:3].tolist()
    assert {line["reason"] for line in lines} == {"budget"} and answer["degraded"] == []
    assert [line["effect"] for line in lines] == [-round(float(one), 3) for one in service._worth[spent_ads][:3]]
    assert all("cannot pay its next click or impression" in line["evidence"] for line in lines)


def test_who_fits_is_what_a_loop_over_the_ads_says(running: Running) -> None:
    catalog, rng = running.service.catalog, np.random.default_rng(0)
    target, numbers = catalog.categories["target_country"].tolist(), catalog.numbers
    for country in [*sorted(set(target)), "nowhere", None]:
        age = float(rng.integers(13, 90))
        said = {} if country is None else {"country": country}
        request = schema.Request(user_id=1, numbers={"age": age}, categories=said)
        fits = [
            one in ("", country) and numbers["min_age"][at] <= age <= numbers["max_age"][at]
            for at, one in enumerate(target)
        ]
        wanted = running.service._wanted(request, running.now)
        assert set(wanted.tolist()) == set(np.flatnonzero(fits & (numbers["start_time"] <= running.now)).tolist())


def test_codes_are_those_of_each_column_also_of_an_ad_the_catalogue_lacks(running: Running) -> None:
    service, catalog = running.service, running.service.catalog
    without = merged(catalog, {int(catalog.ad_id[0]): None})
    made = service.features.over(without, np.array([], dtype=np.int64))
    place = np.arange(50)
    rows = service._rows(schema.Request(**schema.EXAMPLE), place, running.now, 0)
    with running.platform.store.snapshot() as store:
        inputs = made.inputs(rows, store)
    known = made.vocabularies["ad_id"].encode(catalog.ad_id[place])
    assert known[0] and np.array_equal(inputs.codes[:, inputs.code_names.index("ad_id")], known)
    topics = made.vocabularies["topic_id"].encode(np.append(-1, catalog.topic_id[place[1:]]))
    assert np.array_equal(inputs.codes[:, inputs.code_names.index("topic_id")], topics)


def test_however_many_campaigns_are_spent_as_many_ads_are_looked_at(
    running: Running, few: None, later: Callable[[int], None]
) -> None:
    """More than half of the dearest are spent: twice as many ads as are scored would not do."""
    request, now = (
        schema.Request(user_id=46, **{k: v for k, v in schema.EXAMPLE.items() if k != "user_id"}),
        running.now,
    )
    service, catalog = running.service, running.service.catalog
    wanted, most = service._wanted(request, now), service.config.num_candidates
    assert len(wanted) > 4 * most
    for campaign in np.unique(catalog.campaign_id[wanted[: 3 * most]]).tolist():
        pay(running, campaign, int(catalog.budget_micros[catalog.campaign_id == campaign].max()))
    found = looked_at(running, request, now)
    places = np.flatnonzero(np.isin(catalog.ad_id[wanted], found))
    assert len(found) == most and places.min() >= 3 * most
    for campaign in np.unique(catalog.campaign_id).tolist():
        pay(running, campaign, int(catalog.budget_micros[catalog.campaign_id == campaign].max()))
    assert looked_at(running, request, now) == [], "none is left"
    answer = ask(running, user_id=46)
    assert (
        answer["degraded"] == ["candidates"] and answer["ads"] == [] and len(out_of_budget(answer, "candidates")) == 3
    )
    later(25 * 3_600)
    assert len(ask(running, user_id=46)["ads"]) == 3, "control: a day later they can pay again"


def out_of_budget(answer: dict[str, Any], stage: str) -> list[int]:
    """Ads that `why` says were left out for their budget by this stage."""
    return [line["item"] for line in answer["why"] if (line["stage"], line["reason"]) == (stage, "budget")]


def test_an_ad_that_can_no_longer_pay_its_click_says_so(running: Running, later: Callable[[int], None]) -> None:
    """A micro is left: its campaign is not spent, and cannot pay the next click."""
    later(25 * 3_600)
    catalog = running.service.catalog
    while poor := out_of_budget(ask(running, user_id=43, num_slots=20), "auction"):  # whose budgets are below one bid
        place = int(catalog.find(np.array(poor))[0])
        pay(running, int(catalog.campaign_id[place]), int(catalog.budget_micros[place]))
    answer, slot = ask_for(running, "cpc", user_id=43)
    ad = answer["ads"][slot]
    assert out_of_budget(answer, "auction") == [], "control"
    budget = int(catalog.budget_micros[catalog.find(np.array([ad["ad_id"]]))[0]])
    pay(running, ad["campaign_id"], budget - spent(running, ad["campaign_id"]) - 1)
    again = ask(running, user_id=43)
    named = catalog.find(np.array(out_of_budget(again, "auction")))
    assert ad["ad_id"] not in shown(again)
    assert set(catalog.campaign_id[named].tolist()) == {ad["campaign_id"]}


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


def expected(running: Running, answer: dict[str, Any], slot: int) -> int:
    """What was set aside for the click of this ad."""
    (logged,) = running.platform.log.find([f"impression-{answer['request_id']}-{answer['ads'][slot]['ad_id']}"])
    assert logged is not None
    return logged.values["expected_micros"]


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
def later(running: Running) -> Iterator[Callable[[int], None]]:
    """Moves the clock on, and the log's with it."""

    def move(seconds: int) -> None:
        running.clock.set(running.clock.now() + seconds)
        nobody = {
            "event_id": f"later-{running.platform.log.end}",
            "kind": "hide",
            "keys": {"request_id": 1, "ad_id": running.platform.log.end},
        }
        assert running.client.post("/ad_click/events", json={"events": [nobody]}).status_code == 200

    yield move
    running.now = running.clock.now()


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


def test_without_features_every_ad_has_the_rate_of_slot_0(running: Running, tiny: Config) -> None:
    """The last rung says what the auction asks for: a click in slot 0. Over all slots it would be a third less, and prices a half more."""
    train = data.load(tiny).train
    rate, of_all = train.label[train.numbers["slot"] == 0].mean(), train.label.mean()
    end = running.platform.log.end
    running.service.stages.faults["features"] = Fault("fail")
    try:
        answer = ask(running)
    finally:
        del running.service.stages.faults["features"]
    logged = concat(list(running.platform.log.scan(end)))
    given = logged.values["probability_ppm"] / np.array(running.service.policy.slot_multipliers)[logged.values["slot"]]
    assert answer["degraded"] == ["features"] and len(given) == 3
    assert given == pytest.approx(1e6 * rate, rel=0.02)
    assert given.max() > 1.3e6 * of_all  # control: the rate of all slots is far from it


def test_bad_requests_are_refused(running: Running) -> None:
    for body in ({}, {"user_id": -1}, {"user_id": "42"}, {"user_id": 42, "page": 1}, {"user_id": 42, "num_slots": 0}):
        assert running.client.post("/ad_click/auction", json=body).status_code == 422
