"""What is known of the gallery's images, in the form models and rules read: of those training knew, and by the same code of those that are put later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from visual_search.schema import Texts

LAW = ("explicit", "private", "shop")
UNSAID = -1


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """[n] each, ascending by `image_id`."""

    image_id: Ints
    owner_id: Ints  # -1 unknown
    text: Texts
    explicit: Ints
    private: Ints
    shop: Ints
    fingerprint: Ints  # 0 unknown
    uploaded: Floats  # seconds UTC, 0 unknown
    clicks: Floats  # in training: what is shown where nothing is known
    histogram: NDArray[np.float16]  # [n, histogram.DIM]

    def __len__(self) -> int:
        return len(self.image_id)


@dataclass(frozen=True, eq=False)
class Joined:
    """The pictures there are by now, and where each comes from: an index among training's or, counted on from there, among those put."""

    pictures: Pictures
    order: Ints
    left: Ints  # of training's, those that are still as they were
    was: Ints  # of each that was put, the index of training's that it replaces, -1 for a new one

    def rows(self, trained: NDArray[Any], put: NDArray[Any]) -> NDArray[Any]:
        """A column of both as a column of `pictures`."""
        both: NDArray[Any] = np.concatenate([trained[self.left], put])[self.order]
        return both


def joined(trained: Pictures, put: Pictures, gone: Ints) -> Joined:
    """`trained` without `gone` and with `put` (its own ids replaced), always from what training knew: so the same after a restart. What is UNSAID of who
    may see an image is as it was, of a new one no limit."""
    at = np.minimum(np.searchsorted(trained.image_id, put.image_id), max(len(trained) - 1, 0))
    was = np.where(trained.image_id[at] == put.image_id, at, -1) if len(trained) else np.full(len(put), -1)
    left = np.flatnonzero(~np.isin(trained.image_id, np.concatenate([put.image_id, gone])))
    order = np.argsort(np.concatenate([trained.image_id[left], put.image_id]), kind="stable")
    said: dict[str, Any] = {"clicks": np.where(was >= 0, trained.clicks[was], 0.0)}
    for name in LAW:
        before = np.where(was >= 0, getattr(trained, name)[was], 0)
        said[name] = np.where(getattr(put, name) == UNSAID, before, getattr(put, name))
    put = Pictures(**vars(put) | said)
    columns = {
        name: np.concatenate([column[left], getattr(put, name)])[order] for name, column in vars(trained).items()
    }
    return Joined(Pictures(**columns), order, left, was)


def limited(pictures: Pictures, groups: Ints, put: Ints) -> Pictures:
    """Those with ids `put` explicit where a copy of them is, in groups [n]: that is of what is seen. Private is what an owner says of one picture."""
    explicit, of_put = pictures.explicit.copy(), np.isin(pictures.image_id, put) & (groups >= 0)
    explicit[of_put] |= np.isin(groups[of_put], groups[pictures.explicit > 0])
    return replace(pictures, explicit=explicit)
