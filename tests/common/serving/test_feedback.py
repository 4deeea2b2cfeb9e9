"""What an event takes from the impression it follows: the server's word, whatever the client says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.contract import Event, EventKind, Platform
from common.errors import InputError
from common.features.live import LiveStore
from common.lifecycle.items import ItemStore
from common.lifecycle.log import EventLog
from common.serving import feedback, guards
from common.serving.clock import SimulatedClock

KINDS = {
    "impression": EventKind(keys=("request_id", "ad_id", "campaign_id"), values=("price_micros",), posted=False),
    "click": EventKind(
        keys=("request_id", "ad_id", "campaign_id", "user_id"),
        values=("charge_micros", "seconds"),
        follows=("impression", "request_id", "ad_id"),
        joined={"charge_micros": "price_micros", "campaign_id": "campaign_id"},
    ),
    "hide": EventKind(keys=("request_id", "ad_id")),
}
HANDED_ON = {  # a click that takes a key which every event has
    **KINDS,
    "click": replace(
        KINDS["click"],
        keys=(*KINDS["click"].keys, "shown_in"),
        joined={**KINDS["click"].joined, "shown_in": "request_id"},
    ),
}
TRUSTING = {**KINDS, "click": replace(KINDS["click"], follows=(), joined={})}
IMPRESSION = Event(
    event_id="impression-7-3",
    kind="impression",
    event_time=900,
    keys={"request_id": 7, "ad_id": 3, "campaign_id": 20},
    values={"price_micros": 500},
)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A log that knows one impression."""
    log, clock = EventLog.create(tmp_path / "log"), SimulatedClock()
    clock.set(1_000)
    log.append([IMPRESSION])
    items = ItemStore(tmp_path / "items.sqlite")
    made = Platform(store=LiveStore(tmp_path / "store.sqlite", ()), log=log, clock=clock, items=items)
    yield made
    made.close()


def click(event_id: str = "c", ad_id: int = 3, values: Mapping[str, int] | None = None, **keys: int) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "kind": "click",
        "keys": {"request_id": 7, "ad_id": ad_id, "user_id": 1, **keys},
        "values": {"seconds": 4} if values is None else dict(values),
    }


def batch(*events: Mapping[str, Any]) -> feedback.Batch:
    return guards.decode(feedback.BATCH, json.dumps({"events": events}).encode())


def post(
    platform: Platform, *events: Mapping[str, Any], kinds: Mapping[str, EventKind] = KINDS
) -> tuple[int, int, list[Event]]:
    """-> how many were new, how many known, what the log holds of them now."""
    given = feedback.take(batch(*events), kinds, platform)
    kept = platform.log.find([name_of(event, kinds) for event in events])
    return given.accepted, given.repeated, [event for event in kept if event is not None]


def name_of(event: Mapping[str, Any], kinds: Mapping[str, EventKind] = KINDS) -> str:
    """The id it has in the log."""
    keys = [event["keys"][name] for name in kinds[event["kind"]].follows[1:]]
    return "-".join([event["kind"], *map(str, keys)]) if keys else event["event_id"]


def test_what_is_joined_is_the_impressions_whatever_the_client_says(platform: Platform) -> None:
    also = {"request_id": 7, "ad_id": 4, "campaign_id": 21}
    platform.log.append([replace(IMPRESSION, event_id="impression-7-4", keys=also)])
    kept = post(platform, click("silent"), click("liar", ad_id=4, campaign_id=999))[2]
    assert [event.values for event in kept] == [{"charge_micros": 500, "seconds": 4}] * 2
    assert [event.keys["campaign_id"] for event in kept] == [20, 21]
    assert [event.keys["user_id"] for event in kept] == [1, 1], "what is not joined is the client's"


@pytest.mark.parametrize(
    ("posted", "kept"), [(0, 900), (899, 900), (900, 900), (950, 950), (1_060, 1_060), (None, 1_000)]
)
def test_nothing_is_earlier_than_what_it_follows(platform: Platform, posted: int | None, kept: int) -> None:
    """A client that dates its click back would have it billed in a window that is over."""
    when = {} if posted is None else {"event_time": posted}
    (event,) = post(platform, {**click(), **when})[2]
    assert event.event_time == kept
    believed = click("free", campaign_id=20, values={"charge_micros": 500, "seconds": 4})
    (free,) = post(platform, {**believed, **when}, kinds=TRUSTING)[2]  # negative control: what follows nothing
    assert free.event_time == (1_000 if posted is None else posted)


def test_an_event_that_follows_nothing_the_log_knows_keeps_its_time(platform: Platform) -> None:
    (event,) = post(platform, {**click(ad_id=4), "event_time": 5})[2]
    assert (event.event_time, event.values["charge_micros"]) == (5, 0)


def test_a_kind_that_joins_nothing_keeps_what_was_posted(platform: Platform) -> None:
    """Negative control: the same keys and values under a kind that trusts the client."""
    lie = click(campaign_id=999, values={"charge_micros": 1, "seconds": 4})
    (kept,) = post(platform, lie, kinds=TRUSTING)[2]
    assert (kept.values["charge_micros"], kept.keys["campaign_id"]) == (1, 999)


@pytest.mark.parametrize("charge", [0, 500, -5])
def test_a_joined_value_is_refused_with_one_sentence(platform: Platform, charge: int) -> None:
    with pytest.raises(guards.Refused) as refused:
        post(platform, click("good"), click("bad", values={"charge_micros": charge, "seconds": 4}))
    assert refused.value.problem["fields"] == [
        {"field": "events.1.values.charge_micros", "expected": "joined from the impression, never posted"}
    ]
    assert platform.log.end == 1, "the good event beside it was written"


def test_other_values_and_keys_are_still_asked_for(platform: Platform) -> None:
    bad = click(values={"secnds": 4})
    del bad["keys"]["user_id"]
    with pytest.raises(guards.Refused) as refused:
        post(platform, bad)
    expected = {field["field"]: field["expected"] for field in refused.value.problem["fields"]}
    assert set(expected) == {"events.0.keys.user_id", "events.0.values.seconds", "events.0.values.secnds"}
    assert "charge_micros" not in expected["events.0.values.secnds"], "a hint at a value that would be refused"


def test_a_click_on_no_impression_is_counted_and_never_billed(platform: Platform) -> None:
    posted = [click("silent", ad_id=4), click("says", ad_id=5, campaign_id=999)]
    accepted, _, kept = post(platform, *posted)
    assert accepted == 2
    assert [event.values["charge_micros"] for event in kept] == [0, 0]
    assert [event.keys.get("campaign_id", -1) for event in kept] == [-1, 999]
    assert post(platform, *posted)[:2] == (0, 2)


def test_an_event_of_another_kind_under_the_impressions_id_is_no_impression(platform: Platform) -> None:
    """Whoever posts an event that follows nothing chooses its id. Here one stands where an impression is looked for."""
    post(platform, {"event_id": "impression-7-4", "kind": "hide", "keys": {"request_id": 7, "ad_id": 4}})
    (kept,) = post(platform, click(ad_id=4), kinds=HANDED_ON)[2]
    assert "campaign_id" not in kept.keys and "shown_in" not in kept.keys
    assert kept.values["charge_micros"] == 0
    (real,) = post(platform, click(), kinds=HANDED_ON)[2]
    assert real.keys["shown_in"] == 7  # negative control: from an impression it is taken


def test_a_key_the_impression_lacks_is_not_the_clients_to_fill(platform: Platform) -> None:
    keys = {"request_id": 7, "ad_id": 4}
    platform.log.append([replace(IMPRESSION, event_id="impression-7-4", keys=keys)])
    (kept,) = post(platform, click(ad_id=4, campaign_id=999))[2]
    assert "campaign_id" not in kept.keys
    assert kept.values["charge_micros"] == 500


def test_posting_twice_is_counted_once(platform: Platform) -> None:
    assert post(platform, click(), click(campaign_id=999))[:2] == (1, 1), "twice in one batch"
    accepted, repeated, (kept,) = post(platform, click(campaign_id=5))
    assert (accepted, repeated) == (0, 1)
    assert kept.keys["campaign_id"] == 20


def test_one_impression_is_billed_once_under_however_many_ids(platform: Platform) -> None:
    """Also when the second click says something else, in the same batch or a later one: the first stands."""
    other = click("b", values={"seconds": 9}, user_id=2)
    assert post(platform, click("a"), other)[:2] == (1, 1)
    accepted, repeated, (kept,) = post(platform, {**other, "event_id": "c"})
    assert (accepted, repeated, kept.values, kept.keys["user_id"]) == (0, 1, {"charge_micros": 500, "seconds": 4}, 1)
    assert billed(platform) == 500
    assert platform.log.find(["a", "b", "c"]) == [None] * 3, "the client's ids are not kept"


def test_a_kind_that_follows_nothing_is_counted_under_every_id(platform: Platform) -> None:
    """Negative control: what a client that makes ids up could bill, were they believed."""
    believed = [click(name, campaign_id=20, values={"charge_micros": 500, "seconds": 4}) for name in "abc"]
    assert post(platform, *believed, kinds=TRUSTING)[:2] == (3, 0)
    assert billed(platform) == 1500


def billed(platform: Platform) -> int:
    return sum(int(stretch.values["charge_micros"].sum()) for stretch in platform.log.scan())


def test_a_retry_stays_a_retry_when_its_impression_has_come_since(platform: Platform) -> None:
    """A stage that logs late: the click came before its impression and was not billed. Posted again, the first event stands."""
    post(platform, click("early", ad_id=4))
    late = [
        replace(IMPRESSION, event_id=f"impression-7-{ad}", keys={"request_id": 7, "ad_id": ad, "campaign_id": 20})
        for ad in (4, 5)
    ]
    platform.log.append(late)
    accepted, repeated, (early, fresh) = post(platform, click("early", ad_id=4), click("fresh", ad_id=5))
    assert (accepted, repeated) == (1, 1)
    assert (early.values["charge_micros"], fresh.values["charge_micros"]) == (0, 500)


def test_the_same_id_with_other_content_is_still_refused(platform: Platform) -> None:
    """Of a kind that follows nothing, and of one that stands where a click would be named."""
    hide = {"event_id": "click-7-3", "kind": "hide", "keys": {"request_id": 7, "ad_id": 3}}
    post(platform, hide)
    with pytest.raises(InputError, match="'click-7-3' is in the log already with other content"):
        post(platform, {**hide, "keys": {"request_id": 7, "ad_id": 4}})
    with pytest.raises(InputError, match="'click-7-3' is in the log already with other content"):
        post(platform, click())


def test_a_full_batch_is_joined_by_one_query(platform: Platform) -> None:
    keys = {"request_id": 7, "campaign_id": 20}
    posted = [click(f"c{i}", ad_id=i) for i in range(feedback.MAX_BATCH)]
    platform.log.append(
        [
            replace(IMPRESSION, event_id=f"impression-7-{i}", keys={**keys, "ad_id": i}, values={"price_micros": i})
            for i in range(10, feedback.MAX_BATCH)
        ]
    )
    asked: list[str] = []
    platform.log._tail._reader.set_trace_callback(lambda sql: asked.append(sql) if "event_id" in sql else None)
    feedback.take(batch(*posted), KINDS, platform)
    assert len(asked) == 1
    platform.log._tail._reader.set_trace_callback(None)
    kept = platform.log.find([name_of(event) for event in posted])
    assert [event.values["charge_micros"] for event in kept if event] == [
        0, 0, 0, 500, 0, 0, 0, 0, 0, 0, *range(10, feedback.MAX_BATCH),
    ]  # fmt: skip


def test_kinds_that_join_nothing_ask_the_log_nothing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(event_ids: object) -> None:
        raise AssertionError(event_ids)

    with monkeypatch.context() as patched:
        patched.setattr(platform.log, "find", find)
        hide = {"event_id": "h", "kind": "hide", "keys": {"request_id": 7, "ad_id": 3}}
        feedback.take(batch(hide), KINDS, platform)
    assert platform.log.end == 2


def test_the_example_leaves_out_what_is_joined_and_is_accepted(platform: Platform) -> None:
    example = feedback.example({"click": KINDS["click"]})
    (event,) = example["events"]
    assert event["values"] == {"seconds": 1}
    assert set(event["keys"]) == {"request_id", "ad_id", "user_id"}
    assert post(platform, event)[0] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joined": {"price": "price"}, "follows": ("impression", "ad_id")}, "not among keys or values"),
        ({"joined": {"seconds": "price"}}, "follows nothing"),
        ({"follows": ("impression", "slot_id")}, "may leave out"),
        ({"follows": ("impression", "topic_id")}, "may leave out"),
        ({"follows": ("impression", "ad_id"), "joined": {"ad_id": "ad_id"}}, "may leave out"),
    ],
)
def test_a_kind_that_cannot_be_joined_is_our_mistake(changes: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"keys": ("ad_id", "topic_id"), "values": ("seconds",), "optional": ("topic_id",)}
    EventKind(**whole, follows=("impression", "ad_id"), joined={"seconds": "price", "topic_id": "topic_id"})
    with pytest.raises(AssertionError, match=message):
        EventKind(**whole, **changes)


def test_kinds_are_compared_and_hashed_by_what_they_say() -> None:
    assert len({*KINDS.values(), *TRUSTING.values()}) == 4
    assert hash(KINDS["click"]) == hash(replace(KINDS["click"], joined=dict(KINDS["click"].joined)))
    assert KINDS["click"] != replace(KINDS["click"], joined={"charge_micros": "bid_micros"})
