"""Who looks for what: people take photos of things they like, of the gallery or not, and search with them, with an image of the gallery, or with
words."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.population import Population, choice, uniform
from visual_search.schema import Crops, Texts
from visual_search.world import wording
from visual_search.world.likeness import Wanted, cares, like, middle
from visual_search.world.scenes import PHOTOS, Scenes, boxes, photos
from visual_search.world.things import (
    COLOURS,
    MATERIALS,
    PATTERNS,
    PLAIN,
    SHAPES,
    START,
    Pictures,
    Things,
    named,
    things,
    unseen,
    unseen_wish,
)

KINDS = ("photo", "photo and crop", "words", "photo and words", "gallery image")
PHOTO, CROP, WORDS, BOTH, GALLERY = range(len(KINDS))
NEW, WORDED = (
    2**41,
    2**45,
)  # ids of things that no gallery has begin here, and of those that words speak of so much further

# The frozen strengths: changing one changes every number of the case.
ASKED = np.array([0.38, 0.17, 0.2, 0.17, 0.08])  # shares of the kinds
KNOWN = 0.5  # of the photos show a thing that the gallery has an image of
CHANGES, CHANGED = (
    (wording.COLOUR, wording.MATERIAL, wording.PATTERN),
    np.array([0.5, 0.25, 0.25]),
)  # by words, beside a photo
SHOP_ONLY = 0.1  # of the searches are for what can be bought; the old engine did not offer that
LATE = 0.2  # of the people come for the first time in the judged days: the judged are theirs
AGAIN = 300.0  # seconds from one search with a photo to the next, on average
LOOSE = 0.06  # by as much of the side a person's crop misses the thing
MOVES = 0.6  # strength of the drift of what is asked for


@dataclass(frozen=True, kw_only=True)
class Searches:
    """[n] each, in order of time. `photo`: its place, -1 for words alone. `wanted` is what is meant, words and all."""

    user_id: Ints
    event_time: Ints
    kind: Ints
    photo: Ints
    query_id: Ints
    text: Texts
    crop: Crops
    shop_only: Ints
    wanted: Wanted

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools | slice) -> Searches:
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return Searches(
            **{name: column.take(index) if name == "wanted" else column[index] for name, column in held.items()}
        )


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Photos, [n]: by whom, when, of what."""

    user_id: Ints
    event_time: Ints
    scene: Scenes
    thing: Things

    def __len__(self) -> int:
        return len(self.user_id)


def is_late(seed: int, user_ids: Ints) -> Bools:
    late: Bools = uniform(seed, "user.late", user_ids)[:, 0] < LATE
    return late


def people(seed: int, num_users: int, num: int, late: bool, rng: np.random.Generator) -> Ints:
    """[num] who search, by how often they come by; late: those who never did before the judged days."""
    ids = np.arange(num_users)
    weights = Population(seed).activity(ids) * (is_late(seed, ids) == late)
    return rng.choice(num_users, num, p=weights / weights.sum())


def times(seed: int, begin: float, end: float, num: int, rng: np.random.Generator) -> Ints:
    """[num] in order, between two days of the log, by the hours of the platform."""
    hours = START + 3_600 * np.arange(round(24 * begin), round(24 * end))
    traffic = Population(seed).daily(hours)
    return np.sort(rng.choice(hours, num, p=traffic / traffic.sum()) + rng.integers(0, 3_600, num))


def liked(seed: int, user_ids: Ints, event_times: Ints, rng: np.random.Generator) -> Ints:
    """[n] shapes: each of this person's taste, as it is at that time."""
    crowd = Population(seed, len(SHAPES))
    share = crowd.tastes(user_ids) * np.exp(crowd.trend(event_times, MOVES))
    edges = (share / share.sum(axis=1, keepdims=True)).cumsum(axis=1)
    shape: Ints = np.minimum((rng.random((len(user_ids), 1)) > edges).sum(axis=1), len(SHAPES) - 1)
    return shape


def pick(of: Pictures, allowed: Bools, shape: Ints, rng: np.random.Generator) -> Ints:
    """[n] places in the gallery: of each shape asked for, any that is allowed; -1 where there is none."""
    order = np.flatnonzero(allowed)
    order = order[np.argsort(of.thing.shape[order], kind="stable")]
    begin, end = (np.searchsorted(of.thing.shape[order], shape, side=side) for side in ("left", "right"))
    at = begin + (rng.random(len(shape)) * (end - begin)).astype(np.int64)
    return np.where(end > begin, order[np.minimum(at, len(order) - 1)], -1)


def take_photos(seed: int, ids: Ints, user_ids: Ints, event_times: Ints, gallery: Pictures, clutter: float, rng: np.random.Generator, new: bool) -> Taken:  # fmt: skip
    """Photos `ids` (0, 1, ...); new: of any combination, else of those that training may know."""
    shape = liked(seed, user_ids, event_times, rng)
    open_to_all = (gallery.private == 0) & (gallery.explicit == 0) & (new | ~gallery.unseen)
    place = np.where(rng.random(len(ids)) < KNOWN, pick(gallery, open_to_all, shape, rng), -1)
    own = things(seed, NEW + ids, shape)
    thing = mixed(gallery.thing.take(place), own if new else seen(seed, own), place >= 0)
    return Taken(
        user_id=user_ids, event_time=event_times, scene=photos(seed, PHOTOS + ids, thing, clutter), thing=thing
    )


def mixed(one: Things, other: Things, where: Bools) -> Things:
    return Things(
        **{field.name: np.where(where, getattr(one, field.name), getattr(other, field.name)) for field in fields(one)}
    )


def seen(seed: int, thing: Things) -> Things:
    """The same, but with the next pattern (and then colour) where the combination is one that training must not know."""
    pattern, hue = thing.pattern.copy(), thing.hue.copy()
    for turn in range(1, len(PATTERNS) * len(COLOURS)):
        moved = Things(**{**vars(thing), "pattern": pattern, "hue": hue})
        strange = unseen(seed, moved)
        if not strange.any():
            break
        pattern = np.where(strange, (pattern + 1) % len(PATTERNS), pattern)
        if turn % len(PATTERNS) == 0:
            hue = np.where(strange, (hue + 1 / len(COLOURS)) % 1, hue)
    return moved


def searches(seed: int, first: int, user_id: Ints, event_time: Ints, taken: Taken, gallery: Pictures, new: bool, rng: np.random.Generator, asked: Floats = ASKED) -> Searches:  # fmt: skip
    """By these people at these times, or by whom and when a photo was `taken`, which it names by its place; an image of the gallery has none yet.
    `first`: of numbers that no other searches have. new: see `take_photos`. `asked`: shares of KINDS."""
    num, user, time = len(user_id), user_id.copy(), event_time.copy()
    kind = choice(rng.random(num), asked)
    shape = liked(seed, user, time, rng)
    open_to_all = (gallery.private == 0) & (gallery.explicit == 0) & (new | ~gallery.unseen)
    place = pick(gallery, open_to_all, shape, rng)
    kind = np.where((kind == GALLERY) & (place < 0), WORDS, kind)
    with_photo = np.flatnonzero(np.isin(kind, (PHOTO, CROP, BOTH)))
    which, again = _which(len(with_photo), len(taken), rng)
    photo = np.full(num, -1)
    photo[with_photo] = which
    user[with_photo] = taken.user_id[which]
    later = np.where(again, 1 + rng.exponential(AGAIN, len(which)), 0).astype(np.int64)
    time[with_photo] = taken.event_time[which] + later
    own = things(seed, NEW + WORDED + first + np.arange(num), shape)
    thing = mixed(gallery.thing.take(place), own if new else seen(seed, own), kind == GALLERY)
    thing = mixed(taken.thing.take(photo), thing, photo >= 0)
    wanted, text = _said(seed, user, kind, like(thing, cares(seed, user)), new, rng)
    found = Searches(
        user_id=user,
        event_time=_apart(user, time),
        kind=kind,
        photo=photo,
        query_id=np.where(kind == GALLERY, gallery.image_id[place], -1),
        text=text,
        crop=_crops(taken.scene, np.where(kind == CROP, photo, -1), rng),
        shop_only=(rng.random(num) < SHOP_ONLY * new).astype(np.int64),
        wanted=wanted,
    )
    return found.take(np.lexsort((user, found.event_time)))


def _which(num: int, num_photos: int, rng: np.random.Generator) -> tuple[Ints, Bools]:
    """The photo of each search: all once, as far as they go, then some again. -> places, and whether it is again."""
    once = rng.permutation(num_photos)[:num]
    again = once[(len(once) * rng.random(num - len(once)) ** 2).astype(np.int64)]  # some are asked with often
    return np.concatenate([once, again]), np.arange(num) >= len(once)


def _said(seed: int, user: Ints, kind: Ints, wanted: Wanted, new: bool, rng: np.random.Generator) -> tuple[Wanted, Texts]:  # fmt: skip
    """What is wanted once the words are added, and the words."""
    text = np.full(len(user), "", dtype="<U64")
    draws = rng.random((len(user), len(wording.ASKS) + 2))
    words, both = np.flatnonzero(kind == WORDS), np.flatnonzero(kind == BOTH)
    put = {field.name: getattr(wanted, field.name).copy() for field in fields(wanted)}
    _put(put, words, _named_only(wanted.take(words), draws[words, : len(wording.ASKS)]))
    text[words] = wording.queries(seed, user[words], Wanted(**put).take(words))
    changed, attribute = _changed(seed, wanted.take(both), draws[both], new)
    _put(put, both, changed)
    text[both] = wording.changes(seed, user[both], changed, attribute)
    return Wanted(**put), text


def _put(columns: dict[str, NDArray[np.generic]], at: Ints, of: Wanted) -> None:
    for name, column in columns.items():
        column[at] = getattr(of, name)


def _named_only(wanted: Wanted, draws: Floats) -> Wanted:
    """Some of it, by name; the shape if nothing else. Nobody asks in words for what has no pattern."""
    asks = draws < wording.ASKS
    asks[:, wording.PATTERN] &= wanted.pattern != PLAIN
    asks[:, wording.SHAPE] |= ~asks.any(axis=1)
    return Wanted(
        item_id=np.full(len(wanted), -1),
        shape=np.where(asks[:, wording.SHAPE], wanted.shape, -1),
        material=np.where(asks[:, wording.MATERIAL], wanted.material, -1),
        pattern=np.where(asks[:, wording.PATTERN], wanted.pattern, -1),
        hue=np.where(asks[:, wording.COLOUR], middle(named(wanted.hue)), np.nan),
        care=wanted.care,
    )


def _changed(seed: int, wanted: Wanted, draws: Floats, new: bool) -> tuple[Wanted, Ints]:
    """Like the photo but in another colour, material or pattern; the material where training must not know the others. -> it, and which."""
    attribute = np.array(CHANGES)[choice(draws[:, 0], CHANGED)]

    def other(value: Ints, num: int) -> Ints:
        return (value + 1 + (draws[:, 1] * (num - 1)).astype(np.int64)) % num

    drawn = 1 + (draws[:, 1] * (len(PATTERNS) - 1)).astype(np.int64)  # nobody asks for none
    pattern, colour = (
        np.where(drawn == wanted.pattern, drawn % (len(PATTERNS) - 1) + 1, drawn),
        other(named(wanted.hue), len(COLOURS)),
    )
    pattern = np.where(attribute == wording.PATTERN, pattern, wanted.pattern)
    hue = np.where(attribute == wording.COLOUR, middle(colour), wanted.hue)
    strange = unseen_wish(seed, wanted.shape, pattern, hue) & (not new)
    return (
        Wanted(
            item_id=np.full(len(wanted), -1),
            shape=wanted.shape,
            material=np.where(
                strange | (attribute == wording.MATERIAL), other(wanted.material, len(MATERIALS)), wanted.material
            ),
            pattern=np.where(strange, wanted.pattern, pattern),
            hue=np.where(strange, wanted.hue, hue),
            care=wanted.care,
        ),
        np.where(strange, wording.MATERIAL, attribute),
    )


def _crops(scene: Scenes, photo: Ints, rng: np.random.Generator) -> Crops:
    """[n, 4]: about the box of what is meant, where a photo is given; NaN else."""
    loose = LOOSE * (2 * rng.random((len(photo), 4)) - 1) + LOOSE / 2 * np.array([-1, -1, 1, 1])
    box = np.clip(boxes(scene)[photo] + loose, 0, 1)
    return np.where((photo >= 0)[:, None], box, np.nan).astype(np.float32)


def _apart(user: Ints, time: Ints) -> Ints:
    """Nobody searches twice in one second: who asked when is one search."""
    time = time.copy()
    while True:
        order = np.lexsort((time, user))
        same = (np.diff(user[order]) == 0) & (np.diff(time[order]) == 0)
        if not same.any():
            return time
        time[order[1:][same]] += 1
