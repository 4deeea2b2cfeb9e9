"""Posts that reviewers decided, as prints: what comes again is known before any model is asked.

In:     the log's reviews and the training rows they are about; later, posts as they are reviewed.
Out:    Shelf.matches(prints of posts) -> for each the post taken down that it is, or nearly is, or -1.
Choice: a post matches as a whole: nobody said whether the harm lay in its words, its picture or both, and the words of a meme alone are a greeting.
        What a reviewer cleared stands beside what one upheld, and the nearest counts: a quotation that was looked at and found fine keeps its own
        copies out, and takes nothing off the shelf.
Else:   matching each modality alone, where reviewers mark what they objected to.
Breaks: a quoted violation is nearly the violation; a reviewer's error is copied to every repost (both counted in experiment `duplicates`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Events, Ints
from common.data import columns
from common.events import key_column, value_column
from harmful_content.features import prints
from harmful_content.features.prints import Prints
from harmful_content.schema import Rows

NEAR_PICTURE, NEAR_TEXT = (
    6,
    8,
)  # bits in which a copy may differ; of training posts, quotations of a violation begin at 10
CLEARED = -1  # in the place of a policy
FILE = "shelf.parquet"
COMPARED = 100_000  # pairs at once: what these take stays near the processor


@dataclass(frozen=True, kw_only=True)
class Posts:
    """[n] each: what tells the same post, and the prints that tell nearly the same; prints.UNKNOWN where there is no picture, or too few words."""

    fingerprint: Ints
    picture: Prints
    text: Prints

    def __len__(self) -> int:
        return len(self.fingerprint)


Says = Callable[[str], Sequence[str]]
"""A text to its words, in the spelling of the vocabulary, so that a disguise makes no other post."""


def printed(rows: Rows, says: Says) -> Posts:
    said, there = [says(text) for text in rows.text.tolist()], rows.image >= 0
    pixels = [rows.images.pixels[at].tobytes() if at >= 0 else b"" for at in rows.image.tolist()]
    picture = np.full(len(rows), prints.UNKNOWN)
    picture[there] = prints.pictures(rows.images.pixels[rows.image[there]])
    return Posts(fingerprint=prints.fingerprints(said, pixels), picture=picture, text=prints.texts(said))


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """[m] each, in the order of review, no two of one fingerprint: the post, the place of the policy that it violated (CLEARED: of none), its prints."""

    post_id: Ints
    policy: Ints
    fingerprint: Ints
    picture: Prints
    text: Prints

    def __len__(self) -> int:
        return len(self.post_id)

    def after(self, post_id: Ints, policy: Ints, reviewed: Posts) -> Shelf:
        """With posts that were reviewed since, in their order: of the same words and picture the last word counts. What has neither picture nor words
        enough cannot be known again, and is left out."""
        new = {"post_id": post_id, "policy": policy, **vars(reviewed)}
        stays = ~np.isin(self.fingerprint, reviewed.fingerprint)
        last = np.sort(len(reviewed) - 1 - np.unique(reviewed.fingerprint[::-1], return_index=True)[1])
        comes = last[((reviewed.picture != prints.UNKNOWN) | (reviewed.text != prints.UNKNOWN))[last]]
        return Shelf(
            **{name: np.concatenate([getattr(self, name)[stays], column[comes]]) for name, column in new.items()}
        )

    def decided(self, post_id: int, policy: int) -> Shelf:
        """With another word on a post that is on it, if it is: an appeal was granted, or upheld."""
        return replace(self, policy=np.where(self.post_id == post_id, policy, self.policy))

    def matches(self, posts: Posts) -> Ints:
        """[n] place on the shelf of the post taken down that each is or nearly is; -1 where there is none, or where one that was cleared is nearer."""
        found = np.full(len(posts), -1)
        num = max(1, COMPARED // max(len(self), 1))
        for first in range(0, len(posts) if len(self) else 0, num):
            block = slice(first, first + num)
            apart = self._apart(Posts(**{name: column[block] for name, column in vars(posts).items()}))
            nearest = apart.argmin(axis=1)
            is_copy = (apart[np.arange(len(apart)), nearest] < prints.BITS) & (self.policy[nearest] != CLEARED)
            found[block] = np.where(is_copy, nearest, -1)
        return found

    def save(self, folder: Path) -> None:
        columns.save_dataclass(folder / FILE, self)

    def _apart(self, posts: Posts) -> NDArray[np.uint8]:
        """[n, m] bits in all, and 1, but 0 for the same post; BITS for what is no copy: too far in one of the two, or one has what the other lacks."""
        picture, text = prints.apart(posts.picture, self.picture), prints.apart(posts.text, self.text)
        total = picture + text + np.uint8(1)
        total[(picture > NEAR_PICTURE) | (text > NEAR_TEXT)] = prints.BITS
        total[_lacks(posts.picture, self.picture) | _lacks(posts.text, self.text)] = prints.BITS
        total[posts.fingerprint[:, None] == self.fingerprint[None, :]] = 0
        return total


def _lacks(ours: Prints, theirs: Prints) -> Bools:
    """[n, m] has one of the two what the other has not?"""
    found: Bools = (ours == prints.UNKNOWN)[:, None] != (theirs == prints.UNKNOWN)[None, :]
    return found


EMPTY = Shelf(
    post_id=np.empty(0, np.int64),
    policy=np.empty(0, np.int64),
    fingerprint=np.empty(0, np.int64),
    picture=np.empty(0, np.uint64),
    text=np.empty(0, np.uint64),
)


def fit(rows: Rows, says: Says, events: Events) -> Shelf:
    """rows: those of training; reviews that came later than the last of them are not known yet."""
    reviews = np.flatnonzero((events.kind == "review") & (events.position <= rows.moment.max(initial=-1)))
    post_id, upheld = key_column(events, "post_id")[reviews], value_column(events, "upheld")[reviews] == 1
    policy = np.where(upheld, value_column(events, "policy")[reviews], CLEARED)
    order = np.argsort(rows.post_id, kind="stable")
    at = order[np.searchsorted(rows.post_id[order], post_id).clip(max=len(order) - 1)]
    ours = rows.post_id[at] == post_id
    return EMPTY.after(post_id[ours], policy[ours], printed(rows.take(at[ours]), says))


def load(folder: Path) -> Shelf:
    return columns.load_dataclass(folder / FILE, Shelf)
