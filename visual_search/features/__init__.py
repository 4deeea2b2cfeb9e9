"""What is looked at of a photo, and what is known of an image beside how it looks, as of a moment.

In:     rows or requests with their photos, the catalogue as of training and the images put since, a feature store.
Out:    VIEWS; Features.seen: the meant part of each photo, cut out; Features.inputs(rows, store) -> Inputs; Features.over(put): the same with other images.
Choice: one preparation for gallery, training and serving: the part somebody marked or, unmarked, what stands out from the ground. Beside the encoder
        stand a colour histogram, words in common, and how often the image is clicked where it is looked at.
Else:   an object detector (VIS-63), where things of known classes are sought; nothing of clicks, where images live for hours.
Breaks: a photo in which something else stands out more (the slice `clutter`); a rate that says where an image used to stand: impressions count by how
        likely their place was taken to be looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.contract import Bools, FeatureStore, Floats, Ints
from common.data import columns
from common.features.copies import copies, regrouped
from common.features.views import Count, View
from visual_search.config import Config
from visual_search.features.catalogue import Joined, Pictures, joined, limited
from visual_search.features.histogram import DIM, Histograms, histograms
from visual_search.features.preparation import WHOLE, cut
from visual_search.features.proposal import is_found, propose
from visual_search.features.words import Words, learn
from visual_search.schema import Catalog, Crops, Dataset, Pixels, Requests, Rows, Texts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["NAMES", "VIEWS", "Features", "Inputs", "Seen", "fit", "is_whole", "load"]

VIEWS: tuple[View, ...] = (
    View("image", ("image_id",), (Count("impression"), Count("impression", "propensity_ppm"), Count("click"))),
)
(IMAGE,) = VIEWS
NAMES = ("histogram", "words", "rate", "shown")
STRENGTH = 20.0  # looks that the usual rate counts for
USUAL = 0.05  # the rate of a log in which nobody clicks
BLOCK = 20_000  # rows whose histograms are multiplied at once


def fit(dataset: Dataset, config: Config) -> Features:
    catalog, train = dataset.catalog, dataset.train
    clicked = train.image_id[train.label > 0]
    words = learn(catalog.text.tolist())
    bare = Features(
        pictures=_empty(), words=words, side=catalog.images.side, proposes=config.proposal, rate=_usual(train)
    )
    pictures = described(catalog, histograms(bare.prepared(catalog.images.pixels)))
    found = np.searchsorted(catalog.image_id, clicked[np.isin(clicked, catalog.image_id)])
    counted = replace(pictures, clicks=np.bincount(found, minlength=len(catalog)).astype(float))
    return replace(bare, pictures=counted)


def load(folder: Path) -> Features:
    said = json.loads((folder / "features.json").read_text())
    pictures = columns.load_dataclass(folder / "pictures.parquet", Pictures)
    return Features(pictures=pictures, words=columns.load_dataclass(folder / "words.parquet", Words), **said)


@dataclass(frozen=True, eq=False)
class Inputs:
    """`dense` [n, num_features], one row an image for a request; `names` of its columns."""

    dense: Floats
    names: tuple[str, ...] = NAMES


@dataclass(frozen=True, eq=False)
class Seen:
    """What is looked at, each part of each photo once, [m]: as squares, where it lies in its photo, its histogram. `which` [n]: the one of each row, -1
    for words alone."""

    pixels: Pixels
    crops: Crops
    histogram: Histograms
    which: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class Features:
    pictures: Pictures
    words: Words
    side: int
    proposes: bool
    rate: float = USUAL  # clicks a look

    def over(self, put: Pictures, gone: Ints) -> tuple[Features, Joined]:
        """The same over what there is by now; this is training's, and stays."""
        from scipy.sparse import csr_array, vstack

        now = joined(self.pictures, put, gone)
        groups = now.rows(*regrouped(self.groups, self.pictures.fingerprint, put.fingerprint, now.was))
        other = replace(self, pictures=limited(now.pictures, groups, put.image_id))
        said = vstack([self.said[now.left], self.words.said(put.text.tolist())])
        vars(other).update(said=csr_array(said)[now.order], groups=groups)
        return other, now

    def find(self, ids: Ints) -> Ints:
        """Index of each image, -1 for one that nobody knows."""
        known = self.pictures.image_id
        if not len(known):
            return np.full(ids.shape, -1)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, at, -1)

    @cached_property
    def groups(self) -> Ints:
        """[n]: copies of one image share a number; -1 has no copy."""
        return copies(self.pictures.fingerprint)

    @cached_property
    def said(self) -> csr_array:
        """[n, num_words] of owners."""
        return self.words.said(self.pictures.text.tolist())

    @cached_property
    def colours(self) -> Histograms:
        return self.pictures.histogram.astype(np.float32)

    @cached_property
    def popular(self) -> Ints:
        """ids, the most clicked first, and of those nobody clicked the newest."""
        return self.pictures.image_id[np.lexsort((-self.pictures.uploaded, -self.pictures.clicks))]

    def crops(self, pixels: Pixels, crops: Crops) -> Crops:
        """What is meant in each picture: as marked or, where that is NaN, as it stands out."""
        unmarked = np.flatnonzero(np.isnan(crops).any(axis=1))
        found = crops.copy()
        found[unmarked] = propose(pixels[unmarked]) if self.proposes else np.array(WHOLE, np.float32)
        return found

    def prepared(self, pixels: Pixels) -> Pixels:
        """Pictures nobody marked anything in, such as the gallery's -> [n, side, side, 3]."""
        return cut(pixels, self.crops(pixels, np.full((len(pixels), 4), np.nan, np.float32)), self.side)

    def seen(self, of: Rows | Requests) -> Seen:
        key = np.concatenate([of.photo[:, None], of.crop.astype(np.float32).view(np.int32)], axis=1)
        with_photo = np.flatnonzero(of.photo >= 0)
        _, first, back = np.unique(key[with_photo], axis=0, return_index=True, return_inverse=True)
        which = np.full(len(of), -1)
        which[with_photo] = back.ravel()
        pixels = of.photos.pixels[of.photo[with_photo[first]]]
        crops = self.crops(pixels, of.crop[with_photo[first]].astype(np.float32))
        parts = cut(pixels, crops, self.side)
        return Seen(parts, crops, histograms(parts), which)

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        seen = self.seen(rows)
        text, which = np.unique(rows.text, return_inverse=True)
        dense = self.dense(seen.histogram, seen.which, text, which, rows.image_id, rows.moment, store)
        return Inputs(dense)

    def dense(
        self, histogram: Histograms, photo: Ints, text: Texts, said: Ints, image_id: Ints, moment: Ints, store: FeatureStore
    ) -> Floats:  # fmt: skip
        """[n, len(NAMES)] of an image each for the photo histogram[photo[i]] (-1: none) and the words text[said[i]]."""
        index = self.find(image_id)
        key, back = np.unique(np.stack([image_id, moment]), axis=1, return_inverse=True)
        counts = store.read(IMAGE, key[0], key[1])[back.ravel()]
        shown, looks, clicks = counts.T
        rate = (clicks + self.rate * STRENGTH) / (looks / 1e6 + STRENGTH)
        return np.column_stack(
            [
                self._alike(histogram, photo, index),
                self._shared(self.words.said(text.tolist()), said, index),
                np.log(rate / self.rate),
                np.log1p(shown),
            ]
        )

    def _alike(self, histogram: Histograms, photo: Ints, index: Ints) -> Floats:
        alike = np.zeros(len(index))
        both = np.flatnonzero((photo >= 0) & (index >= 0))
        for at in range(0, len(both), BLOCK):
            rows = both[at : at + BLOCK]
            alike[rows] = np.einsum("nd,nd->n", histogram[photo[rows]], self.colours[index[rows]])
        return alike

    def _shared(self, asked: csr_array, said: Ints, index: Ints) -> Floats:
        shared = np.zeros(len(index))
        rows = np.flatnonzero((np.diff(asked.indptr)[said] > 0) & (index >= 0))
        if len(rows):
            shared[rows] = asked[said[rows]].multiply(self.said[index[rows]]).sum(axis=1)
        return shared

    def save(self, folder: Path) -> None:
        """Of what was put since nothing is saved: it is the platform's, and outlives this version."""
        columns.save_dataclass(folder / "pictures.parquet", self.pictures)
        columns.save_dataclass(folder / "words.parquet", self.words)
        names = ("side", "proposes", "rate")
        (folder / "features.json").write_text(json.dumps({name: getattr(self, name) for name in names}))


def is_whole(seen: Seen) -> Bools:
    """[n]: is there a photo, and is what is looked at all of it?"""
    whole = np.append(~is_found(seen.crops), False)
    found: Bools = whole[seen.which]
    return found


def described(catalog: Catalog, histogram: Histograms) -> Pictures:
    same = ("image_id", "owner_id", "text", "explicit", "private", "shop", "fingerprint")
    return Pictures(
        **{name: getattr(catalog, name) for name in same},
        uploaded=np.nan_to_num(catalog.numbers.get("uploaded", np.zeros(len(catalog)))),
        clicks=np.zeros(len(catalog)),
        histogram=histogram.astype(np.float16),
    )


def _usual(train: Rows) -> float:
    """Clicks a look, where a place p is looked at as 1 / p: the incumbent's belief, which its log holds."""
    known = np.isfinite(train.label)
    looks = (1 / (1.0 + train.slot[known])).sum()
    return float(train.label[known].sum() / looks) if train.label[known].any() else USUAL


def _empty() -> Pictures:
    none = np.empty(0, np.int64)
    return Pictures(
        **dict.fromkeys(("image_id", "owner_id", "explicit", "private", "shop", "fingerprint"), none),
        text=np.empty(0, np.str_),
        uploaded=np.empty(0),
        clicks=np.empty(0),
        histogram=np.empty((0, DIM), np.float16),
    )
