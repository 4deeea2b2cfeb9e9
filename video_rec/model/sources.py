"""The light sources: what is watched more than usual today, what is new, and what is by creators the viewer watches.

In:     watched rows, the catalogue, the towers (for the content of new videos).
Out:    Light: trending, fresh, followed, each `(recent, k) -> Ranking`; -1 where a source has no more to offer.
Choice: everything that does not depend on the viewer is counted when the artifact is made, so a call reads no store. The price is age: trending
        is as of the last watch of the artifact (Light.as_of). What is put later is in `fresh` and `followed` as soon as it is on the shelf.
Else:   counts from the live store, where a trend lasts minutes: one read per video that may trend, not per video of the catalogue.
Breaks: an artifact that grows old (trending is what trended then); a log without a clock (no trend: nothing is offered, as said by -1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats, Ints, Ranking
from common.data import columns
from common.features.copies import ranges
from video_rec.features import Features
from video_rec.model.retrieval import Retrieval, best_of
from video_rec.schema import Rows, find

DAY = 86_400
HALF_LIFE = DAY // 2  # of a watch's say in what is trending
NEWEST = 2_000  # videos searched exactly by `fresh`
BEFORE = 3.0  # more than two cosines can differ
FADE = 0.9  # of a watch's say in whom the viewer follows, watch by watch


def fit(features: Features, parts: Sequence[Rows], towers: Retrieval) -> Light:
    """As of the last row of `parts`."""
    time = np.concatenate([rows.event_time for rows in parts])
    index = np.concatenate([find(features.video_id, rows.video_id) for rows in parts])
    clicked = np.concatenate([rows.labels["clicked"] > 0 for rows in parts]) & (index >= 0)
    pleased = np.concatenate([_pleased(rows) for rows in parts])
    num, as_of = len(features.video_id), int(time.max(initial=0))
    watched = np.bincount(index[clicked], minlength=num)
    liked = np.bincount(index[clicked], weights=pleased[clicked], minlength=num)
    usual = float(liked.sum() / max(watched.sum(), 1))
    return Light(
        features=features,
        towers=towers,
        trend=trend(index[clicked], time[clicked], num),
        liking=(liked + 5 * usual) / (watched + 5),
        usual=usual,
        as_of=as_of,
    )


def load(folder: Path, features: Features, towers: Retrieval) -> Light:
    found = columns.read(folder / "light.parquet")
    trend, liking = (found[name].astype(float) for name in ("trend", "liking"))
    return Light(features, towers, trend, liking, float(found["usual"][0]), int(found["as_of"][0]))


def trend(index: Ints, time: Ints, num_videos: int) -> Floats:
    """Watches [n] of which video, when -> [num_videos]: how far the last day's decayed count lies above what the time before makes usual,
    in standard deviations of a count (Poisson: its root, of one more than usual, so that one watch of an unknown video is no trend)."""
    if not len(time) or time.max() == time.min():
        return np.zeros(num_videos)
    age = time.max() - time
    lately = age < DAY
    weight = 0.5 ** (age[lately] / HALF_LIFE)
    count = np.bincount(index[lately], weights=weight, minlength=num_videos)
    before = np.bincount(index[~lately], minlength=num_videos)
    # the last day counts as much as it would had every video kept its share of what was watched
    usual = before * weight.sum() / max(before.sum(), 1)
    found: Floats = (count - usual) / np.sqrt(usual + 1.0)
    return found


@dataclass(frozen=True)
class Light:
    """`trend`, `liking` [num_videos]: see `trend`; the share of watches that ended in a like or at the end of the video, pulled to the `usual`.
    `as_of` seconds UTC."""

    features: Features
    towers: Retrieval
    trend: Floats
    liking: Floats
    usual: float
    as_of: int

    def trending(self, recent: Ints, k: int) -> Ranking:
        """The same for everybody; nothing that is watched no more than usual."""
        ids, scores = self._trending
        ids, scores = np.tile(ids[:k], (len(recent), 1)), np.tile(scores[:k], (len(recent), 1))
        return Ranking(ids=ids, scores=scores)

    def fresh(self, recent: Ints, k: int) -> Ranking:
        """The newest videos in the order of the viewer's vector and theirs, by content alone: their ids say nothing yet. First those that
        were put since: of the others the other sources know something."""
        viewer, (newest, vectors), shelf = self.towers.viewer(recent), self._newest, self.features.shelf
        put = np.flatnonzero(shelf.videos.uploaded > self.as_of)
        old = ~np.isin(newest, shelf.was)
        index = np.concatenate([newest[old], len(self.features.video_id) + put])
        if not len(index):
            return Ranking(ids=np.full((len(recent), 1), -1), scores=np.full((len(recent), 1), -np.inf))
        scores = (viewer @ vectors[old].T).astype(float)
        if len(put):
            scores = np.concatenate([scores, BEFORE + viewer @ self.towers.put.content[put].T], axis=1)
        ids = self.features.at("video_id", index)
        return best_of(scores, np.broadcast_to(ids, scores.shape), k)

    def followed(self, recent: Ints, k: int) -> Ranking:
        """By the creators of the last watches, more for who comes often and lately; of each creator what is liked most, watched ones left out."""
        found = [self._followed(row, k) for row in recent]
        width = max((len(ids) for ids, _ in found), default=0) or 1
        ids, scores = np.full((len(recent), width), -1), np.full((len(recent), width), -np.inf)
        for row, (mine, score) in enumerate(found):
            ids[row, : len(mine)], scores[row, : len(mine)] = mine, score
        return Ranking(ids=ids, scores=scores)

    def _followed(self, recent: Ints, k: int) -> tuple[Ints, Floats]:
        place = np.flatnonzero(recent >= 0)
        creator, back = np.unique(self.features.at("creator_id", recent[place]), return_inverse=True)
        fondness = np.bincount(back, weights=FADE**place, minlength=len(creator))[creator >= 0].astype(float)
        index, theirs = self._made_by(creator[creator >= 0], fondness)
        score = np.where(np.isin(index, recent), -np.inf, theirs * self._liked(index))
        best = np.argsort(-score, kind="stable")[:k]
        best = best[np.isfinite(score[best])]
        return self.features.at("video_id", index[best]), score[best]

    def _made_by(self, creator: Ints, worth: Floats) -> tuple[Ints, Floats]:
        """-> indices of the videos of these creators, on the shelf too; the `worth` [n] of the creator of each."""
        shelf, num = self.features.shelf, len(self.features.video_id)
        order, creators = self._by_creator
        begin, end = (np.searchsorted(creators, creator, side=side) for side in ("left", "right"))
        index, theirs = order[ranges(begin, end)], np.repeat(worth, end - begin)
        old = ~np.isin(index, shelf.was)
        by = find(creator, shelf.videos.creator_id)
        put = np.flatnonzero(by >= 0)
        return np.concatenate([index[old], num + put]), np.concatenate([theirs[old], worth[by[put]]])

    def _liked(self, index: Ints) -> Floats:
        """What nobody had watched in training is liked as usual."""
        was = self.features.trained(index)
        return np.where(was >= 0, self.liking[was], self.usual)

    @cached_property
    def _trending(self) -> tuple[Ints, Floats]:
        order = np.argsort(-self.trend, kind="stable")
        order = order[: max(int((self.trend > 0).sum()), 1)]
        rising = self.trend[order] > 0
        return np.where(rising, self.features.video_id[order], -1), np.where(rising, self.trend[order], -np.inf)

    @cached_property
    def _newest(self) -> tuple[Ints, NDArray[np.float32]]:
        """Those uploaded by `as_of`, newest first, and where they stand."""
        known = np.flatnonzero(self.features.uploaded <= self.as_of)  # a time nobody knows is NaN: not among them
        newest = known[np.argsort(-self.features.uploaded[known], kind="stable")[:NEWEST]]
        return newest, self.towers.content(newest)

    @cached_property
    def _by_creator(self) -> tuple[Ints, Ints]:
        """Catalogue indices by creator, and the creator of each."""
        order = np.argsort(self.features.creator_id, kind="stable")
        return order, self.features.creator_id[order]

    def save(self, folder: Path) -> None:
        same = {name: np.full(len(self.trend), getattr(self, name)) for name in ("usual", "as_of")}
        columns.write(folder / "light.parquet", {"trend": self.trend, "liking": self.liking, **same})


def _pleased(rows: Rows) -> Floats:
    """1 for a watch that was liked or seen to its end."""
    said = [np.nan_to_num(rows.labels[task]) for task in ("completed", "liked") if task in rows.labels]
    return np.max(said, axis=0) if said else np.zeros(len(rows))
