"""People from outside: they do what was planted, a click first and a conversion after it, and the same again under the same seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from ad_click import schema, simulate, world
from ad_click.config import SMOKE, Config
from common.contract import Event, Timings
from common.errors import InputError

SINCE = world.START + SMOKE.days * world.DAY


def played(config: Config, num_visits: int = 800) -> list[tuple[simulate.Visit, list[Event]]]:
    """Every visitor is shown the same forty ads: what they do is theirs alone."""
    found = []
    for number, visit in enumerate(islice(simulate.visits(config, SINCE, SINCE + world.DAY), num_visits)):
        found.append((visit, visit.react(answer(number, world.plant(config)))))
    return found


def answer(request_id: int, truth: world.Truth) -> schema.Answer:
    ads = [
        schema.ShownAd(
            ad_id=ad_id, campaign_id=0, advertiser_id=0, topic_id=0, slot=0, probability=0.02, pricing="cpc",
            bid_micros=1, price_micros=1, charge_micros=0,
        )
        for ad_id in range(0, len(truth.catalog), len(truth.catalog) // 40)
    ]  # fmt: skip
    nothing = Timings(total=0.0, stages=[])
    return schema.Answer(request_id=request_id, model_version="1", degraded=[], timings_ms=nothing, why=[], ads=ads)


def count(reactions: list[tuple[simulate.Visit, list[Event]]]) -> Counter[str]:
    return Counter(event.kind for _, events in reactions for event in events)


@pytest.mark.slow
def test_a_conversion_comes_after_its_click_as_often_as_planted() -> None:
    reactions, truth = played(SMOKE), world.plant(SMOKE)
    expected = []
    for visit, events in reactions:
        clicked = {event.keys["ad_id"]: event for event in events if event.kind == "click"}
        for event in events:
            if event.kind == "conversion":
                assert event.event_time > clicked[event.keys["ad_id"]].event_time > visit.event_time
        ads = np.array(sorted(clicked), dtype=np.int64)
        expected += truth.conversion_probability(np.full(len(ads), visit.user_id), ads).tolist()
    planted, converted = np.array(expected), count(reactions)["conversion"]
    spread = np.sqrt((planted * (1 - planted)).sum())
    assert len(planted) > 300 and abs(converted - planted.sum()) < 4 * spread
    assert abs(converted - 2 * planted.sum()) > 4 * spread  # control


def test_what_is_posted_is_what_the_schema_lets_a_client_say() -> None:
    for _, events in played(SMOKE, 100):
        for event in events:
            kind = schema.EVENTS[event.kind]
            assert set(event.keys) == {"request_id", "user_id", "ad_id"} and not event.values and kind.posted
            assert event.event_id == f"{event.kind}-{event.keys['request_id']}-{event.keys['ad_id']}"


def test_the_same_people_do_the_same_again() -> None:
    again = [events for _, events in played(SMOKE, 50)]
    assert again == [events for _, events in played(SMOKE, 50)]
    assert again != [events for _, events in played(replace(SMOKE, seed=1), 50)]


@pytest.mark.slow
def test_lost_clicks_are_two_in_three() -> None:
    healthy, lost = count(played(SMOKE)), count(played(replace(SMOKE, drift="clicks_lost")))
    assert 0.2 < lost["click"] / healthy["click"] < 0.5
    assert abs(lost["hide"] - healthy["hide"]) < 4 * np.sqrt(healthy["hide"] + 1)


def test_who_saw_an_ad_often_tires_of_it() -> None:
    truth = world.plant(SMOKE)
    visit = next(simulate.visits(SMOKE, SINCE, SINCE + world.DAY))
    fresh = visit._click_probability(answer(1, truth))
    for ad in answer(1, truth).ads:
        visit.seen[visit.user_id, ad.ad_id] += 10
    assert np.allclose(visit._click_probability(answer(1, truth)), fresh * simulate.TIRES**10)


def test_the_page_says_what_the_drift_leaves_it() -> None:
    def said(drift: str) -> schema.Request:
        return next(simulate.visits(replace(SMOKE, drift=drift), SINCE, SINCE + world.DAY)).request()

    plain = said("none")
    assert set(plain.categories) == {"country", "device"} and set(plain.numbers) == {"age"}
    assert set(said("device_missing").categories) == {"country"}
    assert said("new_country").categories["country"] == "x" + plain.categories["country"]


def test_an_unknown_drift_is_refused() -> None:
    with pytest.raises(InputError, match=r"drift='tast_shift'\. Did you mean 'taste_shift'"):
        next(simulate.visits(replace(SMOKE, drift="tast_shift"), SINCE, SINCE + 1))
