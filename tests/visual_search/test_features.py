"""What is looked at of a picture, and what is known of an image: planted boxes are found, colours and words are what an independent count says."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.contract import Events, Floats
from common.errors import InputError
from common.features.asof import AsOfStore
from visual_search import world
from visual_search.config import SMOKE
from visual_search.features import IMAGE, NAMES, STRENGTH, Features, album, described
from visual_search.features.catalogue import UNSAID, Pictures
from visual_search.features.histogram import BINS, DIM, GREY, HUES, SATURATIONS, VALUES, colours, histograms
from visual_search.features.preparation import LEAST, WHOLE, cut, squares
from visual_search.features.proposal import is_found, propose
from visual_search.features.words import learn
from visual_search.schema import Catalog, Crops, Images, Pixels, Rows

SIDE = 32
TEXTS = ["red vase", "a blue chair, wooden", "red chair", "", "striped vase"]


def squares_on_ground(num: int, seed: int, side: int = 64) -> tuple[Pixels, Crops]:
    """A dark square somewhere on a ground whose light falls off to one side -> pictures, where the square is."""
    rng = np.random.default_rng(seed)
    across = np.linspace(0, 1, side)
    pixels = np.empty((num, side, side, 3), np.uint8)
    boxes = np.empty((num, 4))
    for at in range(num):
        tilt = rng.uniform(-60, 60)
        ground = 170 + tilt * across[None, :, None] + rng.normal(0, 3, (side, side, 3))
        left, top = rng.integers(side // 8, side // 3, 2)
        width, height = rng.integers(side // 3, side // 2, 2)
        ground[top : top + height, left : left + width] = rng.uniform(0, 80, 3)
        pixels[at] = np.clip(ground, 0, 255)
        boxes[at] = np.array([left, top, left + width, top + height]) / side
    return pixels, boxes.astype(np.float32)


def overlap(ours: Crops, theirs: Crops) -> Floats:
    """Intersection over union of each pair of boxes."""
    low, high = np.maximum(ours[:, :2], theirs[:, :2]), np.minimum(ours[:, 2:], theirs[:, 2:])
    both = np.clip(high - low, 0, None).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (ours, theirs)]
    share: Floats = both / (areas[0] + areas[1] - both)
    return share


# ------------------------------------------------------------------------------------------------------- proposal and crop


@pytest.mark.parametrize("side", [32, 64, 96, 100])
def test_a_thing_on_a_ground_is_found_where_it_is(side: int) -> None:
    pixels, boxes = squares_on_ground(60, 1, side)
    found = overlap(propose(pixels), boxes)
    assert found.mean() > 0.65 and found.min() > 0.4, "a little is added around it, on purpose"
    whole = np.tile(np.array(WHOLE, np.float32), (60, 1))
    assert overlap(whole, boxes).mean() < 0.4, "the control"


def test_the_worlds_things_are_found_among_others_better_than_by_looking_at_the_middle() -> None:
    of = world.make(
        replace(SMOKE, num_users=80, num_images=120, num_searches=150, num_photos=200, num_pairs=200, num_judged=100)
    )
    boxes = world.boxes(of.shot).astype(np.float32)
    pixels = of.photos.pixels[: len(boxes)]
    middle = np.tile(np.array([0.25, 0.25, 0.75, 0.75], np.float32), (len(boxes), 1))
    found, by_place = overlap(propose(pixels), boxes), overlap(middle, boxes)
    assert found.mean() > by_place.mean() + 0.05 and found.mean() > 0.55


def test_where_nothing_stands_out_it_is_the_whole_picture() -> None:
    ground = np.full((3, 64, 64, 3), 200, np.uint8)
    assert not is_found(propose(ground)).any() and propose(ground[:0]).shape == (0, 4)


def test_a_picture_is_looked_at_alone() -> None:
    pixels, _ = squares_on_ground(70, 2)
    together = propose(pixels)
    assert all((propose(pixels[[at]])[0] == together[at]).all() for at in (0, 63, 64, 69))


def test_the_square_around_a_crop_holds_it_and_lies_inside() -> None:
    rng = np.random.default_rng(3)
    edges = np.sort(rng.random((500, 2, 2)), axis=1).astype(np.float32)
    crops = np.concatenate([edges[:, 0], edges[:, 1]], axis=1)
    around = squares(crops)
    assert ((around >= 0) & (around <= 1)).all()
    assert (around[:, :2] <= crops[:, :2] + 1e-6).all() and (around[:, 2:] >= crops[:, 2:] - 1e-6).all()
    sides = around[:, 2:] - around[:, :2]
    assert np.allclose(sides[:, 0], sides[:, 1], atol=1e-6)
    assert np.allclose(sides[:, 0], np.maximum((crops[:, 2:] - crops[:, :2]).max(axis=1), LEAST), atol=1e-6)


def test_what_is_cut_is_what_lies_there() -> None:
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    pixels[0, 16:48, 32:64] = (250, 20, 20)
    inside = cut(pixels, np.array([[0.55, 0.3, 0.95, 0.7]], np.float32), SIDE)
    assert inside.shape == (1, SIDE, SIDE, 3) and (inside == (250, 20, 20)).all()
    whole = np.array([WHOLE], np.float32)
    assert cut(pixels, whole, 64) is pixels, "nothing is copied where nothing is cut"
    assert abs(float(cut(pixels, whole, SIDE).mean()) - float(pixels.mean())) < 1.5


# ---------------------------------------------------------------------------------------------------------------- colours


def test_a_colour_is_what_the_standard_library_says() -> None:
    rng = np.random.default_rng(4)
    some = rng.integers(0, 256, (2_000, 3)).astype(np.uint8)
    found = colours(some)
    for pixel, bin_ in zip(some.tolist(), found.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in pixel))
        if abs(saturation - GREY) < 1e-3:
            continue
        if saturation < GREY:
            assert bin_ >= HUES * SATURATIONS * VALUES
            continue
        assert bin_ // (SATURATIONS * VALUES) == int(hue * HUES + 0.5) % HUES or abs(hue * HUES % 1 - 0.5) < 1e-3
        assert bin_ % VALUES == min(int(value * 255 / 256 * VALUES), VALUES - 1)


def test_a_histogram_counts_colours_by_quarter() -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
    found = histograms(pixels)
    assert found.shape == (4, DIM) and np.allclose(np.linalg.norm(found, axis=1), 1)
    turned = pixels[:, ::-1]  # upside down: the same colours, in other quarters
    other = histograms(turned)
    assert np.array_equal(found[:, :BINS], other[:, :BINS]) and not np.allclose(found, other)
    by_hand = np.bincount(colours(pixels[0]).ravel(), minlength=BINS) / SIDE**2
    assert np.allclose(found[0, :BINS], np.sqrt(0.5 * by_hand), atol=1e-6)


def test_the_same_picture_is_nearest_to_itself_and_a_red_one_to_a_red_one() -> None:
    red, blue = (np.full((1, SIDE, SIDE, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 30, 200)))
    dark = np.full((1, SIDE, SIDE, 3), (190, 40, 35), np.uint8)
    of = histograms(np.concatenate([red, blue, dark]))
    assert of[0] @ of[0] == pytest.approx(1) and of[0] @ of[2] > 0.9 and of[0] @ of[1] < 0.1


# ------------------------------------------------------------------------------------------------------------------ words


def test_words_are_weighed_as_a_library_weighs_them() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from common.features.text import analyse

    theirs = TfidfVectorizer(analyzer=analyse, binary=True)
    wanted = theirs.fit_transform(TEXTS).toarray()
    words = learn(TEXTS)
    assert words.token.tolist() == theirs.get_feature_names_out().tolist()
    assert np.allclose(words.said(TEXTS).toarray(), wanted)
    assert words.said(["unheard of"]).nnz == 0


# --------------------------------------------------------------------------------------------------- what is known of images


def catalog(num: int = len(TEXTS), seed: int = 6) -> Catalog:
    rng = np.random.default_rng(seed)
    return Catalog(
        image_id=np.arange(num) * 2,
        owner_id=np.arange(num) % 3,
        text=np.array(TEXTS)[np.arange(num) % len(TEXTS)],
        images=Images(rng.integers(0, 256, (num, SIDE, SIDE, 3)).astype(np.uint8)),
        private=(np.arange(num) == 1).astype(np.int64),
    )


def made(of: Catalog | None = None) -> Features:
    of = of or catalog()
    pictures = described(of, histograms(of.images.pixels))
    return Features(pictures=pictures, words=learn(of.text.tolist()), side=SIDE, proposes=False, rate=0.1)


def log(kinds: list[str], images: list[int], propensity: list[int]) -> AsOfStore:
    n = len(kinds)
    keys = {name: np.zeros(n, np.int64) for name in ("user_id", "request_id", "owner_id", "query_id")}
    return AsOfStore(
        Events(
            position=np.arange(n),
            kind=np.array(kinds),
            event_time=1_000 + np.arange(n),
            moment=np.arange(n),
            keys=keys | {"image_id": np.array(images)},
            values={"propensity_ppm": np.array(propensity)},
        )
    )


def asked(image_id: list[int], moment: int, text: str = "red") -> Rows:
    n = len(image_id)
    photos = Images(catalog().images.pixels[:1])
    return Rows(
        user_id=np.zeros(n, np.int64),
        photo=np.zeros(n, np.int64),
        photos=photos,
        image_id=np.array(image_id),
        slot=np.arange(n),
        event_time=np.full(n, 2_000),
        moment=np.full(n, moment),
        label=np.full(n, np.nan),
        text=np.full(n, text),
        crop=np.tile(np.array(WHOLE, np.float32), (n, 1)),
    )


def test_a_rate_counts_a_look_by_how_likely_the_place_is_looked_at() -> None:
    features = made()
    store = log(["impression", "impression", "click"], [0, 2, 0], [1_000_000, 500_000, 0])
    dense = dict(zip(NAMES, features.inputs(asked([0, 2, 4], 3), store).dense.T, strict=True))
    clicks, looks = np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.0])
    assert np.allclose(dense["rate"], np.log((clicks + 0.1 * STRENGTH) / (looks + STRENGTH) / 0.1))
    assert np.allclose(dense["shown"], np.log1p([1, 1, 0]))
    before = features.inputs(asked([0], 2), store).dense[0, NAMES.index("rate")]
    assert before < dense["rate"][0], "a click counts from the moment behind it on"


def test_the_image_itself_is_alike_in_colour_and_words_count_where_they_are_shared() -> None:
    features = made()
    dense = features.inputs(asked([0, 2, 4, 99], 0), log(["click"], [0], [0])).dense
    colours_, words = dense[:, NAMES.index("histogram")], dense[:, NAMES.index("words")]
    assert colours_[0] == pytest.approx(1, abs=1e-3) and colours_[1] < 0.999
    assert words[0] > 0 and words[2] > 0 and words[1] == 0, "red vase, red chair, and not the blue one"
    assert colours_[3] == words[3] == 0, "an image nobody knows"


def test_a_photo_asked_with_twice_is_looked_at_once() -> None:
    rows = asked([0, 2, 4], 0)
    seen = made().seen(replace(rows, photo=np.array([0, 0, -1])))
    assert len(seen.pixels) == 1 and seen.which.tolist() == [0, 0, -1]
    other = rows.crop.copy()
    other[1] = (0.0, 0.0, 0.5, 0.5)
    assert len(made().seen(replace(rows, crop=other)).pixels) == 2


def put(ids: list[int], **said: NDArray[np.int64]) -> Pictures:
    n = len(ids)
    pixels = np.full((n, SIDE, SIDE, 3), 99, np.uint8)
    unsaid = np.full(n, UNSAID)
    law: dict[str, Any] = {name: said.get(name, unsaid) for name in ("explicit", "private", "shop")}
    law["fingerprint"] = said.get("fingerprint", np.zeros(n, np.int64))
    of = Catalog(
        image_id=np.array(ids), owner_id=np.full(n, 7), text=np.full(n, "striped chair"), images=Images(pixels), **law
    )
    return described(of, histograms(pixels))


def test_what_is_put_stands_beside_what_was_and_deleted_is_gone() -> None:
    trained = made()
    features, joined = trained.over(put([2, 5], explicit=np.array([UNSAID, 1])), np.array([4]))
    pictures = features.pictures
    assert pictures.image_id.tolist() == [0, 2, 5, 6, 8]
    assert pictures.text[1] == "striped chair" and pictures.owner_id[1] == 7
    assert pictures.private[1] == 1, "nothing was said of who may see it, so it is as it was"
    assert pictures.explicit.tolist() == [0, 0, 1, 0, 0] and pictures.private[2] == 0
    assert np.allclose(features.said.toarray(), features.words.said(pictures.text.tolist()).toarray())
    assert np.array_equal(joined.rows(trained.pictures.image_id, np.array([2, 5])), pictures.image_id)
    assert trained.pictures.image_id.tolist() == [0, 2, 4, 6, 8], "training's stay as they are"
    assert features.find(np.array([4, 5])).tolist() == [-1, 2]


def test_a_copy_put_later_is_known_as_one_and_is_as_explicit_as_what_it_copies() -> None:
    trained = made()
    one, two, other, alone = np.random.default_rng(3).integers(1, 2**52, 4).tolist()
    prints = np.array([one, two, 0, two ^ 2, alone])  # 2 and 6 are copies of each other
    trained = replace(
        trained, pictures=replace(trained.pictures, fingerprint=prints, explicit=np.array([1, 0, 0, 0, 0]))
    )
    new = np.array([one ^ 3, two ^ 1, other, 0])
    features, _ = trained.over(put([1, 3, 5, 7], fingerprint=new), np.array([4]))
    of = dict(zip(features.pictures.image_id.tolist(), features.groups.tolist(), strict=True))
    assert of[0] == of[1] >= 0 and of[2] == of[3] == of[6] >= 0 and of[0] != of[2]
    assert of[5] == of[7] == of[8] == -1, "the control: others, and what is not known, are copies of nothing"
    assert dict(zip(features.pictures.image_id.tolist(), features.pictures.explicit.tolist(), strict=True)) == {
        0: 1, 1: 1, 2: 0, 3: 0, 5: 0, 6: 0, 7: 0, 8: 0
    }  # fmt: skip
    again, _ = trained.over(put([2], fingerprint=np.array([0])), np.array([6]))
    assert again.groups.tolist() == [-1, -1, -1, -1], "put again as another, it is a copy no more"
    assert features.groups.tolist() != trained.groups.tolist() and (trained.groups >= 0).sum() == 2


def test_of_what_nobody_clicked_the_newest_stands_first() -> None:
    pictures = replace(made().pictures, clicks=np.array([0.0, 3, 0, 1, 0]), uploaded=np.array([5.0, 1, 9, 1, 7]))
    assert replace(made(), pictures=pictures).popular.tolist() == [2, 6, 4, 8, 0]


def test_the_view_is_of_images_alone() -> None:
    assert IMAGE.entity == ("image_id",), "a system that knows nobody: what is kept is kept of images"


def test_an_album_comes_back_as_it_was_and_a_torn_one_is_refused(tmp_path: Path) -> None:
    of = album.album(catalog())
    of.save(tmp_path)
    again = album.load(tmp_path)
    assert again.image_id.tolist() == of.image_id.tolist() and list(again.jpeg) == list(of.jpeg)
    assert again.find(4) == of.jpeg[2] and again.find(5) is None and again.find(99) is None
    assert album.decoded(of.jpeg[0]).shape == (SIDE, SIDE, 3)
    path = tmp_path / album.FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="no whole album"):
        album.load(tmp_path)
