"""Toy pictures with a class: a bright shape of one colour on a dark, noisy ground, for tests of what looks at pictures."""

from __future__ import annotations

import numpy as np

from common.contract import Ints
from common.features.asof import AsOfStore
from visual_search.data.labelled import nothing
from visual_search.schema import Catalog, Dataset, Images, Pairs, Pixels, Requests, Rows

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 230)}
FORMS = ("bar", "pole", "block")
NAMES = [f"{colour} {form}" for colour in COLOURS for form in FORMS]
SIDE = 32


def drawn(label: Ints, seed: int) -> Pixels:
    """[n, SIDE, SIDE, 3]: each of its class, anywhere in the picture."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 80, (len(label), SIDE, SIDE, 3)).astype(np.uint8)
    for picture, of in zip(pixels, label.tolist(), strict=True):
        wide, high = {"bar": (20, 6), "pole": (6, 20), "block": (12, 12)}[FORMS[of % 3]]
        left, top = rng.integers(0, SIDE - wide), rng.integers(0, SIDE - high)
        picture[top : top + high, left : left + wide] = list(COLOURS.values())[of // 3]
    return pixels


def dataset(num_images: int = 180, num_photos: int = 60, labelled: bool = True) -> Dataset:
    """A gallery with texts (and classes), photos judged against it pair by pair and clicked on, and as many photos again to test with."""
    rng = np.random.default_rng(0)
    label, of_photo = np.arange(num_images) % len(NAMES), np.arange(num_photos) % len(NAMES)
    photos, none = Images(drawn(of_photo, 1)), np.zeros(num_photos, np.int64)
    catalog = Catalog(
        image_id=10 + np.arange(num_images), owner_id=np.full(num_images, -1), text=np.array(NAMES)[label],
        images=Images(drawn(label, 2)), label=label if labelled else np.empty(0, np.int64),
    )  # fmt: skip
    photo = np.repeat(np.arange(num_photos), 6)
    image = rng.integers(0, num_images, len(photo))
    image[::2] = of_photo[photo[::2]] + len(NAMES) * rng.integers(0, num_images // len(NAMES), len(photo[::2]))
    grade = np.where(label[image] == of_photo[photo], 1.0, 0.0)
    many = np.zeros(len(photo), np.int64)
    rows = Rows(
        user_id=many, photo=photo, photos=photos, image_id=10 + image, slot=many, event_time=many, moment=many, label=grade
    )  # fmt: skip
    return Dataset(
        train=rows, valid=rows.take(np.arange(0)), catalog=catalog, history=AsOfStore(nothing()),
        judged=Pairs(photo=photo, photos=photos, image_id=10 + image, grade=grade),
        test=Requests(
            user_id=none, photo=np.arange(num_photos), photos=Images(drawn(of_photo, 3)), event_time=none, moment=none
        ),
    )  # fmt: skip


def hit_rate(of_queries: Ints, nearest: Ints) -> float:
    """Share of queries [n] whose nearest image (its place in the gallery) is of their class."""
    return float(np.mean(nearest % len(NAMES) == of_queries))
