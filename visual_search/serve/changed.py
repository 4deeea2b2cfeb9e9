"""Images put and deleted while the case is served: looked at once each, as training looked at its own, and known beside those."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.contract import Ints
from common.data.pictures import unfolded
from common.errors import InputError
from visual_search.features import Features, described
from visual_search.features.album import encoded as as_jpeg
from visual_search.features.catalogue import UNSAID, Pictures
from visual_search.features.histogram import histograms
from visual_search.model import Model
from visual_search.model.parts import Vectors
from visual_search.schema import Catalog, Images, Item, Pixels

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Shelf:
    """Of what was put since training: [m] pictures, ascending by id, and a JPEG of each; the ids that were deleted."""

    pictures: Pictures
    jpeg: Mapping[int, bytes]
    gone: Ints

    def after(self, changes: Mapping[int, Item | None], put: Pictures, jpeg: Mapping[int, bytes]) -> Shelf:
        left = ~np.isin(self.pictures.image_id, list(changes))
        columns = {
            name: np.concatenate([column[left], getattr(put, name)]) for name, column in vars(self.pictures).items()
        }
        order = np.argsort(columns["image_id"], kind="stable")
        pictures = Pictures(**{name: column[order] for name, column in columns.items()})
        kept = {image_id: one for image_id, one in self.jpeg.items() if image_id not in changes}
        gone = np.setdiff1d(np.union1d(self.gone, list(changes)), put.image_id).astype(np.int64)
        return Shelf(pictures, {**kept, **jpeg}, gone)


def empty(features: Features) -> Shelf:
    nothing = np.empty((0, features.side, features.side, 3), np.uint8)
    return Shelf(_pictures(features, [], nothing, 0), {}, np.empty(0, np.int64))


def taken(
    trained: Model, before: Model, shelf: Shelf, changes: Mapping[int, Item | None], now: int
) -> tuple[Model, Shelf]:
    """`before` and its shelf with these images put or, where None, deleted. Neither is changed. A file that turns out to be no picture is left out, and
    the log says so: its header was good enough to be let in."""
    items, pixels = _unfolded(trained.features, changes)
    put = _pictures(trained.features, items, pixels, now)
    shelf = shelf.after(changes, put, {item.image_id: as_jpeg(one) for item, one in zip(items, pixels, strict=True)})
    features, _ = trained.features.over(shelf.pictures, shelf.gone)
    gallery = before.gallery.remove(np.array(sorted(changes), dtype=np.int64))
    if len(items):
        gallery = gallery.add(trained.encoder.fingerprint, put.image_id, _vectors(trained, pixels))
    other = trained.over(features, gallery)
    _ = other.held, features.colours, features.popular  # made here, beside the answers, and not in the first of them
    return other, shelf


def _unfolded(features: Features, changes: Mapping[int, Item | None]) -> tuple[list[Item], Pixels]:
    """Items that are pictures, ascending by id."""
    items, pixels = [], [np.empty((0, features.side, features.side, 3), np.uint8)]
    for image_id in sorted(changes):
        item = changes[image_id]
        if item is None:
            continue
        try:
            pixels.append(unfolded(item.image, features.side)[None])
        except InputError as error:
            logger.error("image %d is left out: %s", image_id, error)
        else:
            items.append(item)
    return items, np.concatenate(pixels)


def _pictures(features: Features, items: list[Item], pixels: Pixels, now: int) -> Pictures:
    def column(name: str, kind: type) -> Any:
        said = [getattr(item, name) for item in items]
        return np.array([UNSAID if value is None else value for value in said], dtype=kind)

    ids = ("image_id", "owner_id", "explicit", "private", "shop", "fingerprint")
    catalog = Catalog(
        **{name: column(name, np.int64) for name in ids}, text=column("text", np.str_), images=Images(pixels)
    )
    pictures = described(catalog, histograms(features.prepared(pixels)))
    return replace(pictures, uploaded=np.minimum(column("uploaded", np.float64), now))  # nothing is new before its time


def _vectors(trained: Model, pixels: Pixels) -> Vectors:
    return trained.encoder.images(trained.features.prepared(pixels))
