"""Posts that reviewers took down, as prints: what comes again is known before any model is asked.

In:     the log's reviews and the training rows they are about; later, posts as they are taken down.
Out:    Shelf.matches(prints of posts) -> for each the removed post it nearly is, or -1.
Choice: a post matches as a whole: nobody said whether the harm lay in its words, its picture or both, and the words of a meme alone are a greeting.
        Only what a reviewer upheld is on the shelf, and nothing of which a reviewer also said that it is fine.
Else:   matching each modality alone, where reviewers mark what they objected to.
Breaks: a quoted violation is nearly the violation; a reviewer's error is copied to every repost (both counted in experiment `duplicates`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

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
FILE = "shelf.parquet"
BLOCK = 512  # posts compared with the shelf at once


@dataclass(frozen=True, kw_only=True)
class Posts:
    """Prints of posts, [n] each; prints.UNKNOWN where there is no picture, or too few words."""

    picture: Prints
    text: Prints

    def __len__(self) -> int:
        return len(self.picture)


Says = Callable[[str], Sequence[str]]
"""A text to its words, in the spelling of the vocabulary, so that a disguise makes no other post."""


def printed(rows: Rows, says: Says) -> Posts:
    there = rows.image >= 0
    picture = np.full(len(rows), prints.UNKNOWN)
    picture[there] = prints.pictures(rows.images.pixels[rows.image[there]])
    return Posts(picture=picture, text=prints.texts([says(text) for text in rows.text.tolist()]))


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """[m] each, in the order of removal: the post, its prints, the place of the policy that it violated."""

    post_id: Ints
    policy: Ints
    picture: Prints
    text: Prints

    def __len__(self) -> int:
        return len(self.post_id)

    def after(self, post_id: Ints, policy: Ints, removed: Posts) -> Shelf:
        """With posts that were taken down since. What has neither picture nor words enough cannot be known again, and is left out."""
        kept = (removed.picture != prints.UNKNOWN) | (removed.text != prints.UNKNOWN)
        new = {"post_id": post_id, "policy": policy, "picture": removed.picture, "text": removed.text}
        return Shelf(**{name: np.concatenate([getattr(self, name), column[kept]]) for name, column in new.items()})

    def without(self, post_id: Ints) -> Shelf:
        """Without these posts, and without all that match them: an appeal was granted, or a reviewer found nothing."""
        named = np.isin(self.post_id, post_id)
        like = Posts(picture=self.picture[named], text=self.text[named])
        return self._take(~named & ~self._copies_of(like))

    def matches(self, posts: Posts) -> Ints:
        """[n] place on the shelf of the nearest that a post is a copy of, -1 where there is none."""
        found = np.full(len(posts), -1)
        for first in range(0, len(posts) if len(self) else 0, BLOCK):
            block = slice(first, first + BLOCK)
            apart = self._apart(posts.picture[block], posts.text[block])
            nearest = apart.argmin(axis=1)
            found[block] = np.where(apart[np.arange(len(apart)), nearest] < prints.BITS, nearest, -1)
        return found

    def save(self, folder: Path) -> None:
        columns.save_dataclass(folder / FILE, self)

    def _apart(self, picture: Prints, text: Prints) -> Ints:
        """[n, m] bits in all; BITS or more for what is no copy: too far in one of the two, or one has what the other lacks."""
        total = np.zeros((len(picture), len(self)), dtype=np.int64)
        for ours, theirs, near in ((picture, self.picture, NEAR_PICTURE), (text, self.text, NEAR_TEXT)):
            differ = prints.apart(ours, theirs)
            lacks = (ours == prints.UNKNOWN)[:, None] != (theirs == prints.UNKNOWN)[None, :]
            total += np.where(lacks | (differ > near), prints.BITS, differ)
        total += prints.BITS * ((picture == prints.UNKNOWN) & (text == prints.UNKNOWN))[:, None]
        return total

    def _copies_of(self, posts: Posts) -> Bools:
        copied: Bools = np.zeros(len(self), dtype=bool)
        for first in range(0, len(posts), BLOCK):
            block = slice(first, first + BLOCK)
            copied |= (self._apart(posts.picture[block], posts.text[block]) < prints.BITS).any(axis=0)
        return copied

    def _take(self, which: Bools) -> Shelf:
        return Shelf(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


EMPTY = Shelf(
    post_id=np.empty(0, np.int64),
    policy=np.empty(0, np.int64),
    picture=np.empty(0, np.uint64),
    text=np.empty(0, np.uint64),
)


def fit(rows: Rows, says: Says, events: Events) -> Shelf:
    """rows: those of training; reviews that came later than the last of them are not known yet."""
    reviews = np.flatnonzero((events.kind == "review") & (events.position <= rows.moment.max(initial=-1)))
    post_id, upheld = key_column(events, "post_id")[reviews], value_column(events, "upheld")[reviews] == 1
    _, at, ours = np.intersect1d(rows.post_id, post_id, return_indices=True)
    policy = value_column(events, "policy")[reviews[ours]]
    every = EMPTY.after(rows.post_id[at], policy, printed(rows.take(at), says))
    return every.without(post_id[~upheld])


def load(folder: Path) -> Shelf:
    return columns.load_dataclass(folder / FILE, Shelf)
