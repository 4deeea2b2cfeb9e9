"""What belongs together: the three ways to come by it (config.positives), as anchors with a bag of pictures each.

judged     what people called alike, pair by pair, and what they put into one class: right, dear, and there is little of it
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
from visual_search.schema import Dataset, Images, Pairs, Pixels

ALIKE = 0.75  # the grade from which two pictures belong together
POSITIVES = ("judged", "clicks", "augmented")


@dataclass(frozen=True, kw_only=True)
class Bags:
    """anchor [n], a picture each; the pictures it is like are members[first : first + size]. Without any it is there for its text."""

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
        return np.where(size > 0, np.append(self.bags.members, -1)[place], -1)

    def alike(self, left: Ints, right: Ints) -> Bools:
        """Pictures of shapes that broadcast -> of each two: the same one, of one class, or said to be alike."""
        classed = (self.label[left] == self.label[right]) & (self.label[left] >= 0)
        num = len(self.label)
        said = np.isin(left * num + right, self.known[:, 0] * num + self.known[:, 1])
        found: Bools = (left == right) | classed | said
        return found


def of(dataset: Dataset, learnt: Pairs, config: Config) -> Lesson:
    """`learnt`: the judged pairs that are not kept to choose by. InputError: no such positives, or none of them here."""
    if config.positives not in POSITIVES:
        raise InputError(f"--set positives={config.positives}: {did_you_mean(config.positives, POSITIVES)}")
    photos, known = _said(dataset, learnt, config.positives)
    catalog, label = dataset.catalog, np.full(len(photos) + len(dataset.catalog), -1)
    if config.positives == "judged":
        label[len(photos) :] = catalog.label
    texts, named = np.unique(catalog.text, return_inverse=True)
    text = np.concatenate([np.full(len(photos), -1), np.where(texts[named] == "", -1, named)])
    bags = _itself(dataset) if config.positives == "augmented" else _bags(known, label, text)
    if not bags.size.any():
        raise InputError(f"--set positives={config.positives}: nothing of that kind to learn from. Try augmented.")
    return Lesson(
        photos=photos.pixels, gallery=catalog.images.pixels, bags=bags, known=known, label=label, text=text,
        texts=texts.tolist(),
    )  # fmt: skip


def _said(dataset: Dataset, learnt: Pairs, positives: str) -> tuple[Images, Ints]:
    """-> the photos, and pairs [m, 2] of a photo and what it is like."""
    ids = dataset.catalog.image_id
    if positives == "clicks":
        rows = dataset.train.take((dataset.train.label == 1) & (dataset.train.photo >= 0))
        photos, photo, image_id = rows.photos, rows.photo, rows.image_id
    elif positives == "judged":
        kept = learnt.grade >= ALIKE
        photos, photo, image_id = learnt.photos, learnt.photo[kept], learnt.image_id[kept]
    else:
        photos, photo, image_id = dataset.train.photos, *np.empty((2, 0), np.int64)
    there = np.isin(image_id, ids)
    pairs = np.stack([photo[there], len(photos) + np.searchsorted(ids, image_id[there])], axis=1)
    return photos, np.unique(pairs, axis=0)


def _itself(dataset: Dataset) -> Bags:
    """Each picture of the gallery, and each photo that somebody asked with: their pool may hold others, those of the test among them."""
    shown = np.unique(dataset.train.photo[dataset.train.photo >= 0])
    every = np.concatenate([shown, len(dataset.train.photos) + np.arange(len(dataset.catalog))])
    return Bags(anchor=every, first=np.arange(len(every)), size=np.ones_like(every), members=every)


def _bags(known: Ints, label: Ints, text: Ints) -> Bags:
    """A pair each for what was said, its class for what has one, nothing for what has a text alone."""
    order = np.argsort(label, kind="stable")
    classed = order[np.searchsorted(label[order], 0) :]
    of = label[classed]
    first, last = np.searchsorted(of, of, side="left"), np.searchsorted(of, of, side="right")
    pairs, named = np.arange(len(known)), np.flatnonzero((text >= 0) & (label < 0))
    return Bags(
        anchor=np.concatenate([known[:, 0], classed, named]),
        first=np.concatenate([pairs, len(known) + first, np.zeros_like(named)]),
        size=np.concatenate([np.ones_like(pairs), last - first, np.zeros_like(named)]),
        members=np.concatenate([known[:, 1], classed]),
    )
