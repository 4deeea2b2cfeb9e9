"""The planted truth: the same things in every preset, pictures that show what they should, a truth worth knowing, and nothing that gives it away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.features.copies import copies
from visual_search import world
from visual_search.config import DEFAULT, DEMO, LARGE, SMOKE
from visual_search.schema import Requests
from visual_search.world import asking, history, likeness, painting, rating, scenes, things, wording

TINY = replace(SMOKE, num_images=400, num_searches=600, num_photos=200, num_pairs=400, num_judged=120)


@pytest.fixture(scope="module")
def truth() -> world.World:
    return world.make(TINY)


def requests(truth: world.World) -> Requests:
    asked = truth.judged
    return Requests(
        user_id=asked.user_id,
        photo=asked.photo,
        photos=truth.photos,
        event_time=asked.event_time,
        moment=np.zeros(len(asked), np.int64),
        text=asked.text,
        crop=asked.crop,
        query_id=asked.query_id,
        shop_only=asked.shop_only,
    )


# ------------------------------------------------------------------------------------------------------------------------- things


def test_image_7_is_the_same_in_every_preset() -> None:
    expected = things.pictures(0, np.arange(20), 14)
    for preset in (SMOKE, DEMO, DEFAULT, LARGE):
        one = things.pictures(preset.seed, np.array([7]), preset.days)
        assert one.thing.hue[0] == expected.thing.hue[7] and one.thing.shape[0] == expected.thing.shape[7]
        drawn = painting.draw(preset.seed, scenes.gallery(preset.seed, one, preset.clutter), 32)
        whole = painting.draw(0, scenes.gallery(0, expected, preset.clutter), 32)
        assert np.array_equal(drawn[0], whole[7])


def test_a_thing_has_one_to_four_images_of_one_owner() -> None:
    of = things.pictures(0, np.arange(4_000), 14)
    own = of.original == of.image_id
    item, first, count = np.unique(of.thing.item_id[own], return_index=True, return_counts=True)
    assert count.max() <= 4 and 1.6 < count.mean() < 2.4
    assert (of.owner_id[own][first] == item // things.OWNS).all()


def test_shares_of_the_gallery_are_as_planted() -> None:
    of = things.pictures(0, np.arange(20_000), 14)
    assert abs(of.shop.mean() - 0.4) < 0.02 and abs(of.private.mean() - 0.05) < 0.01
    assert abs(of.explicit.mean() - 0.01) < 0.004 and abs((of.original != of.image_id).mean() - 0.03) < 0.005
    assert not (of.private & of.shop).any(), "what is sold is for all to see"
    assert np.bincount(of.thing.shape, minlength=16).min() > 100
    assert abs(of.unseen.mean() - things.UNSEEN) < 0.08


def test_copies_differ_in_three_bits_at_most_and_look_alike() -> None:
    of = things.pictures(0, np.arange(3_000), 14)
    copied = np.flatnonzero(of.original != of.image_id)
    assert np.bitwise_count(of.fingerprint[copied] ^ of.fingerprint[of.original[copied]]).max() <= 3
    found, expected = copies(of.fingerprint), np.bincount(of.original, minlength=3_000)[of.original] > 1
    assert np.array_equal(found >= 0, expected) and np.array_equal(found[expected], of.original[expected])
    drawn = painting.draw(0, scenes.gallery(0, of, 0.6), 32).astype(float)
    apart = np.abs(drawn[copied] - drawn[of.original[copied]]).mean(axis=(1, 2, 3))
    strangers = np.abs(drawn[copied] - drawn[(copied + 1_111) % 3_000]).mean(axis=(1, 2, 3))
    assert apart.min() > 0 and np.median(apart) < 0.25 * np.median(strangers)


# ------------------------------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("side", [32, 64])
def test_a_picture_depends_on_no_other(side: int) -> None:
    of = scenes.gallery(3, things.pictures(3, np.arange(60), 14), 0.6)
    whole, order = painting.draw(3, of, side), np.random.default_rng(0).permutation(60)
    assert whole.shape == (60, side, side, 3)
    assert np.array_equal(painting.draw(3, of.take(order), side), whole[order])
    for one in range(60):
        assert np.array_equal(painting.draw(3, of.take(np.array([one])), side)[0], whole[one]), one
    assert not np.array_equal(
        painting.draw(4, scenes.gallery(4, things.pictures(4, np.arange(60), 14), 0.6), side), whole
    )


def _alone(of: scenes.Scenes, shape: int | None = None) -> scenes.Scenes:
    """In a studio, without any other thing; `shape` -1 without that one too."""
    bare = np.full_like(of.thing.shape, -1)
    bare[:, scenes.MEANT] = of.thing.shape[:, scenes.MEANT] if shape is None else shape
    plain = replace(of, ground=np.zeros_like(of.ground), tint=np.ones_like(of.tint), blurred=np.zeros(len(of), bool))
    return replace(plain, thing=replace(of.thing, shape=bare))


def test_boxes_hold_the_thing_that_is_meant() -> None:
    """Against what changes in the picture when that thing is taken away."""
    ids = np.arange(3 * 17)
    meant = things.things(0, asking.NEW + ids, ids % 17)
    of = scenes.photos(0, scenes.PHOTOS + ids, meant, 0.6)
    drawn = painting.draw(0, _alone(of), 96).astype(int)
    changed = np.abs(drawn - painting.draw(0, _alone(of, -1), 96)).max(axis=-1) > 60  # more than a shadow
    for box, seen in zip(scenes.boxes(of) * 96, changed, strict=True):
        across, down = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
        found = np.array([across[0], down[0], across[-1] + 1, down[-1] + 1])
        wide, high = (np.minimum(box[2:], found[2:]) - np.maximum(box[:2], found[:2])).clip(0)
        both = np.prod(box[2:] - box[:2]) + np.prod(found[2:] - found[:2]) - wide * high
        assert wide * high / both > 0.6, (box, found)


def test_shop_images_are_light_and_alone_and_posts_are_not() -> None:
    of = things.pictures(0, np.arange(600), 14)
    shown = scenes.gallery(0, of, 0.6)
    drawn, shop = painting.draw(0, shown, 32), of.shop > 0
    rim = np.concatenate([drawn[:, 0], drawn[:, -1]], axis=1).mean(axis=(1, 2))
    assert rim[shop].min() > 190 > np.median(rim[~shop])
    assert not shown.cluttered[shop].any() and abs(shown.cluttered[~shop].mean() - 0.6) < 0.08
    assert not scenes.gallery(0, of, 0.0).cluttered.any()


def test_what_is_explicit_bears_a_sign() -> None:
    of = things.pictures(0, np.arange(300), 14)
    marked, plain = (scenes.gallery(0, replace(of, explicit=np.full(300, said)), 0.0) for said in (1, 0))
    apart = np.abs(painting.draw(0, marked, 32).astype(int) - painting.draw(0, plain, 32)).max(axis=3)
    assert (apart[:, 1:6, 26:31].max(axis=(1, 2)) > 40).all() and not apart[:, 10:].any()


def test_a_colour_is_seen_in_the_picture() -> None:
    """Plain cups of two hues: the middle of the picture has the hue of each."""
    for name, (high, low) in {"red": (0, 2), "blue": (2, 0)}.items():
        hue = np.full(40, things.COLOURS.index(name) / 10)
        cups = things.things(0, np.arange(40), np.full(40, things.SHAPES.index("cup")))
        cups = replace(cups, hue=hue, pattern=np.zeros(40, np.int64))
        middle = painting.draw(0, scenes.photos(0, np.arange(40), cups, 0.0, np.ones(40, bool)), 32)[:, 14:19, 12:17]
        assert (middle[..., high].mean(axis=(1, 2)) > middle[..., low].mean(axis=(1, 2)) + 20).all()


# ------------------------------------------------------------------------------------------------------------------------ likeness


def _slowly(wanted: likeness.Wanted, of: things.Things, i: int) -> float:
    """One grade by the book."""
    if wanted.item_id[i] >= 0 and wanted.item_id[i] == of.item_id[i]:
        return 1.0
    parts: list[tuple[float, float]] = []
    shapes, patterns = (*things.SHAPES, "kite"), things.PATTERNS
    shape_kin = {frozenset(kin[:2]): kin[2] for kin in likeness.KIN_SHAPES}
    pattern_kin = {frozenset(kin[:2]): kin[2] for kin in likeness.KIN_PATTERNS}
    for at, (asked, has, names, kin) in enumerate(
        [
            (wanted.shape[i], of.shape[i], shapes, shape_kin),
            (wanted.material[i], of.material[i], things.MATERIALS, {}),
            (wanted.pattern[i], of.pattern[i], patterns, pattern_kin),
        ]
    ):
        if asked >= 0:
            parts.append(
                (wanted.care[i, at], 1.0 if asked == has else kin.get(frozenset((names[asked], names[has])), 0.0))
            )
    if not np.isnan(wanted.hue[i]):
        turn = abs(wanted.hue[i] - of.hue[i])
        turn = min(turn, 1 - turn)
        parts.append((wanted.care[i, 3], min(1.0, max(0.0, (0.2 - turn) / 0.17))))
    share = sum(care * alike for care, alike in parts) / sum(care for care, _ in parts)
    return share * (0.95 if wanted.item_id[i] >= 0 else 1.0)


def test_grades_are_those_of_the_book(truth: world.World) -> None:
    rng = np.random.default_rng(0)
    wanted = truth.judged.wanted.take(rng.integers(0, len(truth.judged), 500))
    of = truth.pictures.thing.take(rng.integers(0, 400, 500))
    of = replace(of, shape=np.where(rng.random(500) < 0.4, np.maximum(wanted.shape, 0), of.shape))
    expected = np.array([_slowly(wanted, of, i) for i in range(500)])
    assert likeness.grades(wanted, of) == pytest.approx(expected) and expected.min() >= 0 and expected.max() <= 1


def test_the_very_thing_is_best_and_the_shape_counts_most() -> None:
    thing = things.things(0, np.arange(200))
    wanted = likeness.like(thing, likeness.cares(0, np.arange(200)))
    assert (likeness.grades(wanted, thing) == 1).all()
    twin = replace(thing, item_id=thing.item_id + 1_000)
    assert likeness.grades(wanted, twin) == pytest.approx(np.full(200, 0.95))

    def loss(**changed: object) -> float:
        return float((0.95 - likeness.grades(wanted, replace(twin, **changed))).mean())  # type: ignore[arg-type]

    losses = [
        loss(hue=(thing.hue + 0.5) % 1),
        loss(pattern=(thing.pattern + 3) % 6),
        loss(material=(thing.material + 1) % 4),
    ]
    assert loss(shape=(thing.shape + 5) % 16) > max(losses) + 0.1 and min(losses) > 0.05


def test_people_differ_in_what_they_care_for() -> None:
    care = likeness.cares(0, np.arange(5_000))
    assert care.sum(axis=1) == pytest.approx(np.ones(5_000)) and (care > 0).all()
    assert care.mean(axis=0) == pytest.approx(likeness.CARES, abs=0.03) and (care.std(axis=0) > 0.02).all()


# ------------------------------------------------------------------------------------------------------------------------- gain


def test_the_ceiling_knows_best(truth: world.World) -> None:
    asked, rng = requests(truth), np.random.default_rng(0)
    best = world.ceiling(TINY).rank(asked, 10)
    gained = truth.gain(asked, best.ids)
    assert gained == pytest.approx(best.scores) and (np.diff(gained, axis=1) <= 1e-12).all()
    anyone = truth.gain(asked, np.tile(np.arange(400), (len(asked), 1)))
    assert gained[:, 0] == pytest.approx(anyone.max(axis=1))
    chance = truth.gain(asked, rng.integers(0, 400, (len(asked), 10)))
    assert gained.mean() > chance.mean() + 0.4


def test_what_was_asked_with_and_what_is_not_for_sale_gains_nothing(truth: world.World) -> None:
    asked = requests(truth)
    from_gallery = np.flatnonzero(asked.query_id >= 0)
    assert len(from_gallery) and not truth.gain(asked, asked.query_id[:, None])[from_gallery].any()
    every = truth.gain(asked, np.tile(np.arange(400), (len(asked), 1)))
    shop = truth.pictures.shop > 0
    buys = asked.shop_only > 0
    assert buys.any() and not every[buys][:, ~shop].any() and every[~buys][:, ~shop].any()
    assert not truth.gain(asked, np.full((len(asked), 2), -1)).any()


def test_gain_answers_in_any_order_and_for_the_log_too(truth: world.World) -> None:
    asked, ids = requests(truth), np.random.default_rng(0).integers(0, 400, (120, 5))
    order = np.random.default_rng(1).permutation(120)
    assert np.array_equal(truth.gain(asked.take(order), ids[order]), truth.gain(asked, ids)[order])
    log = truth.log
    of_log = replace(
        asked.take(np.zeros(len(log), np.int64)),
        user_id=truth.log_searches.user_id[log.request],
        event_time=truth.log_searches.event_time[log.request],
        query_id=np.full(len(log), -1),
        shop_only=np.zeros(len(log), np.int64),
    )
    assert truth.gain(of_log, log.image[:, None])[:, 0] == pytest.approx(log.grade)


def test_words_beside_a_photo_change_what_is_wanted(truth: world.World) -> None:
    judged = truth.judged
    both = np.flatnonzero(judged.kind == asking.BOTH)
    names = {word: one for one, words in enumerate(wording.WORDS) for value in words for word in value.split("/")}
    meant = truth.shot.thing.take(np.arange(len(truth.shot)))
    for row in both.tolist():
        photo, wanted = judged.photo[row], judged.wanted.take(np.array([row]))
        before = {name: getattr(meant, name)[photo, scenes.MEANT] for name in ("shape", "material", "pattern", "hue")}
        moved = {name for name, value in before.items() if getattr(wanted, name)[0] != value}
        said = names[str(judged.text[row]).split()[-1]]
        assert moved == {("shape", "material", "pattern", "hue")[said]} and wanted.item_id[0] == -1


# ------------------------------------------------------------------------------------------------------- what training must not see


def test_unseen_combinations_are_in_the_gallery_and_the_key_and_nowhere_in_training(truth: world.World) -> None:
    of, asked, log = truth.pictures, truth.log_searches, truth.log
    until = world.START + world.TEST_FROM * TINY.days * 86_400
    early = asked.event_time[log.request] < until
    assert of.unseen.mean() > 0.1 and not of.unseen[log.image[early]].any()
    assert of.unseen[log.image[~early]].any(), "once the collection is there, it is shown"
    assert not of.unseen[truth.pairs[1]].any()
    photos = truth.shot.thing.take(np.arange(TINY.num_photos))
    of_log = things.Things(**{name: column[:, scenes.MEANT] for name, column in vars(photos).items()})
    assert not things.unseen(0, of_log).any()
    assert not of.unseen[asked.query_id[asked.query_id >= 0]].any()
    whole = (asked.wanted.shape >= 0) & (asked.wanted.pattern >= 0) & ~np.isnan(asked.wanted.hue)
    wished = asked.take(whole).wanted
    assert whole.sum() > 100 and not things.unseen_wish(0, wished.shape, wished.pattern, wished.hue).any()
    new = truth.judged.wanted
    asks = (new.shape >= 0) & (new.pattern >= 0) & ~np.isnan(new.hue)
    assert things.unseen_wish(0, new.shape[asks], new.pattern[asks], new.hue[asks]).mean() > 0.08


def test_who_is_judged_never_searched_before(truth: world.World) -> None:
    assert not set(truth.judged.user_id.tolist()) & set(truth.log_searches.user_id.tolist())
    shot = len(truth.shot)
    own = truth.judged.photo[(truth.judged.photo >= 0) & (truth.judged.photo < shot)]
    assert own.min() >= TINY.num_photos and len(np.unique(own)) == len(own), "a photo each, none of the log's"


def test_no_column_of_the_catalogue_equals_a_latent(truth: world.World) -> None:
    of, catalog = truth.pictures, truth.catalog
    latents = [
        of.thing.hue,
        of.thing.tone,
        *(of.thing.shape == shape for shape in range(16)),
        of.thing.material,
        of.thing.pattern,
    ]
    columns = [
        *catalog.numbers.values(),
        catalog.shop,
        catalog.private,
        catalog.explicit,
        catalog.fingerprint.astype(float),
    ]
    for column in columns:
        for latent in latents:
            assert abs(np.corrcoef(column.astype(float), latent.astype(float))[0, 1]) < 0.3
    assert (catalog.label == -1).all()


# -------------------------------------------------------------------------------------------------------------------------- words


def test_texts_name_some_of_it_in_synonyms_and_err() -> None:
    of = things.pictures(0, np.arange(4_000), 14)
    texts = [set(text.replace("#", "").split()) for text in wording.texts(0, of).tolist()]
    forms = [set(words.split("/")) for words in wording.WORDS[wording.SHAPE]]
    names = np.array([bool(text & forms[shape]) for text, shape in zip(texts, of.thing.shape, strict=True)])
    other = np.array(
        [
            any(text & form for at, form in enumerate(forms) if at != shape)
            for text, shape in zip(texts, of.thing.shape, strict=True)
        ]
    )
    shop = of.shop > 0
    assert 0.85 < names[shop].mean() < 0.98 and 0.4 < names[~shop].mean() < 0.6
    assert 0.005 < other[shop].mean() < other[~shop].mean() < 0.12
    vases = [text for text, shape in zip(texts, of.thing.shape, strict=True) if shape == 0][:60]
    assert any(not one & another for one in vases for another in vases), "no synonyms: words would be too easy"


def test_a_query_says_what_is_wanted(truth: world.World) -> None:
    words = truth.judged.kind == asking.WORDS
    for text, shape in zip(truth.judged.text[words].tolist(), truth.judged.wanted.shape[words].tolist(), strict=True):
        said = set(text.split())
        assert said and said <= set(wording.VOCABULARY)
        assert shape < 0 or said & set(wording.WORDS[wording.SHAPE][shape].split("/"))


# ---------------------------------------------------------------------------------------------------------------------------- log


def test_people_look_as_planted() -> None:
    """All alike: the clicks of place p fall as p ** -steepness; with steepness 0 they do not."""
    n, rng = 20_000, np.random.default_rng(0)
    grade, thing = np.full((n, 10), 0.6), things.things(0, np.arange(n * 10) % 997)
    ids, users, time = np.arange(n * 10), np.repeat(np.arange(n), 10), np.full(n * 10, world.START)
    for steepness in (0.9, 0.0):
        clicked = history.react(0, grade, thing, ids, users, time, steepness, rng)
        share = clicked.mean(axis=0) / clicked[:, 0].mean()
        assert share == pytest.approx(history.examination(np.arange(1, 11), steepness), abs=0.03)


def test_clicks_follow_grades_and_linger_on_what_is_alike(truth: world.World) -> None:
    log = truth.log
    assert 0.02 < log.clicked.mean() < 0.1, "sparse"
    assert log.grade[log.clicked].mean() > log.grade.mean() + 0.15
    assert (log.dwell[log.clicked] >= 1).all() and not log.dwell[~log.clicked].any()
    rng = np.random.default_rng(0)
    assert history.dwell(np.full(2_000, 0.9), rng).mean() > 2 * history.dwell(np.full(2_000, 0.2), rng).mean()


def test_what_appeals_drifts_and_the_drift_is_the_platforms() -> None:
    thing, time = things.things(0, np.arange(300)), np.full(300, world.START)
    now, later = (history.appeal(0, thing, time + days * 86_400) for days in (0, 8))
    assert np.abs(now - later).mean() > 0.1 and np.abs(now).max() < 1
    same = np.flatnonzero((thing.shape == thing.shape[0]) & (thing.colour == thing.colour[0]))
    assert np.ptp(now[same]) == 0


def test_the_old_engine_is_better_than_chance_and_far_from_best(truth: world.World) -> None:
    log, asked = truth.log, truth.log_searches
    chance = likeness.grades(
        asked.wanted.take(log.request), truth.pictures.thing.take(np.random.default_rng(0).permutation(log.image))
    )
    assert chance.mean() + 0.01 < log.grade.mean() < 0.5


def test_nothing_hidden_new_or_asked_with_was_shown(truth: world.World) -> None:
    log, of, asked = truth.log, truth.pictures, truth.log_searches
    assert not of.private[log.image].any() and not of.explicit[log.image].any()
    assert (of.uploaded[log.image] < asked.event_time[log.request]).all()
    assert (log.image != asked.query_id[log.request]).all()
    keys = log.request * 1_000 + log.image
    assert len(np.unique(keys)) == len(keys), "no image twice on a page"


def test_searches_of_one_photo_come_together(truth: world.World) -> None:
    asked = truth.log_searches
    own = np.flatnonzero((asked.photo >= 0) & (asked.query_id < 0))
    photo, first, count = np.unique(asked.photo[own], return_index=True, return_counts=True)
    assert count.max() >= 3
    after = asked.event_time[own] - asked.event_time[own][first][np.searchsorted(photo, asked.photo[own])]
    assert (after >= 0).all() and np.quantile(after, 0.99) < 3_600
    users = asked.user_id[own]
    assert (users == users[first][np.searchsorted(photo, asked.photo[own])]).all()


def test_raters_are_nearly_right(truth: world.World) -> None:
    photo, image, grade = truth.pairs
    assert set(np.unique(grade)) <= {0.0, 0.25, 0.5, 0.75, 1.0} and len(grade) == TINY.num_pairs
    assert len(np.unique(photo)) < 0.62 * TINY.num_photos and photo.max() < TINY.num_photos
    meant = truth.shot.thing.take(photo)
    thing = things.Things(**{name: column[:, scenes.MEANT] for name, column in vars(meant).items()})
    true = likeness.grades(
        likeness.like(thing, np.tile(likeness.CARES, (len(grade), 1))), truth.pictures.thing.take(image)
    )
    wrong = np.abs(grade - true) > 0.126
    assert 0.02 < wrong.mean() < 2 * rating.ERRS and (grade >= 0.75).mean() > 0.1 and (grade <= 0.25).mean() > 0.2


def test_same_seed_same_bytes() -> None:
    config = replace(TINY, num_images=80, num_searches=60, num_photos=40, num_pairs=30, num_judged=20)
    fields = (
        config.seed,
        config.num_users,
        80,
        60,
        40,
        30,
        20,
        config.days,
        config.side,
        config.clutter,
        config.steepness,
    )
    one, two = (world._make.__wrapped__(*fields) for _ in range(2))
    assert np.array_equal(one.photos.pixels, two.photos.pixels) and np.array_equal(one.log.clicked, two.log.clicked)
    assert one.catalog.text.tolist() == two.catalog.text.tolist()
    other = world._make.__wrapped__(1, *fields[1:])
    assert not np.array_equal(one.catalog.images.pixels, other.catalog.images.pixels)
