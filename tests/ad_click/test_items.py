"""Ads that come, change and go while the case is served: the catalogue is what it would be had they been there, and the auction keeps its rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from ad_click import schema, serve
from ad_click.features import Features
from ad_click.features.items import merged
from ad_click.features.text import BASE, prior_of, text_prior
from ad_click.schema import ITEM, Catalog, Item, Rows
from common.contract import Result
from common.features.asof import AsOfStore
from common.features.encoders import Vocabulary
from tests.ad_click.conftest import Running

if TYPE_CHECKING:
    from common import contract

    takes_items: contract.ItemsSchema = schema

WORDS = np.array(["red shoes", "blue shoes", "red hats", "green hats"])


def catalog(n: int = 40, seed: int = 0) -> Catalog:
    rng = np.random.default_rng(seed)
    campaign = rng.integers(0, n // 3, n)
    return Catalog(
        ad_id=np.arange(n) * 3,
        campaign_id=campaign,
        advertiser_id=campaign // 2,
        topic_id=rng.integers(0, 5, n),
        bid_micros=rng.integers(1, 10**6, n),
        budget_micros=10**6 * (1 + campaign),
        numbers={
            "start_time": rng.integers(0, 100, n).astype(float),
            "min_age": rng.choice([13.0, 18.0], n),
            "max_age": rng.choice([60.0, 120.0], n),
            "quality": rng.random(n),
        },
        categories={
            "pricing": rng.choice(["cpc", "cpm"], n),
            "target_country": rng.choice(["", "c0", "c1"], n),
            "title": rng.choice(WORDS, n),
        },
    )


def item_of(ads: Catalog, at: int, **changed: Any) -> Item:
    """The row as somebody would put it."""
    row: dict[str, Any] = {name: int(getattr(ads, name)[at]) for name in ("ad_id", "campaign_id", "advertiser_id", "topic_id", "bid_micros", "budget_micros")}  # fmt: skip
    row["numbers"] = {name: float(column[at]) for name, column in ads.numbers.items()}
    row["categories"] = {name: str(column[at]) for name, column in ads.categories.items()}
    return Item(**{**row, **changed})


def without(ads: Catalog, out: Sequence[int]) -> Catalog:
    kept = np.setdiff1d(np.arange(len(ads)), np.array(out, dtype=np.int64))
    rows = {f.name: getattr(ads, f.name)[kept] for f in fields(ads) if f.name not in ("numbers", "categories")}
    return Catalog(
        **rows,
        numbers={name: column[kept] for name, column in ads.numbers.items()},
        categories={name: column[kept] for name, column in ads.categories.items()},
    )


def same(ours: Catalog, theirs: Catalog) -> bool:
    flat = [
        {**{k: v for k, v in vars(one).items() if isinstance(v, np.ndarray)}, **one.numbers, **one.categories}
        for one in (ours, theirs)
    ]
    return flat[0].keys() == flat[1].keys() and all(np.array_equal(flat[0][name], flat[1][name]) for name in flat[0])


@pytest.mark.parametrize("seed", range(5))
def test_what_is_put_back_is_what_was_there(seed: int) -> None:
    """Take random ads out of a catalogue and put them as items: every column of it is back. Delete others: they are as if never there."""
    rng, ads = np.random.default_rng(seed), catalog(seed=seed)
    out = rng.permutation(len(ads))[:12].tolist()
    put = {int(ads.ad_id[at]): item_of(ads, at) for at in out[:6]}
    trained = without(ads, out[:3])  # three are new, three are put in their own place
    gone: dict[int, Item | None] = {int(ads.ad_id[at]): None for at in out[6:]}
    assert same(merged(trained, put), ads)
    assert same(merged(trained, {**put, **gone}), without(ads, out[6:]))
    assert same(merged(trained, {}), trained)
    everything = merged(ads, dict.fromkeys(ads.ad_id.tolist()))
    assert len(everything) == 0 and everything.find(np.array([3])).tolist() == [-1]


def test_what_an_ad_does_not_say_is_no_limit_and_what_only_it_says_is_one() -> None:
    two = np.array([1, 2])
    bare = Catalog(ad_id=two, campaign_id=two, advertiser_id=two, topic_id=two, bid_micros=two, budget_micros=two)
    said = {"min_age": 21.0, "taste": 1.0}
    new = Item(ad_id=5, campaign_id=5, bid_micros=1, budget_micros=1, numbers=said, categories={"target_country": "c1"})
    both = merged(bare, {5: new})
    assert set(both.numbers) == {"min_age", "max_age"} and set(both.categories) == {"target_country"}
    assert both.numbers["min_age"].tolist() == [0.0, 0.0, 21.0] and both.numbers["max_age"].tolist() == [120.0] * 3
    assert both.categories["target_country"].tolist() == ["", "", "c1"]
    plain = merged(catalog(), {1: Item(ad_id=1, campaign_id=1, bid_micros=1, budget_micros=1)})
    at = int(plain.find(np.array([1]))[0])
    assert [plain.numbers[name][at] for name in ("start_time", "min_age", "max_age")] == [0.0, 0.0, 120.0]
    assert plain.categories["pricing"][at] == "cpc" and np.isnan(plain.numbers["quality"][at])


def test_a_campaign_has_the_budget_that_was_said_last_by_an_ad_that_is_there() -> None:
    ads = catalog()
    first, campaign = int(ads.ad_id[0]), int(ads.campaign_id[0])
    mine = ads.campaign_id == campaign
    item = item_of(ads, 0)
    later = replace(item, ad_id=1, budget_micros=7)
    assert set(merged(ads, {1: later}).budget_micros[merged(ads, {1: later}).campaign_id == campaign]) == {7}
    both: Mapping[int, Item | None] = {1: later, first: replace(item, budget_micros=9)}
    again = merged(ads, both)
    assert set(again.budget_micros[again.campaign_id == campaign]) == {9}
    taken_back = merged(ads, {1: None})
    assert np.array_equal(taken_back.budget_micros, ads.budget_micros)
    others = merged(ads, {1: later})
    assert np.array_equal(others.budget_micros[others.campaign_id != campaign], ads.budget_micros[~mine])


def test_a_new_ads_words_say_what_they_say_of_an_ad_nobody_has_seen() -> None:
    rng, ads = np.random.default_rng(0), catalog(200)
    shown = rng.integers(0, 100, 20_000)  # of the first half alone
    hits = rng.random(len(shown)) < np.where(np.char.find(ads.categories["title"], "red") >= 0, 0.2, 0.05)[shown]
    rows = blank(ads.ad_id[shown], hits.astype(np.float64))
    prior, worth = text_prior(rows, ads)
    titles = ads.categories["title"].tolist()
    assert np.allclose(prior_of(titles, worth)[100:], prior[100:], atol=1e-12)
    assert worth["red"] > worth["blue"] and prior_of(["red never-heard"], worth)[0] == worth[BASE] + worth["red"]
    assert prior_of(["red"], {}).tolist() == [0.0]


def blank(ad_id: np.ndarray[Any, np.dtype[np.int64]], label: np.ndarray[Any, np.dtype[np.float64]]) -> Rows:
    n = len(ad_id)
    return Rows(user_id=np.zeros(n, np.int64), ad_id=ad_id, event_time=np.full(n, 1_000), moment=np.zeros(n, np.int64), label=label)  # fmt: skip


def test_a_put_ad_has_the_inputs_it_would_have_had_in_the_catalogue() -> None:
    """Bit by bit, over any store; beside it nothing changes. An ad unknown to the vocabularies is 0 there and takes no other's code."""
    from common.events import of

    ads = catalog()
    vocabularies = {name: Vocabulary.fit(np.arange(0, 60, 3)) for name in ("user_id", "ad_id")}
    vocabularies |= {
        "campaign_id": Vocabulary.fit(ads.campaign_id),
        "ad.pricing": Vocabulary.fit(np.array(["cpc", "cpm"])),
    }
    words = {BASE: 0.5, "red": 1.0, "shoes": 0.25}
    prior = prior_of(ads.categories["title"].tolist(), words)
    whole = Features(ads, (), (), ("quality",), prior, words, vocabularies)
    out = [4, 11, 39]
    lacking = replace(whole, catalog=without(ads, out), text_prior=np.delete(prior, out))
    items = {int(ads.ad_id[at]): item_of(ads, at) for at in out}
    made = lacking.over(merged(lacking.catalog, items), np.array(list(items)))
    rows = blank(np.append(ads.ad_id, 10**6), np.full(len(ads) + 1, np.nan))
    store = AsOfStore(of([]))
    ours, theirs = made.inputs(rows, store), whole.inputs(rows, store)
    assert np.array_equal(ours.numbers, theirs.numbers, equal_nan=True) and np.array_equal(ours.codes, theirs.codes)
    foil = lacking.inputs(rows, store)
    assert not np.array_equal(foil.numbers[out], theirs.numbers[out], equal_nan=True)


@pytest.mark.parametrize(
    "wrong",
    [{"bid_micros": 0}, {"budget_micros": -1}, {"ad_id": -1}, {"categories": {"pricing": "cpa"}}, {"colour": 1}, {"numbers": {"min_age": "x"}}],
)  # fmt: skip
def test_an_ad_that_no_auction_could_use_is_refused(wrong: dict[str, Any]) -> None:
    adapter = TypeAdapter(Item)
    good = adapter.validate_json(orjson.dumps(dict(ITEM)))
    assert adapter.validate_json(orjson.dumps(good)) == good, "what is stored is read back as it was put"
    with pytest.raises(ValidationError):
        adapter.validate_json(orjson.dumps({**ITEM, **wrong}))


# ------------------------------------------------------------------------------------------------------------ served

ids = count(2_000_000_000)


def put(running: Running, **said: Any) -> Item:
    """An ad of its own campaign that would win any auction, taken in when this returns."""
    ad_id = next(ids)
    own = {"ad_id": ad_id, "campaign_id": ad_id - 10**9, "advertiser_id": ad_id - 10**9}
    item = TypeAdapter(Item).validate_json(orjson.dumps({**ITEM, **own, **said}))
    running.platform.items.put({item.ad_id: orjson.dumps(asdict(item))}, running.now)
    running.service.current.catch_up()
    return item


def ask(running: Running, **changes: Any) -> dict[int, dict[str, Any]]:
    body = {**schema.EXAMPLE, "user_id": next(ids) - 10**9, **changes}
    answer = running.client.post("/ad_click/auction", json=body)
    assert answer.status_code == 200, answer.text
    return {ad["ad_id"]: ad for ad in answer.json()["ads"]}


@pytest.fixture
def clean(running: Running) -> Iterator[Running]:
    """Without what the last test put."""
    yield running
    known = running.platform.items.known
    running.platform.items.delete(known.item_id[~known.deleted & (known.item_id >= 10**9)].tolist(), running.now)
    running.service.current.catch_up()


@pytest.mark.slow
def test_a_put_ad_wins_and_its_impression_is_logged_as_its_own(clean: Running) -> None:
    item, end = put(clean), clean.platform.log.end
    shown = ask(clean)
    assert shown[item.ad_id]["campaign_id"] == item.campaign_id
    (logged,) = [event for event in clean.platform.log.scan(end) if item.ad_id in event.keys["ad_id"].tolist()]
    assert item.campaign_id in logged.keys["campaign_id"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [{"budget_micros": 0}, {"numbers": {"min_age": 90.0}}, {"numbers": {"start_time": 2.0**40}}, {"categories": {"target_country": "nowhere"}}],
)  # fmt: skip
def test_a_put_ad_keeps_the_rules_of_every_ad(clean: Running, rule: dict[str, Any]) -> None:
    assert put(clean).ad_id in ask(clean)
    assert put(clean, **rule).ad_id not in ask(clean)


@pytest.mark.slow
def test_a_deleted_ad_sets_no_price(clean: Running) -> None:
    """Two ads far above all others: the second sets the first's price, and once it is gone, however lately, somebody else does."""
    dear, second = put(clean), put(clean, bid_micros=900_000_000)
    with_it = ask(clean, num_slots=1)[dear.ad_id]["price_micros"]
    clean.platform.items.delete([second.ad_id], clean.now)
    without_it = ask(clean, num_slots=1)[dear.ad_id]["price_micros"]
    assert without_it < with_it / 10


@pytest.mark.slow
def test_a_rule_that_becomes_stricter_holds_at_once(clean: Running) -> None:
    """Put again for another country: from the first answer on it is not shown as it was, taken in or not."""
    item = put(clean)
    assert item.ad_id in ask(clean)
    stricter = replace(item, categories={"target_country": "nowhere"})
    clean.platform.items.put({item.ad_id: orjson.dumps(stricter)}, clean.now)
    assert item.ad_id not in ask(clean)
    clean.service.current.catch_up()
    assert item.ad_id not in ask(clean)


@pytest.mark.slow
def test_another_version_knows_what_was_put_and_deleted_before_it(
    clean: Running, run_once: tuple[Path, Result]
) -> None:
    """A service of an artifact that never heard of the ad, started as promotion and rollback start one."""
    item = put(clean)
    gone = next(ad_id for ad_id in ask(clean) if ad_id != item.ad_id)
    clean.platform.items.delete([gone], clean.now)
    other = serve.start(run_once[1].artifact, clean.platform)
    held = other.current._last[2]
    assert item.ad_id in held.known.service.catalog.ad_id and item.ad_id not in other.catalog.ad_id
    assert gone in other.catalog.ad_id and held.gone(np.array([gone, item.ad_id])).tolist() == [True, False]
    other.stages.close()
