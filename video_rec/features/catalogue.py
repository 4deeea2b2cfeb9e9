"""What is known of videos, in the form the models read: of those training knew, and by the same code of those that are put later."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints
from video_rec.schema import Catalog, find

S = TypeVar("S", bound=np.generic)
T = TypeVar("T")

MANY = 100_000  # videos from which on two bytes a number are saved


@dataclass(frozen=True, kw_only=True)
class Videos:
    """[n] each, ascending by `video_id`. Small numbers take few bytes: there may be millions."""

    video_id: Ints
    creator_id: Ints
    explicit: NDArray[np.int8]
    min_age: NDArray[np.int16]
    barred_in: Ints
    fingerprint: Ints
    group: Ints  # the least index among its copies, -1 without one
    title: NDArray[np.floating]  # [n, TITLE_DIM], unit length or zero; of MANY videos in half precision
    length: Floats  # log seconds, 0 where unknown
    uploaded: Floats  # seconds, NaN where unknown
    language: Ints  # -1 where unknown


def described(catalog: Catalog, title: NDArray[np.floating], group: Ints, languages: Sequence[str]) -> Videos:
    """`languages`: all there are in the catalogue, and in which order they are numbered."""
    n, code = len(catalog), {name: number for number, name in enumerate(languages) if name}
    length = catalog.numbers.get("length_seconds", np.zeros(n))
    language, of = np.unique(catalog.categories.get("language", np.full(n, "")), return_inverse=True)
    codes = np.array([code.get(name, -1) for name in language.tolist()], dtype=np.int64)
    return Videos(
        video_id=catalog.video_id,
        creator_id=catalog.creator_id,
        explicit=catalog.explicit.astype(np.int8),
        min_age=catalog.min_age.astype(np.int16),
        barred_in=catalog.barred_in,
        fingerprint=catalog.fingerprint,
        group=group,
        title=held(title),
        length=np.log1p(np.nan_to_num(length)),
        uploaded=catalog.numbers.get("uploaded", np.full(n, np.nan)),
        language=codes[of],
    )


def held(title: NDArray[np.floating]) -> NDArray[np.floating]:
    return title if len(title) < MANY else title.astype(np.float16)


def texts(catalog: Catalog) -> list[str]:
    return [f"{title} {tags}" for title, tags in zip(catalog.title.tolist(), catalog.tags.tolist(), strict=True)]


def pick(trained: NDArray[S], put: NDArray[Any], index: Ints) -> NDArray[S]:
    """index of any shape: below len(trained) from there, from there on from `put`. At -1 stands anything; who asks hides it."""
    if not len(put):
        return trained[index]
    found, late = trained[np.minimum(index, len(trained) - 1)], index >= len(trained)
    found[late] = put[index[late] - len(trained)]
    return found


@dataclass(frozen=True)
class Makers:
    """Creators, ascending, and the sum [n, TITLE_DIM] of the title vectors of their videos."""

    creator_id: Ints
    total: NDArray[np.float32]


def makers(creator_id: Ints, title: NDArray[np.floating]) -> Makers:
    creators, of = np.unique(creator_id, return_inverse=True)
    order = np.argsort(of, kind="stable")
    work = title[order].astype(np.float32, copy=False)
    if not len(order):
        return Makers(creators, work)
    return Makers(creators, np.add.reduceat(work, np.searchsorted(of[order], np.arange(len(creators)))))


def work(creators: Ints, *parts: Makers) -> NDArray[np.float32]:
    """[k, TITLE_DIM] the mean direction of each creator's titles, of unit length, by the first part that knows the creator; zero by none."""
    total = np.zeros((len(creators), parts[0].total.shape[1]), np.float32)
    for part in reversed(parts):
        at = find(part.creator_id, creators)
        total[at >= 0] = part.total[at[at >= 0]]
    norm = np.linalg.norm(total, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (total / np.maximum(norm, 1e-9)).astype(np.float32)
    return unit


def altered(whole: T, **fields: Any) -> T:
    """The same with other fields. What was once worked out from the rest (cached_property) stays, which dataclasses.replace would forget:
    over two million videos that is half a second."""
    other = copy.copy(whole)
    for name, value in fields.items():
        object.__setattr__(other, name, value)
    return other
