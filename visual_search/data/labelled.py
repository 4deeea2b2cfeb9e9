"""Pictures that somebody put into classes, as a Dataset: alike is who shares a class, and nobody clicked.

The gallery shows its classes, which is what an encoder learns from; photos held back (`valid`) come with the gallery's images of their class, to choose by; test
photos come without anything. A photo is searched with as a whole: it was taken of one thing. History is empty, moments are 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common import events
from common.contract import Events, Floats, Ints
from common.features.asof import AsOfStore
from visual_search.schema import (
    EVENTS,
    SHOWN,
    Catalog,
    Dataset,
    Images,
    Judgments,
    Pairs,
    Pixels,
    Requests,
    Rows,
    Texts,
)

WHOLE = (0.0, 0.0, 1.0, 1.0)  # the crop that is none
NEAR = 0.5  # the gain of another class of the same group
STRANGERS = 30  # images of other groups that a photo is said to be unlike


@dataclass(frozen=True, kw_only=True)
class Part:
    """Pictures and the class of each, [n]; `text`: what the gallery says of them, where that is not the name of the class."""

    pixels: Pixels
    label: Ints
    text: Texts | None = None
    shop: Ints | None = None

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, kw_only=True)
class Classes:
    """[num_classes]: what each is called, and the group it is of (its own, where there are none)."""

    name: Texts
    group: Ints


def dataset(gallery: Part, valid: Part, classes: Classes, published: str, test: Requests) -> Dataset:
    """The gallery in the order given: an image's id is its place. `valid` is judged against it: 1 for the same class, 0 for the rest of its group and
    for some strangers."""
    none = np.empty(0, np.int64)
    nobody = Rows(
        user_id=none, photo=none, photos=Images(valid.pixels[:0]), image_id=none, slot=none, event_time=none, moment=none,
        label=np.empty(0),
    )  # fmt: skip
    named = np.append(classes.name, "")[gallery.label]  # class -1 has no name
    catalog = Catalog(
        image_id=np.arange(len(gallery)),
        owner_id=np.full(len(gallery), -1),
        text=named if gallery.text is None else gallery.text,
        images=Images(gallery.pixels),
        shop=none if gallery.shop is None else gallery.shop,
        label=gallery.label,
    )
    return Dataset(
        train=nobody, valid=nobody, test=test, judged=_pairs(valid, gallery.label, classes), catalog=catalog,
        history=AsOfStore(nothing()), published=published,
    )  # fmt: skip


def asked(photos: Pixels, texts: Sequence[str] = (), shop_only: bool = False) -> Requests:
    """Each photo once, or each text, by somebody of its own."""
    num = len(texts) or len(photos)
    none = np.zeros(num, np.int64)
    return Requests(
        user_id=np.arange(num), photo=none - 1 if texts else np.arange(num), photos=Images(photos), event_time=none, moment=none,
        text=np.array(list(texts) or [""] * num, np.str_), crop=np.tile(np.array(WHOLE, np.float32), (num, 1)),
        shop_only=none + shop_only,
    )  # fmt: skip


def key(requests: Requests, label: Ints, truth: Ints, classes: Classes, slices: Mapping[str, Texts]) -> Judgments:
    """label [num_requests] of what is asked with; truth [num_images] of the gallery, -1 for what is no answer."""
    of_user = np.full(int(requests.user_id.max(initial=0)) + 1, -1)
    of_user[requests.user_id] = label
    group = np.append(classes.group, -1)

    def gain(these: Requests, ids: Ints) -> Floats:
        asked, shown = of_user[these.user_id][:, None], np.append(truth, -1)[ids]
        near = (group[shown] == group[asked]) & (shown >= 0)
        return np.where(near, np.where(shown == asked, 1.0, NEAR), 0.0)

    return Judgments(
        requests=requests, gain=gain, relevant=_same(label, truth), num_images=len(truth), slices=slices, origin="real"
    )


def _same(label: Ints, truth: Ints) -> Ints:
    """[n, m]: the images of each one's class, -1 pads."""
    num = int(max(label.max(initial=0), truth.max(initial=0))) + 1
    of_class = [np.flatnonzero(truth == one) for one in range(num)]
    padded = np.full((num, max([1, *map(len, of_class)])), -1)
    for row, members in zip(padded, of_class, strict=True):
        row[: len(members)] = members
    return padded[label]


def _pairs(valid: Part, shown: Ints, classes: Classes) -> Pairs:
    """By photo: its class, the rest of its group, strangers by lot."""
    rng = np.random.default_rng(0)
    group, known = np.append(classes.group, -1)[shown], np.flatnonzero(shown >= 0)
    photo, image = [], []
    for at, label in enumerate(valid.label.tolist()):
        near = np.flatnonzero(group == classes.group[label])
        some = rng.choice(known, min(STRANGERS, len(known)), replace=False)
        those = np.union1d(near, some)
        photo.append(np.full(len(those), at))
        image.append(those)
    photos, images = (np.concatenate([np.empty(0, np.int64), *each]) for each in (photo, image))
    grade = (shown[images] == valid.label[photos]).astype(float)
    return Pairs(photo=photos, photos=Images(valid.pixels), image_id=images, grade=grade)


def nothing() -> Events:
    """A log in which nothing has happened."""
    return events.of([], keys=SHOWN, values=dict.fromkeys(name for kind in EVENTS.values() for name in kind.values))
