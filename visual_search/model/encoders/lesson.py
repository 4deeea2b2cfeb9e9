"""What belongs together: the three ways to come by it (config.positives; several with a + between), as anchors with a bag of pictures each.

judged     what people called alike, pair by pair, and the classes they put pictures into: right, dear, and there is little of it
clicks     what was clicked on under a photo: cheap and plenty, but a click is a maybe, and only what was shown can be clicked on
augmented  each picture with another view of itself (SimCLR, Chen et al. 2020): free, and it never learns that two different vases are alike

What shares a bag, a class or a text is no negative of the other: a batch that says it is teaches the wrong thing (false negatives).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from common.contract import Bools, Ints
from common.errors import InputError, did_you_mean
from visual_search.config import Config
from visual_search.schema import Dataset, Pairs, Pixels

ALIKE = 0.75  # the grade from which two pictures belong together
POSITIVES = ("judged", "clicks", "augmented")


@dataclass(frozen=True, kw_only=True)
class Bags:
    """anchor [n], a picture each; the pictures it is like are members[first : first + size]. Without any it is there for its text or its
    class."""

    anchor: Ints
    first: Ints
    size: Ints
    members: Ints


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Pictures are numbered: photos first, then the gallery's. [num_pictures] each: `label`, its class, -1 unknown; `text`, its place in `texts`, -1
    without. `known` [m, 2]: pictures that are said to be alike."""

    photos: Pixels
    gallery: Pixels
    bags: Bags
    known: Ints
    label: Ints
    text: Ints
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.bags.anchor)

    def pixels(self, pictures: Ints) -> Pixels:
        """[n, side, side, 3]"""
        found = np.empty((len(pictures), *self.gallery.shape[1:]), np.uint8)
        of_photos = pictures < len(self.photos)
        found[of_photos] = self.photos[pictures[of_photos]]
        found[~of_photos] = self.gallery[pictures[~of_photos] - len(self.photos)]
        return found

    def partners(self, rows: Ints) -> Ints:
        """Of each anchor one member of its bag, by lot (torch's global generator); -1 where the bag is empty."""
        size, lot = self.bags.size[rows], torch.rand(len(rows)).numpy()
        place = self.bags.first[rows] + (lot * size).astype(np.int64)
        return np.where(size > 0, self.bags.members[place], -1)

    def alike(self, left: Ints, right: Ints) -> Bools:
        """Pictures of shapes that broadcast -> of each two: the same one, of one class, or said to be alike."""
        classed = (self.label[left] == self.label[right]) & (self.label[left] >= 0)
        num = len(self.label)
        said = np.isin(left * num + right, self.known[:, 0] * num + self.known[:, 1])
        found: Bools = (left == right) | classed | said
        return found


def of(dataset: Dataset, learnt: Pairs, config: Config) -> Lesson:
    """`learnt`: the judged pairs that are not kept to choose by. InputError: no such positives, or none of them here."""
    kinds = config.positives.split("+")
    if unknown := [kind for kind in kinds if kind not in POSITIVES]:
        raise InputError(f"--set positives={config.positives}: {did_you_mean(unknown[0], POSITIVES)}")
    photos, known = _said(dataset, learnt, kinds)
    catalog, label = dataset.catalog, np.full(len(photos) + len(dataset.catalog), -1)
    if "judged" in kinds:
        label[len(photos) :] = catalog.label
        known = _classed(known, label)
    texts, named = np.unique(catalog.text, return_inverse=True)
    text = np.concatenate([np.full(len(photos), -1), np.where(texts[named] == "", -1, named)])
    views, alone = "augmented" in kinds, np.flatnonzero((text >= 0) | (label >= 0))
    if views:
        alone = np.union1d(alone, _shown(dataset, len(photos)))
    bags = _bags(known, alone, views)
    if not bags.size.any() and not (label >= 0).any():
        raise InputError(f"--set positives={config.positives}: nothing of that kind to learn from. Try augmented.")
    return Lesson(
        photos=photos,
        gallery=catalog.images.pixels,
        bags=bags,
        known=known,
        label=label,
        text=text,
        texts=texts.tolist(),
    )


def _said(dataset: Dataset, learnt: Pairs, kinds: Sequence[str]) -> tuple[Pixels, Ints]:
    """-> the photos, those that were shown first, and pairs [m, 2] of a photo and what it is like."""
    rows, shown, judged = dataset.train, dataset.train.photos.pixels, learnt.photos.pixels
    photos = shown if learnt.photos is rows.photos else np.concatenate([shown, judged])
    found = [np.empty((0, 2), np.int64)]
    if "clicks" in kinds:
        clicked = (rows.label == 1) & (rows.photo >= 0)
        found.append(np.stack([rows.photo[clicked], rows.image_id[clicked]], axis=1))
    if "judged" in kinds:
        kept = learnt.grade >= ALIKE
        found.append(np.stack([learnt.photo[kept] + len(photos) - len(judged), learnt.image_id[kept]], axis=1))
    pairs, ids = np.concatenate(found), dataset.catalog.image_id
    pairs = pairs[np.isin(pairs[:, 1], ids)]
    pairs[:, 1] = len(photos) + np.searchsorted(ids, pairs[:, 1])
    return photos, np.unique(pairs, axis=0)


def _classed(known: Ints, label: Ints) -> Ints:
    """A photo that is like images of one class, and of that class alone, is of it: `label` says so from now on. -> the pairs that say more than that."""
    photo, of_image = known[:, 0], label[known[:, 1]]
    lowest, highest = (np.full(len(label), fill) for fill in (np.iinfo(np.int64).max, -1))
    np.minimum.at(lowest, photo, of_image)
    np.maximum.at(highest, photo, of_image)
    one = (lowest == highest) & (lowest >= 0)
    label[one] = highest[one]
    found: Ints = known[~one[photo]]
    return found


def _shown(dataset: Dataset, num_photos: int) -> Ints:
    """The gallery's pictures and the photos that somebody asked with: their pool may hold others, those of the test among them."""
    asked = np.unique(dataset.train.photo[dataset.train.photo >= 0])
    return np.concatenate([asked, num_photos + np.arange(len(dataset.catalog))])


def _bags(known: Ints, alone: Ints, itself: bool) -> Bags:
    """A pair each for what was said; for what stands alone itself, or nothing: then it has a text or a class."""
    pairs, num = np.arange(len(known)), np.arange(len(alone))
    return Bags(
        anchor=np.concatenate([known[:, 0], alone]),
        first=np.concatenate([pairs, len(known) + num]),
        size=np.concatenate([np.ones_like(pairs), np.full(len(alone), int(itself))]),
        members=np.concatenate([known[:, 1], alone]),
    )
