"""What is known about a viewer, a video, its creator and the two together, as of a moment.

In:     rows (user, video, moment), a feature store, the catalogue as of training and the videos put since.
Out:    VIEWS; Features.inputs(rows, store) -> Inputs for the ranker; Features.recent for the towers; Features.watched, .hidden and .rulings
        for the rules; Features.over(put) is the same with other videos on the shelf.
Choice: the store counts, the catalogue describes (title and tags become a short vector by TF-IDF and SVD), and crosses compare a video with
        the viewer's last twenty. The same code reads the log offline and the live store online.
Else:   a pretrained sentence encoder for titles: where titles are whole sentences in many languages.
Breaks: a value read after the moment (the contract's parity check); a video the catalogue lacks (index -1: its title and length are zero, its
        crosses of creator, language and length are the last video's; the rules bar it); a time of upload nobody knows reads as "just now"
        (age_days 0). The rules look back on the last WATCHED watches and HIDDEN hides, no further.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, FeatureStore, Floats, Ints
from common.data import columns
from common.features.copies import copies
from common.features.views import Count, Decayed, Recent, View, pair
from video_rec.config import Config
from video_rec.features.catalogue import Makers, Videos, altered, described, makers, pick, texts, work
from video_rec.features.rows import distinct, of_pair, of_user, rates, read
from video_rec.features.shelf import EMPTY, Shelf, filled
from video_rec.features.words import NO_WORDS, TITLE_DIM, Words, learn
from video_rec.schema import Catalog, Dataset, Requests, Rows, find

__all__ = [
    "HIDDEN",
    "HISTORY",
    "TITLE_DIM",
    "VIEWS",
    "WATCHED",
    "Features",
    "Inputs",
    "Rulings",
    "altered",
    "copies",
    "fit",
    "load",
]

HISTORY = 20  # watches a viewer is described by
WATCHED = 256  # watches the rule "never twice" looks back on
HIDDEN = 50  # hides the rule "never again by this creator" looks back on

VIEWS: tuple[View, ...] = (
    View(
        "user",
        ("user_id",),
        (
            Recent("watch", "video_id", HISTORY),
            Count("impression"),
            Count("watch"),
            Count("watch", "completed"),
            Count("like"),
            Count("share"),
            Count("hide"),
            Decayed("watch", 12.0),
        ),
    ),
    View("watched", ("user_id",), (Recent("watch", "video_id", WATCHED), Recent("hide", "creator_id", HIDDEN))),
    View(
        "video",
        ("video_id",),
        (
            Count("impression"),
            Count("watch"),
            Count("watch", "completed"),
            Count("like"),
            Count("hide"),
            Count("watch", buckets=72),
        ),
    ),
    View(
        "creator",
        ("creator_id",),
        (Count("impression"), Count("watch"), Count("watch", "completed"), Count("like"), Count("hide")),
    ),
    View(
        "user_creator",
        ("user_id", "creator_id"),
        (Count("impression"), Count("watch"), Count("watch", "completed"), Count("hide")),
    ),
)
USER, SEEN, VIDEO, CREATOR, USER_CREATOR = VIEWS


def fit(dataset: Dataset, config: Config) -> Features:
    catalog = dataset.catalog
    known, title = learn(texts(catalog), config.seed)
    languages = sorted(set(catalog.categories.get("language", np.empty(0, np.str_)).tolist()))
    videos = described(catalog, title, copies(catalog.fingerprint), languages)
    return Features(**vars(videos), words=known, languages=tuple(languages))


def load(folder: Path) -> Features:
    videos = columns.load_dataclass(folder / "videos.parquet", Videos)
    languages = json.loads((folder / "languages.json").read_text())
    known = columns.load_dataclass(folder / "words.parquet", Words)
    return Features(**vars(videos), words=known, languages=tuple(languages))


@dataclass(frozen=True)
class Inputs:
    """`dense` [n, num_features], one row a (viewer, video); `names` of its columns."""

    dense: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rulings:
    """What the rules ask of videos, [k] each; of one that the catalogue lacks nothing is `known`."""

    creators: Ints  # -1 unknown
    known: Bools
    explicit: Bools
    min_age: Ints  # years
    barred_in: Ints  # bit c: not in country c
    groups: Ints  # copies of one video share a group; -1 has no copy
    uploaded: Floats  # seconds, NaN where unknown
    put: Bools  # since training: no model was ever shown it


@dataclass(frozen=True, kw_only=True)
class Features(Videos):
    """The catalogue as of training, in the order of `video_id`, and beside it the `shelf`: what was put since. An index below num_videos is
    training's, from there on the shelf's (`find`, `at`)."""

    words: Words = NO_WORDS
    languages: tuple[str, ...] = ()  # as they are numbered
    shelf: Shelf = EMPTY

    def over(self, put: Catalog) -> Features:
        """The same with these videos on the shelf, in the place of those that were. A third of a second at two million, and nothing
        large is copied."""
        return altered(self, shelf=filled(self, self._makers, self.words, self.languages, put, self.shelf))

    def find(self, ids: Ints) -> Ints:
        """Index of each video, of the shelf's before training's; -1 for one that nobody knows."""
        put = find(self.shelf.videos.video_id, ids)
        return np.where(put >= 0, len(self.video_id) + put, find(self.video_id, ids))

    def at(self, name: str, index: Ints) -> NDArray[Any]:
        """The column `name` of Videos at any indices."""
        found: NDArray[Any] = pick(getattr(self, name), getattr(self.shelf.videos, name), index)
        return found

    def trained(self, index: Ints) -> Ints:
        """Training's index of the same video, -1 where there is none: where its counts stand, in what was counted then."""
        late = index - len(self.video_id)
        return np.where(late < 0, index, self.shelf.was[np.maximum(late, 0)]) if len(self.shelf) else index

    def groups(self, index: Ints) -> Ints:
        """Of any indices: copies of one video share a number; -1 has no copy."""
        group, (old, name) = self.at("group", index), self.shelf.regrouped
        at = find(old, np.where(group < 0, index, group))
        return np.where((at >= 0) & (index < len(self.video_id)), np.append(name, -1)[at], group)

    def recent(self, requests: Requests | Rows, store: FeatureStore) -> Ints:
        """[n, HISTORY] catalogue indices of the last watches, newest first, -1 pads."""
        return self.find(store.read(USER, requests.user_id, requests.moment)[:, :HISTORY].astype(np.int64))

    def watched(self, requests: Requests, store: FeatureStore) -> tuple[Ints, Ints]:
        """-> [n, WATCHED] video ids that may not be shown again, [n, HIDDEN] creators who may not; -1 pads."""
        read = store.read(SEEN, requests.user_id, requests.moment).astype(np.int64)
        return read[:, :WATCHED], read[:, WATCHED:]

    def rulings(self, ids: Ints) -> Rulings:
        """Of any videos [k]."""
        index = self.find(ids)
        known = index >= 0
        return Rulings(
            creators=np.where(known, self.at("creator_id", index), -1),
            known=known,
            explicit=self.at("explicit", index) > 0,
            min_age=self.at("min_age", index),
            barred_in=self.at("barred_in", index),
            groups=np.where(known, self.groups(index), -1),
            uploaded=np.where(known, self.at("uploaded", index), np.nan),
            put=known & (self.trained(index) < 0),
        )

    def alike(self, creators: Ints, hidden: Ints) -> Floats:
        """creators [k], hidden [m] -> [k]: the greatest cosine of each creator's work with that of a hidden one; 0 if there is none."""
        unique, back = np.unique(creators, return_inverse=True)
        mine, theirs = (work(some, self.shelf.makers, self._makers) for some in (unique, np.unique(hidden)))
        most: Floats = (mine @ theirs.T).max(axis=1, initial=0.0).astype(float)
        return most[back]

    @property
    def creators(self) -> Ints:
        """Those training knew, ascending."""
        return self._makers.creator_id

    @cached_property
    def _makers(self) -> Makers:
        return makers(self.creator_id, self.title)

    def inputs(self, rows: Rows, store: FeatureStore) -> Inputs:
        """What the ranker sees of each row, as of its moment."""
        index = self.find(rows.video_id)
        creator = np.where(index >= 0, self.at("creator_id", index), -1)
        first, of = distinct(rows)
        user = store.read(USER, rows.user_id[first], rows.moment[first])
        recent = self.find(user[:, :HISTORY].astype(np.int64))
        found = {
            **of_user(user[:, HISTORY:], of),
            **rates("video", read(store, VIDEO, rows.video_id, rows.moment)),
            **rates("creator", read(store, CREATOR, creator, rows.moment)),
            **of_pair(read(store, USER_CREATOR, pair(rows.user_id, creator), rows.moment)),
            **self._content(index, rows.event_time),
            **self._cross(recent, of, index),
        }
        return Inputs(np.stack(list(found.values()), axis=1), tuple(found))

    def _content(self, index: Ints, event_time: Ints) -> dict[str, Floats]:
        known = index >= 0
        age = np.where(known, (event_time - self.at("uploaded", index)) / 86_400, np.nan)
        hour = 2 * np.pi * (event_time % 86_400) / 86_400
        return {
            "length": np.where(known, self.at("length", index), 0.0),
            "age_days": np.log1p(np.maximum(np.nan_to_num(age), 0.0)),
            "hour_sin": np.sin(hour),
            "hour_cos": np.cos(hour),
        }

    def _cross(self, recent: Ints, of: Ints, index: Ints) -> dict[str, Floats]:
        """How the video compares with what its viewer watched last."""
        seen = recent >= 0
        count = np.maximum(seen.sum(axis=1), 1)
        title = self._titles(recent) * seen[:, :, None]
        mean = (title.sum(axis=1) / count[:, None])[of]
        own = self._titles(index) * (index >= 0)[:, None]
        last = np.max([np.einsum("nd,nd->n", title[of, place], own) for place in range(5)], axis=0)
        length = ((self.at("length", recent) * seen).sum(axis=1) / count)[of]
        return {
            "title_mean": np.einsum("nd,nd->n", mean, own).astype(float),
            "title_last": last.astype(float),
            "same_creator": self._share("creator_id", recent, of, index),
            "same_language": self._share("language", recent, of, index),
            "length_gap": np.abs(self.at("length", index) - length) * (seen.sum(axis=1) > 0)[of],
        }

    def _titles(self, index: Ints) -> NDArray[np.float32]:
        return self.at("title", index).astype(np.float32, copy=False)

    def _share(self, column: str, recent: Ints, of: Ints, index: Ints) -> Floats:
        """Share of the last watches whose `column` is that of the video."""
        theirs = np.where(recent >= 0, self.at(column, recent), -2)[of]
        same = np.logical_and(theirs == self.at(column, index)[:, None], theirs >= 0)
        shares: Floats = same.sum(axis=1) / np.maximum((theirs > -2).sum(axis=1), 1)
        return shares

    def save(self, folder: Path) -> None:
        """Of what was put since nothing is saved: it is the platform's, and outlives this version."""
        columns.write(folder / "videos.parquet", {name: getattr(self, name) for name in Videos.__dataclass_fields__})
        columns.save_dataclass(folder / "words.parquet", self.words)
        (folder / "languages.json").write_text(json.dumps(self.languages))
