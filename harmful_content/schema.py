"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Images, Rows, Catalog, Dataset, Judgments, Live, Request, Answer; POLICIES, ACTIONS, EVENTS, EXAMPLE.
Choice: pixels lie once in a pool that train, valid and test share, and a row holds a place in it: half of the posts have no picture. The
        author is `user_id`, as in every case: whoever asks is whose post it is, and an event `forget` of a person means them.
Else:   paths of files and a loader, once the pictures outgrow memory.
Breaks: arrays of unequal length, an unknown policy, a text without end, a picture that is none: refused before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, FiniteFloat

from common.contract import Bools, EventKind, Floats, Ints, Timings, Why
from common.data import columns
from common.features.asof import AsOfStore

POLICIES = ("violence", "nudity", "self_harm", "hate", "drugs", "misinformation", "spam")
Action = Literal["allow", "demote", "queue", "remove"]
ACTIONS: tuple[Action, ...] = ("allow", "demote", "queue", "remove")
"""From the mildest to the hardest; the log holds their places in this order."""
SIDE = 32  # pixels
MOST_CHARS = 5_000
MOST_IMAGE_CHARS = 400_000  # base64: a file of 300 kB
CHOSEN = ("priority", "oldest", "lot", "appeal")
"""How a post came to a reviewer."""

POSTED = ("request_id", "post_id", "user_id")
_OF_A_POST: Mapping[str, Any] = {"keys": ("post_id", "user_id")}
_REVIEWED = ("post_id", "user_id", "reviewer_id")

EVENTS: Mapping[str, EventKind] = {
    # A post was judged, when it came or again later; user_id is its author everywhere. Values: what was decided, and on what. `fingerprint` is of
    # its words and picture, the prints are features.prints' as signed numbers, `version` of the artifact, `by_words` 1 where words spoke for the
    # policy, `priority_ppm` the harm that a review prevents a view and a minute. Of the post itself no more than how many words it has, how many of
    # them are unknown, and 1 where it has a picture.
    "impression": EventKind(
        keys=POSTED,
        values=(
            "action",
            "policy",
            "probability_ppm",
            "removed",
            "num_missing",
            "num_unknown",
            "degraded",
            "fingerprint",
            "picture_print",
            "text_print",
            "version",
            "by_words",
            "priority_ppm",
            "num_words",
            "unknown_words",
            "has_picture",
        ),
        posted=False,
    ),
    # What happened to a post since the last count. Objections are comments that call the post wrong: the log holds numbers, no texts.
    "reactions": EventKind(**_OF_A_POST, values=("views", "likes", "shares", "comments", "objections")),
    # Somebody reported it, under the policy at that place of POLICIES. One event a report, so that nobody reports a hundred times in one.
    "report": EventKind(**_OF_A_POST, values=("policy",)),
    # A reviewer was handed the post, to decide until `until`; how it came to be chosen (its place in CHOSEN), and how likely that was.
    "assignment": EventKind(keys=_REVIEWED, values=("until", "chosen", "propensity_ppm"), posted=False),
    # A reviewer looked: upheld 1 and the policy that was violated, or 0. Of a removal that was appealed: upheld 1 or reversed 0. Chosen how, as above.
    "review": EventKind(
        keys=_REVIEWED, optional=("reviewer_id",), values=("policy", "upheld", "chosen", "propensity_ppm"), posted=False
    ),
    # Its author objects to the removal.
    "appeal": EventKind(**_OF_A_POST, posted=False),
    "forget": EventKind(keys=("user_id",)),
}

EXAMPLE: Mapping[str, Any] = {
    "post_id": 2_000_000_000,
    "user_id": 42,
    "text": "we will smash the Velns at the harbour",
    "numbers": {"account_days": 400.0, "followers": 120.0, "age_hours": 0.0},
    "categories": {"language": "en", "device": "mobile"},
}

Categories = Mapping[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Images:
    """A pool of pictures: pixels uint8 [num_images, SIDE, SIDE, 3], red, green, blue."""

    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8 and self.pixels.shape[1:] == (SIDE, SIDE, 3), self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)


NO_IMAGES = Images(np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Posts as they were judged, in columns, [n] each; user_id is the author. `moment`: the log position at which author and reactions are read.
    `image`: place in `images`, -1 where there is none. Labels [n, num_policies], NaN where unknown (all of them in test rows): `natural_label`
    from reports and from what reviewers upheld, `hand_label` from the few posts drawn by chance and labelled with care."""

    post_id: Ints
    user_id: Ints
    event_time: Ints
    moment: Ints
    text: NDArray[np.str_]
    image: Ints
    images: Images
    natural_label: Floats
    hand_label: Floats
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Categories = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns.equal_lengths("Rows", {name: column for name, column in vars(self).items() if name != "images"})
        assert not len(self.image) or self.image.max() < len(self.images), "a row names a picture that is not there"

    def __len__(self) -> int:
        return len(self.post_id)

    def take(self, index: Ints) -> Rows:
        """The rows at `index`, in that order, over the same pool of pictures."""
        alone = ("post_id", "user_id", "event_time", "moment", "text", "image", "natural_label", "hand_label")
        return Rows(
            **{name: getattr(self, name)[index] for name in alone},
            images=self.images,
            numbers={name: column[index] for name, column in self.numbers.items()},
            categories={name: column[index] for name, column in self.categories.items()},
        )

    def targets(self, hand_weight: float) -> tuple[Floats, Floats]:
        """-> what to learn and how much it counts, [n, num_policies] each: the hand label where there is one, else the natural label at
        weight 1; where neither is known, the weight is 0."""
        by_hand = ~np.isnan(self.hand_label)
        label = np.where(by_hand, self.hand_label, self.natural_label)
        weight = np.where(by_hand, hand_weight, 1.0) * ~np.isnan(label)
        return np.nan_to_num(label), weight


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The rule book as of training, [num_policies] each, in the order of every label and score: the policy's name, and what its author is told."""

    policy: NDArray[np.str_]
    notice: NDArray[np.str_]

    def __post_init__(self) -> None:
        columns.equal_lengths("Catalog", vars(self))

    def __len__(self) -> int:
        return len(self.policy)

    def save(self, folder: Path) -> None:
        columns.save_dataclass(folder / "catalog.parquet", self)


def load_catalog(folder: Path) -> Catalog:
    return columns.load_dataclass(folder / "catalog.parquet", Catalog)


def rule_book(policies: tuple[str, ...] = POLICIES) -> Catalog:
    """The catalogue of these policies."""
    notices = [f"Your post was acted on under our policy on {name.replace('_', ' ')}." for name in policies]
    return Catalog(policy=np.array(policies), notice=np.array(notices))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    train: Rows
    valid: Rows
    test: Rows  # labels are NaN: `data.judgments` is the key
    catalog: Catalog
    history: AsOfStore
    published: str = ""  # whose figures of evaluate.PUBLISHED stand beside ours


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """The key to the test rows, in their order. label [n, num_policies]: what a panel that knows the context would say, without error, NaN where
    nobody asked it. `views` [n]: how often a post is seen if nobody acts on it, in expectation; 1 where that is unknown."""

    label: Floats
    user_id: Ints  # the cluster of the intervals
    views: Floats
    policies: tuple[str, ...]
    slices: Categories
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Moderated:
    """Posts as the log has them, [n], in order of their ids. `views` and `reports` so far. `prevented`: removed when it was first judged, so that nobody
    saw it. `found`: demoted, queued or removed before anybody reported it; `reported`: somebody was faster. `enforced`: ever removed or
    demoted, by a machine or a reviewer; `reversed`: enforced, and a later review did not uphold it."""

    post_id: Ints
    user_id: Ints
    views: Ints
    reports: Ints
    prevented: Bools
    found: Bools
    reported: Bools
    enforced: Bools
    reversed: Bools

    def __post_init__(self) -> None:
        columns.equal_lengths("Moderated", vars(self))

    def __len__(self) -> int:
        return len(self.post_id)


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served posts read back from the log, [n]: the rows (the log holds no texts and no pictures: those are empty), naturally labelled where
    the window has closed (NaN before), by hand where a reviewer has decided; `weight`, how many posts that label stands for (0 where it was not drawn by
    lot); the greatest probability of any policy as served, the place in POLICIES of the one that decided, the action as its place in
    ACTIONS, whether anybody reacted (NaN while that may still come), and whether an input was missing or unknown, or a stage had failed. `numbers` of
    the rows are what is watched, NaN where it is not known (yet): num_words, unknown_words, has_picture, views, reports; `found`, 1 where the platform acted
    before anybody reported, 0 where somebody was faster; `reversed`, of what was enforced. Of reports, [num_reports]: under which policy, on whose post."""

    rows: Rows
    posts: Moderated  # each once
    weight: Floats
    predictions: Floats
    policy: Ints
    action: Ints
    reacted: Floats
    num_missing: Ints
    num_unknown: Ints
    degraded: Bools
    report_policy: Ints
    report_author: Ints


@dataclass(frozen=True, kw_only=True)
class Request:
    """A post to be judged: its author, its text, its picture as base64 of a PNG or JPEG, and what the platform knows beside them: numbers
    such as account_days, categories such as language."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    post_id: Annotated[int, Field(ge=0, lt=2**31)]
    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    text: Annotated[str, Field(max_length=MOST_CHARS)] = ""
    image: Annotated[str, Field(max_length=MOST_IMAGE_CHARS)] = ""
    numbers: Annotated[dict[str, FiniteFloat], Field(max_length=50)] = field(default_factory=dict)
    categories: Annotated[dict[str, Annotated[str, Field(max_length=100)]], Field(max_length=50)] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if not self.text.strip() and not self.image:
            raise ValueError("a post has a text, an image or both")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is done with the post and why: `policy` and `score` are of the policy acted on, or of the one nearest to its threshold where the action is allow;
    `notice` is for the author, "" unless the post was removed or demoted."""

    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    post_id: int
    action: Action
    policy: str
    score: float
    scores: dict[str, float]  # by policy
    notice: str
