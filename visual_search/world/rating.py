"""Pairs that people judged: how like a photo an image of the gallery is."""

from __future__ import annotations

import numpy as np

from common.contract import Bools, Floats, Ints
from visual_search.world.asking import Taken, pick
from visual_search.world.likeness import CARES, Wanted, grades, like
from visual_search.world.things import Pictures

# The frozen strengths: changing one changes every number of the case.
RATED = 0.6  # of the photos
PROMISING, TRIED = (
    0.5,
    12,
)  # share of the pairs that are the best of so many of the same shape; the rest is as the old engine would find it
SAME_ITEM = 0.15  # of the pairs show the very thing, where the gallery has it
SPARE = 2  # drawn for each that is kept: some come twice
ERRS = 0.08  # of the ratings are a step too high or too low


def rate(taken: Taken, early: Ints, gallery: Pictures, allowed: Bools, shown: tuple[Ints, Ints], num: int, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:  # fmt: skip
    """[num] each: photo, place in the gallery, grade in quarters; of the photos `early`. `shown`: photos and images of the log's
    pages, from which some are taken. No pair comes twice, so a tiny world may have fewer."""
    rated = rng.permutation(early)[: max(1, round(RATED * len(early)))]
    many = SPARE * num
    photo, lots = rated[rng.integers(0, len(rated), many)], rng.random(many)
    wanted = _common(taken).take(photo)
    image = _promising(taken, photo, wanted, gallery, allowed, rng)
    image = np.where(lots < SAME_ITEM, _same(wanted.item_id, gallery, allowed, image), image)
    known = np.isin(shown[0], rated)
    if known.any():
        page = np.flatnonzero(known)[rng.integers(0, known.sum(), many)]
        from_log = lots >= PROMISING
        photo, image = np.where(from_log, shown[0][page], photo), np.where(from_log, shown[1][page], image)
    photo, image = photo[image >= 0], image[image >= 0]
    _, first = np.unique(photo * len(gallery) + image, return_index=True)
    first = np.sort(first)[:num]
    photo, image = photo[first], image[first]
    return photo, image, _said(grades(_common(taken).take(photo), gallery.thing.take(image)), rng)


def _common(taken: Taken) -> Wanted:
    """Raters go by what matters to people on the whole."""
    return like(taken.thing, np.tile(CARES, (len(taken), 1)))


def _promising(taken: Taken, photo: Ints, wanted: Wanted, gallery: Pictures, allowed: Bools, rng: np.random.Generator) -> Ints:  # fmt: skip
    """The best of TRIED of the same shape, for each photo."""
    tried = np.stack([pick(gallery, allowed, taken.thing.shape[photo], rng) for _ in range(TRIED)], axis=1)
    grade = np.stack([grades(wanted, gallery.thing.take(column)) for column in tried.T], axis=1)
    return np.take_along_axis(tried, grade.argmax(axis=1)[:, None], 1)[:, 0]


def _same(item_id: Ints, gallery: Pictures, allowed: Bools, instead: Ints) -> Ints:
    """The first image of that very thing, where there is one."""
    places = np.flatnonzero(allowed)
    known, first = np.unique(gallery.thing.item_id[places], return_index=True)
    at = np.minimum(np.searchsorted(known, item_id), len(known) - 1)
    return np.where(known[at] == item_id, places[first[at]], instead)


def _said(grade: Floats, rng: np.random.Generator) -> Floats:
    step = np.where(rng.random(len(grade)) < ERRS, rng.choice([-1, 1], len(grade)), 0)
    rated: Floats = np.clip(np.round(4 * grade) + step, 0, 4) / 4
    return rated
