"""Videos put while the case is served: a small catalogue beside the large one, which stays as it was in training.

A video's index goes on where training's end: below num_videos it is one of those, from there on it stands on the shelf. A video of training
that was put anew is looked up here first; what others did with it is still its own, so `was` leads back to its counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Ints
from common.features.copies import rejoined
from video_rec.features import words
from video_rec.features.catalogue import Makers, Videos, described, makers, texts
from video_rec.schema import Catalog, Item, find

COLUMNS: Mapping[type, tuple[str, ...]] = {
    np.int64: ("video_id", "creator_id", "explicit", "min_age", "barred_in", "fingerprint"),
    np.float64: ("length_seconds", "uploaded"),
    np.str_: ("title", "tags", "topic", "language"),
}
PARTS = {"numbers": ("length_seconds", "uploaded"), "categories": ("topic", "language")}


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """[m] each, ascending by id: as they were put, as the models read them, and the index of each among training's, -1 for a new one."""

    catalog: Catalog
    videos: Videos
    was: Ints
    regrouped: tuple[Ints, Ints]  # groups of training's that have another name by now, ascending; that name
    makers: Makers  # of creators who have other videos than in training: all of theirs

    def __len__(self) -> int:
        return len(self.was)


LAW = ("explicit", "min_age", "barred_in")
UNSAID = -1


def listed(items: Sequence[Item]) -> Catalog:
    """Items, each id once, as a catalogue; UNSAID where an item does not say who may see it."""
    items = sorted(items, key=attrgetter("video_id"))
    columns: dict[str, Any] = {
        name: np.array([_said(getattr(item, name)) for item in items], dtype=kind)
        for kind, names in COLUMNS.items()
        for name in names
    }
    of: dict[str, Any] = {part: {name: columns.pop(name) for name in names} for part, names in PARTS.items()}
    return Catalog(**columns, **of)


def filled(
    trained: Videos, made: Makers, known: words.Words, languages: Sequence[str], catalog: Catalog, before: Shelf
) -> Shelf:
    """`made`: makers of `trained`. A language that training did not know gets a number behind those it did. `before`: what stood there."""
    later = sorted(set(catalog.categories["language"].tolist()) - set(languages))
    was = find(trained.video_id, catalog.video_id)
    group, regrouped = rejoined(trained.group, trained.fingerprint, catalog.fingerprint, was)
    catalog = _limited(trained, catalog, was, group, regrouped)
    videos = described(catalog, _titles(known, catalog, before), group, [*languages, *later])
    moved = _moved(trained, made, videos, was)
    return Shelf(catalog=catalog, videos=videos, was=was, regrouped=regrouped, makers=moved)


def _said(value: object) -> object:
    return UNSAID if value is None else value


def _limited(trained: Videos, catalog: Catalog, was: Ints, group: Ints, regrouped: tuple[Ints, Ints]) -> Catalog:
    """Who may see each: as it is said, else as it was, and never less limited than any copy: the law is of what is seen and heard."""
    law: dict[str, Ints] = {}
    for name in LAW:
        said, before = getattr(catalog, name), np.append(getattr(trained, name), 0)[was].astype(np.int64)
        law[name] = np.where(said == UNSAID, np.where(was >= 0, before, 0), said)
    old, name_now = regrouped
    wanted = np.unique(group[group >= 0])
    known = np.flatnonzero(np.isin(trained.group, np.append(wanted, old[np.isin(name_now, wanted)])))
    alone = wanted[wanted < len(trained.video_id)]
    copies = np.setdiff1d(np.union1d(known, alone), was)
    at = find(old, trained.group[copies])
    of = np.where(
        at >= 0, np.append(name_now, -1)[at], np.where(trained.group[copies] < 0, copies, trained.group[copies])
    )
    for number in wanted:
        put, there = np.flatnonzero(group == number), copies[of == number]
        for name, strictest in (("explicit", np.maximum), ("min_age", np.maximum), ("barred_in", np.bitwise_or)):
            every = np.concatenate([law[name][put], getattr(trained, name)[there].astype(np.int64)])
            law[name][put] = strictest.reduce(every)
    return replace(catalog, explicit=law["explicit"], min_age=law["min_age"], barred_in=law["barred_in"])


def _titles(known: words.Words, catalog: Catalog, before: Shelf) -> NDArray[np.floating]:
    """Each title is read once: reading three thousand takes long enough to hold up an answer."""
    index, old = find(before.catalog.video_id, catalog.video_id), before.catalog
    if not len(before):
        return known.vectors(texts(catalog))
    same = (index >= 0) & (old.title[index] == catalog.title) & (old.tags[index] == catalog.tags)
    title, said = before.videos.title[index], texts(catalog)
    title[~same] = known.vectors([said[at] for at in np.flatnonzero(~same)])
    return title


def _moved(trained: Videos, made: Makers, put: Videos, was: Ints) -> Makers:
    """Creators whose videos are others by now: what training knew, less what was replaced, and what was put."""
    old = was[was >= 0]
    more = makers(
        np.concatenate([trained.creator_id[old], put.creator_id]), np.concatenate([-trained.title[old], put.title])
    )
    at = find(made.creator_id, more.creator_id)
    before = np.where((at >= 0)[:, None], made.total[at], 0) if len(made.total) else np.zeros_like(more.total)
    return Makers(more.creator_id, (before + more.total).astype(np.float32))


def empty() -> Shelf:
    none, nothing = np.empty(0, np.int64), listed([])
    videos = described(nothing, words.NO_WORDS.vectors([]), none, [])
    return Shelf(catalog=nothing, videos=videos, was=none, regrouped=(none, none), makers=makers(none, videos.title))


EMPTY = empty()
