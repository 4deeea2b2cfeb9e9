"""Videos put and deleted while the case is served: each reads as if the catalogue had held it, keeps every rule, and goes for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from itertools import count, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from common.checks import Trial
from common.checks.trial import Running
from common.contract import Ints
from common.features.asof import AsOfStore
from common.features.copies import MOST, near, rejoined
from common.lifecycle.traffic import play
from common.serving.deadline import Fault
from tests.video_rec.test_policy import context, ranked
from tests.video_rec.test_sources import known, light_of, recent, towers_of, watches
from video_rec import features, schema, simulate, world
from video_rec.config import SMOKE
from video_rec.features import Features, copies
from video_rec.features.catalogue import altered, described, texts
from video_rec.features.shelf import listed
from video_rec.features.words import learn
from video_rec.model import QUOTAS
from video_rec.model.retrieval import Retrieval
from video_rec.policy import Policy
from video_rec.schema import ITEM, Catalog, Dataset, Item, Rows
from video_rec.world import nature

if TYPE_CHECKING:
    from common import contract

    takes_items: contract.ItemsSchema = schema

FINGERPRINTS = 2**52


def item(**said: Any) -> Item:
    return Item(**{**ITEM, **said})


def item_of(catalog: Catalog, at: int, **changed: Any) -> Item:
    """The row as somebody would put it."""
    flat = {**vars(catalog), **catalog.numbers, **catalog.categories}
    row: dict[str, Any] = {f.name: flat[f.name][at].item() for f in fields(Item)}
    row |= {"explicit": bool(row["explicit"])} | {name: int(row[name]) for name in ("length_seconds", "uploaded")}
    return Item(**{**row, **changed})


def without(catalog: Catalog, out: Ints) -> Catalog:
    kept = np.setdiff1d(np.arange(len(catalog)), out)
    flat: dict[str, Any] = {
        name: column[kept] for name, column in vars(catalog).items() if isinstance(column, np.ndarray)
    }
    for part in ("numbers", "categories"):
        flat[part] = {key: column[kept] for key, column in getattr(catalog, part).items()}
    return Catalog(**flat)


# ------------------------------------------------------------------------------------------------------------ as if it had been there


@cache
def small() -> tuple[world.World, Features]:
    """A little world, and the features of all of its videos."""
    config = replace(SMOKE, num_users=60, num_videos=600, num_impressions=4_000)
    made = world.make(config)
    rows, asked = blank(np.empty(0, np.int64)), schema.Requests(**{name: np.empty(0, np.int64) for name in ("user_id", "event_time", "moment")})  # fmt: skip
    dataset = Dataset(train=rows, valid=rows, test=asked, catalog=made.catalog, history=AsOfStore(made.events))
    return made, features.fit(dataset, config)


def blank(video_id: Ints, user_id: int = 0) -> Rows:
    n = len(video_id)
    return Rows(user_id=np.full(n, user_id), video_id=video_id, event_time=np.zeros(n, np.int64), moment=np.zeros(n, np.int64))  # fmt: skip


def lacking(whole: Features, catalog: Catalog, out: Ints) -> Features:
    """What an artifact would know that was made when these videos were not there, had it learnt the same of words."""
    fewer = without(catalog, out)
    videos = described(fewer, whole.words.vectors(texts(fewer)), copies(fewer.fingerprint), whole.languages)
    return Features(**vars(videos), words=whole.words, languages=whole.languages)


@pytest.mark.parametrize("seed", range(3))
def test_a_put_video_has_the_features_it_would_have_had_in_the_catalogue(seed: int) -> None:
    """Of the rows shown in the log, whose viewers have watched some of the put videos: they describe their viewers too. The foil: not put."""
    made, whole = small()
    rng, catalog, shown = np.random.default_rng(seed), made.catalog, made.shown
    out = rng.permutation(len(catalog))[:150]
    before = lacking(whole, catalog, out)
    again = rng.permutation(np.setdiff1d(np.arange(len(catalog)), out))[:20]  # some are put as they are
    put = [item_of(catalog, at) for at in [*out.tolist(), *again.tolist()]]
    late = before.over(listed(put))
    at = np.sort(rng.permutation(len(shown.video_id))[:800])
    rows = Rows(user_id=shown.user_id[at], video_id=shown.video_id[at], event_time=shown.event_time[at], moment=shown.moment[at])  # fmt: skip
    store = AsOfStore(made.events)
    ours, theirs = late.inputs(rows, store), whole.inputs(rows, store)
    assert ours.names == theirs.names and np.allclose(ours.dense, theirs.dense, rtol=0, atol=1e-6)
    words_apart = [name not in ("title_mean", "title_last") for name in ours.names]
    assert np.array_equal(ours.dense[:, words_apart], theirs.dense[:, words_apart])
    assert not np.allclose(before.inputs(rows, store).dense, theirs.dense, rtol=0, atol=0.1)

    asked = rng.permutation(catalog.video_id)[:300]
    given, expected = late.rulings(asked), whole.rulings(asked)
    for f in fields(given):
        if f.name not in ("groups", "put"):
            assert np.array_equal(getattr(given, f.name), getattr(expected, f.name), equal_nan=f.name == "uploaded")
    assert same_sets(given.groups, expected.groups) and (expected.groups >= 0).sum() > 5
    assert np.array_equal(given.put, np.isin(asked, catalog.video_id[out])), (
        "a video of training is no new one for being put"
    )
    hidden = rng.permutation(catalog.creator_id)[:3]
    assert np.allclose(late.alike(given.creators, hidden), whole.alike(expected.creators, hidden), atol=1e-5)
    assert np.allclose(before.over(listed([])).alike(expected.creators, hidden), before.alike(expected.creators, hidden))  # fmt: skip


def same_sets(one: Ints, other: Ints) -> bool:
    """Do two numberings put the same together? -1 is with nobody."""
    pairs = [(numbers[:, None] == numbers[None, :]) & (numbers >= 0)[:, None] for numbers in (one, other)]
    for pair in pairs:
        np.fill_diagonal(pair, True)
    return np.array_equal(*pairs)


def test_what_was_learnt_of_words_comes_back_from_disk_bit_for_bit(tmp_path: Path) -> None:
    made, whole = small()
    whole.over(listed([item()])).save(tmp_path)
    again = features.load(tmp_path)
    assert not len(again.shelf) and np.array_equal(again.title, whole.title) and again.languages == whole.languages
    assert np.array_equal(again.words.vectors(texts(made.catalog)), whole.title), "one way to read a title"
    nothing = again.words.vectors(["", "zyzzyva"])
    assert not nothing.any(), "no known word, no direction"


def test_a_title_is_read_again_when_it_is_put_anew() -> None:
    """Shelf after shelf, the same as at once; what is no longer put is not there."""
    made, whole = small()
    first = [item_of(made.catalog, at, video_id=9_000 + at) for at in range(40)]
    then = [*first[10:30], *(replace(one, title=first[0].title) for one in first[30:])]
    last = [*then[5:], item(video_id=5, title=first[1].title, tags=first[1].tags)]
    step_by_step, at_once = whole.over(listed(first)).over(listed(then)).over(listed(last)), whole.over(listed(last))
    for name, column in vars(at_once.shelf.videos).items():
        assert np.array_equal(getattr(step_by_step.shelf.videos, name), column), name
    assert step_by_step.find(np.array([9_000])).tolist() == [-1]


def test_a_language_nobody_spoke_is_a_language() -> None:
    """Two put videos in it share it, and it is none of those known; a language unknown is shared by nobody."""
    _, whole = small()
    put = [item(video_id=9_000 + at, language=said) for at, said in enumerate(("xx", "xx", "yy", "", "", "en"))]
    codes = whole.over(listed(put)).shelf.videos.language
    assert codes[0] == codes[1] != codes[2] and codes[3] == codes[4] == -1
    assert not np.isin(codes[:3], whole.language).any() and codes[5] == whole.languages.index("en")


@pytest.mark.parametrize("seed", range(8))
def test_copies_are_found_as_by_comparing_all_with_all(seed: int) -> None:
    """Random fingerprints, many a few bits from others; some of those known are replaced, and then join nobody."""
    rng = np.random.default_rng(seed)
    base = rng.integers(1, FINGERPRINTS, 60)
    pool = np.concatenate([base, base ^ (1 << rng.integers(0, 52, 60)), base ^ (7 << rng.integers(0, 49, 60)), np.zeros(9, np.int64)])  # fmt: skip
    drawn = pool[rng.integers(0, len(pool), 120)]
    trained, put = drawn[:80], drawn[80:]
    was = np.where(rng.random(40) < 0.2, rng.permutation(80)[:40], -1)

    def close(one: Ints, other: Ints) -> Any:
        return (np.bitwise_count(one[:, None] ^ other[None, :]) <= MOST) & (one != 0)[:, None] & (other != 0)[None, :]

    assert np.array_equal(np.stack(near(trained, put)), np.stack(np.nonzero(close(trained, put))))
    group, (old, name) = rejoined(copies(trained), trained, put, was)
    link = close(drawn, drawn)
    gone = was[was >= 0]
    link[np.ix_(gone, np.arange(80, 120))] = link[np.ix_(np.arange(80, 120), gone)] = False
    together = np.linalg.matrix_power(link.astype(float) + np.eye(120), 64) > 0
    alone = together.sum(axis=1) == 1
    expected = np.where(alone, -1, together.argmax(axis=1))
    known = copies(trained)
    renamed = dict(zip(old.tolist(), name.tolist(), strict=True))
    found = [renamed.get(own if own >= 0 else at, own) for at, own in enumerate(known.tolist())]
    kept = np.append(np.setdiff1d(np.arange(80), gone), np.arange(80, 120))
    assert same_sets(np.append(found, group)[kept], expected[kept])
    assert (group >= 0).any() and not same_sets(np.append(known, copies(put))[kept], expected[kept]), "the foil"


# ------------------------------------------------------------------------------------------------------------ the sources


def shelved(whole: Features, towers: Retrieval, *put: Item) -> tuple[Features, Retrieval]:
    late = whole.over(listed(put))
    return late, towers.over(late)


def as_it_is(whole: Features, at: int, **changed: Any) -> Item:
    uploaded = 0 if np.isnan(whole.uploaded[at]) else int(whole.uploaded[at])
    own = {"video_id": int(whole.video_id[at]), "creator_id": int(whole.creator_id[at]), "uploaded": uploaded}
    return item(**{**own, "language": "", "length_seconds": 0, "title": "", **changed})


def test_the_towers_place_a_put_video_by_what_is_known_of_it_and_find_it_among_all() -> None:
    """Against brute force over all vectors. A video put anew just as it was stands where it stood and says the same of who watched it; one put
    anew as another is not found where it was."""
    whole = altered(known(), title=np.zeros_like(known().title), language=np.full(40, -1))
    towers = towers_of(whole)
    late, placed = shelved(whole, towers, as_it_is(whole, 4), as_it_is(whole, 8, creator_id=105), item(video_id=7))
    assert late.find(np.array([40, 80, 7, 50, 8])).tolist() == [41, 42, 40, 5, -1]
    assert np.allclose(placed.put.vectors[1], towers.vectors[4], atol=1e-6)
    assert not np.allclose(placed.put.vectors[2], towers.vectors[8], atol=1e-2)
    assert np.allclose(placed.viewer(recent((41, 3), (3,))), towers.viewer(recent((4, 3), (3,))), atol=1e-6)
    history = recent((3, 40), (5, 6))
    viewer, ids = placed.viewer(history), np.append(np.delete(late.video_id, [4, 8]), [7, 40, 80])
    cosines = viewer @ np.concatenate([np.delete(towers.vectors, [4, 8], axis=0), placed.put.vectors]).T
    found, order = placed.nearest(history, 12), np.argsort(-cosines, axis=1)[:, :12]
    assert np.array_equal(found.ids, ids[order]) and np.allclose(found.scores, np.take_along_axis(cosines, order, 1), atol=1e-6)  # fmt: skip
    every = np.broadcast_to(late.find(ids), cosines.shape)
    assert np.allclose(placed.score(history, every), cosines, atol=1e-6)
    assert np.array_equal(towers.nearest(recent((3,)), 5).ids, towers.over(whole.over(listed([]))).nearest(recent((3,)), 5).ids)  # fmt: skip


def test_what_is_put_comes_first_among_the_fresh_and_beside_its_creators_work() -> None:
    as_of = 30 * 86_400
    light = light_of(watches(np.array([0, 10]), np.array([0, as_of])))
    new = item(video_id=7, creator_id=100, uploaded=as_of + 1)
    old = item(video_id=8, creator_id=100, uploaded=as_of)
    moved = as_it_is(light.features, 1, creator_id=103)  # was by creator 100, the first four's
    late, placed = shelved(light.features, light.towers, new, old, moved)
    fresh = altered(light, features=late, towers=placed)
    found = fresh.fresh(recent((2,), ()), 30)
    assert (found.ids[:, 0] == 7).all() and not np.isin([8, 10], found.ids).any()
    assert np.array_equal(np.sort(found.ids[0, 1:]), np.setdiff1d(light.fresh(recent((2,)), 30).ids[0], [10]))
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert np.array_equal(np.sort(fresh.followed(recent((0,)), 10).ids[0]), [7, 8, 20, 30])
    assert 10 in fresh.followed(recent((12,)), 10).ids and 10 not in light.followed(recent((12,)), 10).ids
    watched = int(late.find(np.array([7]))[0])
    assert np.array_equal(np.sort(fresh.followed(recent((watched,)), 10).ids[0]), [0, 8, 20, 30])


def test_a_place_for_the_fresh_is_first_for_what_was_put() -> None:
    """The others have been scored by a ranker that has met them."""
    rules = Policy(feed_size=4, creator_cap=9, fresh_every=2, fresh_days=3.0)
    age = np.array([9.0, 9, 1, 9, 9, 1])
    young = context([-1] * 6, uploaded=-86_400 * age)
    assert rules.decide(None, ranked(6), young).kept.tolist() == [0, 2, 1, 5]
    put = replace(young, rulings=replace(young.rulings, put=np.arange(6) >= 4))  # 4 was put too, and is old
    assert rules.decide(None, ranked(6), put).kept.tolist() == [0, 5, 1, 2]


@pytest.mark.parametrize(
    "wrong",
    [{"video_id": -1}, {"title": "x" * 301}, {"uploaded": 1.5}, {"explicit": 1}, {"min_age": -1}, {"barred_in": 2**63}, {"fingerprint": -1}, {"colour": 1}, {"creator_id": None}],
)  # fmt: skip
def test_a_video_that_no_feed_could_use_is_refused(wrong: Mapping[str, Any]) -> None:
    adapter = TypeAdapter(Item)
    good = adapter.validate_json(orjson.dumps(dict(ITEM)))
    assert adapter.validate_json(orjson.dumps(good)) == good, "what is stored is read back as it was put"
    with pytest.raises(ValidationError):
        adapter.validate_json(orjson.dumps({**ITEM, **wrong}))


def test_creators_go_on_uploading_as_they_did() -> None:
    """Any stretch is the same, however it is cut; ids are new and follow each other; each is an item the door takes."""
    config, start = replace(SMOKE, days=10), nature.START + 12 * 86_400
    whole = list(simulate.uploads(config, start, start + 20 * 86_400))
    cuts = [start, start + 1, start + 777_777, start + 20 * 86_400]
    parts = [one for since, until in pairwise(cuts) for one in simulate.uploads(config, since, until)]
    assert parts == whole and abs(len(whole) - 20 * config.num_videos / 48.5) < 2
    ids = np.array([video.video_id for _, video in whole])
    assert (np.diff(ids) == 1).all() and ids[0] >= config.num_videos
    assert all(start <= when == video.uploaded < start + 20 * 86_400 for when, video in whole)
    truth = nature.videos(config.seed, ids, config.days)
    assert [video.min_age for _, video in whole] == truth.min_age.tolist() and (truth.min_age > 0).any()
    adapter = TypeAdapter(Item)
    assert all(adapter.validate_json(orjson.dumps(video)) == video for _, video in whole)


# ------------------------------------------------------------------------------------------------------------ served

numbers = count(1_000_000_001)


@pytest.fixture(scope="module")
def shop(trial: Trial) -> Iterator[Running]:
    with trial.apart("own-items") as served:
        yield served


@pytest.fixture
def served(shop: Running) -> Iterator[Running]:
    """Without what the last test put, and with what it deleted still gone."""
    yield shop
    seen = shop.platform.items.known
    delete(shop, *seen.item_id[~seen.deleted].tolist())


def put(served: Running, **said: Any) -> Item:
    """Taken in when this returns."""
    made = item(**{"video_id": next(numbers), "creator_id": -1, **said})
    served.platform.items.put({made.video_id: orjson.dumps(asdict(made))}, served.clock.now())
    served.service.current.catch_up()
    return made


def delete(served: Running, *ids: int) -> None:
    served.platform.items.delete(ids, served.clock.now())


def feed(served: Running, **changes: Any) -> dict[int, dict[str, Any]]:
    """An answer that lacks no stage: a loaded machine must not decide what a test sees."""
    for _ in range(200):
        answer = served.ask(**{"user_id": next(numbers), **changes})
        if not set(answer["degraded"]) & {*QUOTAS, "watched", "history", "features", "ranker", "store", "items"}:
            return {video["video_id"]: video for video in answer["videos"]}
    raise AssertionError(f"never a whole answer: {answer['degraded']}")


@pytest.mark.slow
def test_a_put_video_is_shown_as_it_was_put_last(served: Running) -> None:
    first = put(served, creator_id=123_456)
    shown = feed(served)[first.video_id]
    assert (shown["title"], shown["creator_id"]) == (first.title, 123_456)
    put(served, video_id=first.video_id, title="another", creator_id=654_321)
    shown = feed(served)[first.video_id]
    assert (shown["title"], shown["creator_id"]) == ("another", 654_321)
    known, again = served.service.features, [video for video in feed(served) if video < 10**6][:8]
    for video in again:
        at = known.find(np.array([video]))[0]
        spoken = known.languages[known.language[at]]
        put(served, video_id=video, title="a third", creator_id=int(known.creator_id[at]), language=spoken)
    titles = [video["title"] for video_id, video in feed(served).items() if video_id in again]
    assert titles and set(titles) == {"a third"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "viewer", "lawful"),
    [
        ({"explicit": True}, {}, None),
        ({"min_age": 18}, {"age": 17}, {"age": 18}),
        ({"min_age": 18}, {"age": None}, {"age": 18}),
        ({"barred_in": 0b100}, {"country": 2}, {"country": 1}),
        ({"barred_in": 0b100}, {"country": None}, {"country": 1}),
    ],
)
def test_the_law_holds_for_what_is_put(
    served: Running, rule: dict[str, Any], viewer: dict[str, Any], lawful: dict[str, Any] | None
) -> None:
    video = put(served, **rule).video_id
    assert video not in feed(served, **viewer)
    assert lawful is None or video in feed(served, **lawful)
    stricter = put(served)
    assert stricter.video_id in feed(served, **viewer)
    put(served, video_id=stricter.video_id, **rule)
    assert stricter.video_id not in feed(served, **viewer), "put again under a law, it is shown as it was"


@pytest.mark.slow
def test_a_copy_of_a_watched_video_is_not_shown_nor_is_one_put_copy_beside_another(served: Running) -> None:
    user_id, of = next(numbers), served.service.features
    free = (of.explicit == 0) & (of.min_age == 0) & (of.barred_in == 0) & (of.group < 0) & (of.fingerprint != 0)
    for seen in np.flatnonzero(free).tolist():  # one whose copy stands higher than it does itself
        copy = put(served, fingerprint=int(of.fingerprint[seen]) ^ 0b101)
        if copy.video_id in feed(served, user_id=user_id):
            break
    keys = {
        "request_id": 1,
        "user_id": user_id,
        "video_id": int(of.video_id[seen]),
        "creator_id": int(of.creator_id[seen]),
    }
    watch = {"event_id": "copied", "kind": "watch", "keys": keys, "values": {"watch_seconds": 30, "completed": 1}}
    served.post(watch)
    assert copy.video_id not in feed(served, user_id=user_id)
    assert copy.video_id in feed(served), "to another it is new"
    twin, other = (put(served, fingerprint=FINGERPRINTS // 3 ^ bit) for bit in (0, 1))
    assert len({twin.video_id, other.video_id} & set(feed(served))) == 1


@pytest.mark.slow
def test_what_others_watch_is_gone_when_deleted_whatever_would_have_brought_it(served: Running) -> None:
    """What the sources bring and what stands behind them, from the acknowledgement on; and there is still a feed."""
    found, behind = set(feed(served)), unfound(served)
    first = [*sorted(found)[:5], *sorted(behind)[:5]]
    delete(served, *first)
    for _ in range(2):  # not yet taken in perhaps, and taken in
        assert not set(first) & (set(feed(served)) | unfound(served))
        served.service.current.catch_up()
    held = served.service.current._last[2]
    assert not set(first) & set(held.known.service._spare.tolist())
    assert len(unfound(served)) == len(behind) == 20


def unfound(served: Running) -> set[int]:
    """What is shown when no source comes."""
    faults = served.service.stages.faults
    faults |= dict.fromkeys(QUOTAS, Fault("fail"))
    try:
        answer = served.ask(user_id=next(numbers))
    finally:
        faults.clear()
    assert "candidates" in answer["degraded"]
    return {video["video_id"] for video in answer["videos"]}


@pytest.mark.slow
def test_what_is_uploaded_while_people_come_is_put_and_shown(trial: Trial) -> None:
    """Two days of it."""
    with trial.apart("uploads") as served:
        since, first = served.clock.now(), served.platform.log.end
        visits = list(islice(simulate.visits(trial.config, since, since + 2 * 86_400), 0, None, 20))
        coming = simulate.uploads(trial.config, since, since + 10**9)
        played = play(trial.case, visits, served.client, served.clock, coming)
        assert not played.errors and 20 < played.items <= 2 * trial.config.num_videos / 51.9 + 1
        shown = served.impressions(first).keys["video_id"]
        assert (shown >= trial.config.num_videos).any()


def test_a_copy_is_never_less_limited_than_what_it_copies_and_what_is_not_said_stays() -> None:
    ids = np.arange(5)
    one, two, three, four = np.random.default_rng(0).integers(1, 2**52, 4).tolist()
    catalog = Catalog(
        video_id=ids,
        creator_id=ids,
        title=np.full(5, "a title"),
        explicit=np.array([1, 0, 0, 0, 0]),
        min_age=np.array([0, 16, 0, 0, 0]),
        barred_in=np.array([0, 0, 0b101, 0, 0]),
        fingerprint=np.array([one, two, three, three ^ 1, four]),
    )
    words, title = learn(texts(catalog), 0)
    fitted = Features(**vars(described(catalog, title, copies(catalog.fingerprint), [])), words=words)
    put = [
        Item(video_id=10, title="new", uploaded=1, fingerprint=one ^ 2),  # a copy of 0
        Item(video_id=11, title="new", uploaded=1, fingerprint=two, explicit=False, min_age=13),  # of 1
        Item(video_id=12, title="new", uploaded=1, fingerprint=three ^ 2, barred_in=0b10),  # of 2 and 3
        Item(video_id=13, title="new", uploaded=1),  # of nothing
        Item(video_id=0, title="again", uploaded=1, fingerprint=one),  # says nothing of who may see it
        Item(video_id=1, title="again", uploaded=1, min_age=0),  # says that all may
    ]
    rulings = fitted.over(listed(put)).rulings(np.array([10, 11, 12, 13, 0, 1]))
    assert rulings.explicit.tolist() == [True, False, False, False, True, False]
    assert rulings.min_age.tolist() == [0, 13, 0, 0, 0, 0], (
        "1 was put anew in the same breath: 11 copies what it is now"
    )
    assert rulings.barred_in.tolist() == [0, 0, 0b111, 0, 0, 0]
    alone = fitted.over(listed([put[1]])).rulings(np.array([11]))
    assert alone.min_age.tolist() == [16]
    assert rulings.put.tolist() == [True, True, True, True, False, False]
