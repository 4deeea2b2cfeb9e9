"""What is true of things, and of the gallery's images of them: a function of (seed, id) alone, but for the time of upload, which the days of the
log bound."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from common.contract import Bools, Floats, Ints
from common.population import DAY, Population, choice, uniform

START = 20_250 * DAY  # the first second of the log, UTC
TEST_FROM = 0.85  # share of the days after which requests are judged
OWNS = 20  # images in a row that belong to one person

SHAPES = (
    "vase", "chair", "lamp", "bag", "shoe", "cup", "dress", "clock", "plant", "bottle", "sofa", "teapot", "hat", "guitar", "umbrella", "shirt",
)  # fmt: skip
NEW_SHAPE = len(SHAPES)  # a kite: no gallery of ours and no log has one
MATERIALS = ("ceramic", "metal", "wood", "cloth")
PATTERNS = ("plain", "stripes", "dots", "checks", "zigzag", "marbled")
COLOURS = ("red", "orange", "yellow", "lime", "green", "teal", "blue", "indigo", "purple", "pink")
PLAIN = 0
HALF_NAME = 0.5 / len(COLOURS)  # of the circle of hues, on either side of a name's middle

# The frozen strengths: changing one changes every number of the case.
PER_ITEM = 0.35  # an image is of a new thing, not of the one before it: one to four images of each
OF_CREATOR = 0.6  # of a creator's things have the shape the creator mostly makes
PATTERNED = np.array([0.28, 0.18, 0.15, 0.14, 0.12, 0.13])
SECONDS = np.array([0.45, 0.25, 0.3])  # of the patterns: on cream, on charcoal, on another hue
SHOP, PRIVATE, EXPLICIT, COPIED = 0.4, 0.083, 0.01, 0.03  # shares; private: of the posts
UNSEEN = 0.2  # of the combinations of shape, pattern and colour: nobody had them before the judged days
FINGERPRINT_BITS = 52
BEFORE = 40.0  # days before the log begins the oldest image was uploaded


@dataclass(frozen=True, kw_only=True)
class Things:
    """[n] each, or any shape. `shape` -1: no thing. hue in [0, 1) runs round the circle of COLOURS; `second` in [0, 1) is a hue, 2 is cream, 3 is
    charcoal; tone from 0 dark to 1 light; `turn` in [0, 1) the angle and `grain` in [0, 1) the fineness of the pattern."""

    item_id: Ints
    shape: Ints
    material: Ints
    pattern: Ints
    hue: Floats
    second: Floats
    tone: Floats
    turn: Floats
    grain: Floats

    def __len__(self) -> int:
        return len(self.shape)

    def take(self, index: Ints | Bools) -> Things:
        return Things(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @staticmethod
    def joined(one: Things, other: Things) -> Things:
        """One after the other."""
        names = [field.name for field in fields(Things)]
        return Things(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})

    @property
    def colour(self) -> Ints:
        """The name whose middle is nearest."""
        return named(self.hue)


def things(seed: int, item_ids: Ints, shape: Ints | None = None) -> Things:
    """[n]; `shape`: given by who asks for a thing like that, else as its creator makes them."""
    draws = uniform(seed, "thing", item_ids, 9)
    people = Population(seed, len(SHAPES))
    usual = people.creator_topic(item_ids // OWNS)
    own = np.where(draws[:, 0] < OF_CREATOR, usual, choice(draws[:, 1], people.topic_shares))
    hue = draws[:, 4]
    other = (hue + 0.3 + 0.4 * draws[:, 6]) % 1
    second = np.choose(choice(draws[:, 5], SECONDS), [np.full(len(hue), 2.0), np.full(len(hue), 3.0), other])
    look = uniform(seed, "thing.look", item_ids, 3)
    return Things(
        item_id=np.asarray(item_ids, np.int64),
        shape=own if shape is None else shape,
        material=(draws[:, 2] * len(MATERIALS)).astype(np.int64),
        pattern=choice(draws[:, 3], PATTERNED),
        hue=hue,
        second=second,
        tone=look[:, 0],
        turn=look[:, 1],
        grain=look[:, 2],
    )


def named(hue: Floats) -> Ints:
    names: Ints = np.floor(hue * len(COLOURS) + 0.5).astype(np.int64) % len(COLOURS)
    return names


def unseen(seed: int, of: Things) -> Bools:
    """Which are of a combination that no row, pair or photo of training has."""
    return unseen_wish(seed, of.shape, of.pattern, of.hue)


def unseen_wish(seed: int, shape: Ints, pattern: Ints, hue: Floats) -> Bools:
    combination = (shape * len(PATTERNS) + pattern) * len(COLOURS) + named(hue)
    held: Bools = uniform(seed, "unseen", combination.ravel())[:, 0].reshape(combination.shape) < UNSEEN
    return held


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What is true of the gallery's images, [n] each."""

    image_id: Ints
    original: Ints  # the image it was copied from; itself for nearly all
    owner_id: Ints
    thing: Things
    shop: Ints
    private: Ints
    explicit: Ints
    uploaded: Ints
    fingerprint: Ints  # a copy differs in at most three bits
    unseen: Bools

    def __len__(self) -> int:
        return len(self.image_id)


def pictures(seed: int, ids: Ints, days: int) -> Pictures:
    """Any images, in blocks of any size."""
    original = _originals(seed, ids)
    thing = things(seed, items(seed, original))
    draws = uniform(seed, "image", original, 3)
    shop = draws[:, 0] < SHOP
    new = unseen(seed, thing)
    return Pictures(
        image_id=ids,
        original=original,
        owner_id=ids // OWNS,
        thing=thing,
        shop=shop.astype(np.int64),
        private=(~shop & (uniform(seed, "image.private", ids)[:, 0] < PRIVATE)).astype(np.int64),
        explicit=(draws[:, 1] < EXPLICIT).astype(np.int64),
        uploaded=_uploaded(seed, ids, original, new, days),
        fingerprint=_fingerprints(seed, ids, original),
        unseen=new,
    )


def items(seed: int, ids: Ints) -> Ints:
    """The thing on each image: ids of four in a row, cut where a new thing begins; it has the id of its first image."""
    back = np.arange(4)
    before = np.maximum(ids[:, None] - back, 0)
    fresh = uniform(seed, "image.item", before.ravel())[:, 0].reshape(before.shape) < PER_ITEM
    begins = fresh | (before % 4 == 0)
    first: Ints = ids - begins.argmax(axis=1)
    return first


def _originals(seed: int, ids: Ints) -> Ints:
    """A copy of a copy is one of the first."""
    original = np.asarray(ids, np.int64).copy()
    while True:
        draws = uniform(seed, "image.copied", original, 2)
        copied = (draws[:, 0] < COPIED) & (original > 0)
        if not copied.any():
            return original
        original = np.where(copied, (draws[:, 1] * original).astype(np.int64), original)


def _uploaded(seed: int, ids: Ints, original: Ints, new: Bools, days: int) -> Ints:
    """All before the judged requests begin; what is of an unseen combination in the two hours before, as a new collection is."""
    until = TEST_FROM * days

    def when(of: Ints) -> Ints:
        share = uniform(seed, "image.uploaded", of)[:, 0]
        at = np.where(new, until - share / 12, share * (BEFORE + until) - BEFORE)
        return (START + at * DAY).astype(np.int64)

    own = when(ids)
    return np.where(original == ids, own, np.maximum(own, when(original) + 60))


def _fingerprints(seed: int, ids: Ints, original: Ints) -> Ints:
    whole = 1 + (uniform(seed, "image.fingerprint", original)[:, 0] * (2.0**FINGERPRINT_BITS - 1)).astype(np.int64)
    bits = 1 << (uniform(seed, "image.recoded", ids, 3) * FINGERPRINT_BITS).astype(np.int64)
    return np.where(original == ids, whole, whole ^ np.bitwise_xor.reduce(bits, axis=1))
