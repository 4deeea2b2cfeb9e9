"""The nouns of the case, and what is refused at the door.

In:     nothing.
Out:    Images, Rows, Requests, Pairs, Catalog, Dataset, Judgments, Live, Request, Answer, Item; EVENTS, EXAMPLE, ITEM.
Choice: pixels lie once in a pool and a row holds a place in it: one photo is asked with by many rows. The gallery's own pixels lie in the
        catalogue's order. All are squares of one side: an encoder sees nothing larger, and a person a thumbnail.
Else:   files and a loader, once the pictures outgrow memory.
Breaks: arrays of unequal length, a catalogue out of order, a picture that is none, a crop without area: refused before any code of the case runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from common.contract import Bools, EventKind, Floats, Ints, Timings, Why
from common.data import columns, pictures
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore

Texts = NDArray[np.str_]
Pixels = NDArray[np.uint8]
Crops = NDArray[np.float32]
MOST_IMAGE_CHARS = 900_000  # base64: a file of 675 kB, and room in a body for the rest (common/serving/guards.py)
SHOWN = ("request_id", "user_id", "image_id", "owner_id")
"""The keys of everything that happens to an image shown."""
EVENTS: Mapping[str, EventKind] = {
    # query_id: the gallery's image that was asked with, -1 for a photo of one's own; `cold`: nothing in the gallery is like it; `words`: it was asked with
    # words alone; `whole`: nothing stood out in an unmarked photo.
    "impression": EventKind(
        keys=(*SHOWN, "query_id"),
        values=("slot", "propensity_ppm", "score_ppm", "cold", "degraded", "words", "whole"),
        posted=False,
    ),
    "click": EventKind(keys=SHOWN, values=("dwell_seconds",)),
    "forget": EventKind(keys=("user_id",)),
}

_VASE = (
    "iVBORw0KGgoAAAANSUhEUgAAABgAAAAYBAMAAAASWSDLAAAAJFBMVEXx9Ovt6uLt6ODs6ODr5t/o49vYzMXKk5CzMziwJiyrHyadFBse0KsKAAAAyElEQVR42kXMwUoCURSH8e/c6yKR0RFy4WycWlYww"
    "SzdiPtAfBkfyxdwo9AyLKhVZIqbiMAztjGJuS7mXjy7H/zPJznnqwFIjNOAaIa995C3CT/PgOQQ9Qf8P2RgAPvhWMZUKKa7z+/Mg5ZWaQO426LcBMhjy/QCkJhL9YjG6q5fws+VX9gEeR9ecGwfDxhgnwJp"
    "mAGEQLY5wzUUmlv1FQU397PXEhitwSY07+o39dVfp6AG2imfqqJNkGVX+fpdxEgOrNrsTAonaV48SlMhOn4AAAAASUVORK5CYII="
)
"""A PNG of 24 x 24 pixels: a red vase."""
EXAMPLE: Mapping[str, Any] = {"user_id": 42, "image": _VASE}
ITEM: Mapping[str, Any] = {
    "image_id": 1_000_000_000,
    "image": _VASE,
    "uploaded": 2_000_000_000,
    "text": "a red vase",
    "owner_id": 1_000_000_000,
}


@dataclass(frozen=True)
class Images:
    """A pool of pictures: pixels uint8 [num_images, side, side, 3], red, green, blue."""

    pixels: Pixels

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        assert self.pixels.dtype == np.uint8 and len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3, shape

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def side(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Images that were shown, in columns, [n] each: who asked with which photo (its place in `photos`, -1 for words alone), which image stood in which
    place, from 0. `moment`: the log position at which the features are read. label [n]: 1 clicked, 0 not, NaN where unknown."""

    user_id: Ints
    photo: Ints
    photos: Images
    image_id: Ints
    slot: Ints
    event_time: Ints
    moment: Ints
    label: Floats
    text: Texts = field(default_factory=lambda: np.empty(0, np.str_))
    crop: Crops = field(default_factory=lambda: np.empty((0, 4), np.float32))

    def __post_init__(self) -> None:
        _fill(self)
        columns.equal_lengths("Rows", _columns(self))

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools) -> Rows:
        """The rows at `index`, in that order, over the same pool of photos."""
        return Rows(photos=self.photos, **{name: column[index] for name, column in _columns(self).items()})

    def requests(self) -> Requests:
        """What was asked, a request for each row."""
        shared = ("user_id", "photo", "photos", "text", "crop", "event_time", "moment")
        return Requests(**{name: getattr(self, name) for name in shared})


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Searches in columns, [num_requests] each. `photo`: place in `photos`, -1 for words alone; `text`: "" for a photo alone; with both, like the photo but
    as the words say. crop [n, 4]: left, top, right, bottom as shares of the side, NaN to have the object looked for. `query_id`: the gallery's
    image asked with, which is no answer, or -1. `shop_only`: 1 for what can be bought."""

    user_id: Ints
    photo: Ints
    photos: Images
    event_time: Ints
    moment: Ints
    text: Texts = field(default_factory=lambda: np.empty(0, np.str_))
    crop: Crops = field(default_factory=lambda: np.empty((0, 4), np.float32))
    query_id: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    shop_only: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        _fill(self)
        columns.equal_lengths("Requests", _columns(self))
        assert not len(self.photo) or self.photo.max() < len(self.photos), "a request names a photo that is not there"

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: Ints | Bools | slice) -> Requests:
        return Requests(photos=self.photos, **{name: column[index] for name, column in _columns(self).items()})


def _columns(of: Rows | Requests) -> dict[str, Any]:
    return {name: column for name, column in vars(of).items() if name != "photos"}


def _fill(of: Rows | Requests) -> None:
    """Columns that were not given: no words, the object looked for, no image of the gallery's, no filter."""
    num = len(of.user_id)
    nothing: Mapping[str, Any] = {
        "text": np.full(num, ""),
        "crop": np.full((num, 4), np.nan, np.float32),
        "query_id": np.full(num, -1),
        "shop_only": np.zeros(num, np.int64),
    }
    for name, column in nothing.items():
        if hasattr(of, name) and not len(getattr(of, name)):
            object.__setattr__(of, name, column)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What people judged, [n] each: how like the photo (place in `photos`) an image of the gallery is, grade from 0 to 1."""

    photo: Ints
    photos: Images
    image_id: Ints
    grade: Floats

    def __len__(self) -> int:
        return len(self.photo)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The gallery as of training, [num_images] each, sorted by image_id; `images` in the same order. `text`: what its owner wrote, title and tags.
    Columns of the rules that are not given forbid nothing. `label`: the class somebody put it into, -1 unknown: alike is who shares it."""

    image_id: Ints
    owner_id: Ints  # -1 where unknown
    text: Texts
    images: Images
    explicit: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # 1 if not to be shown
    private: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # 1 if for its owner alone
    shop: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # 1 if it can be bought
    fingerprint: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # nearly alike for copies; 0 unknown
    label: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: Mapping[str, Floats] = field(default_factory=dict)  # uploaded
    categories: Mapping[str, Texts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, nothing in (("explicit", 0), ("private", 0), ("shop", 0), ("fingerprint", 0), ("label", -1)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.image_id), nothing))
        columns.equal_lengths("Catalog", {name: column for name, column in vars(self).items() if name != "images"})
        assert len(self.images) == len(self.image_id), "an image of the catalogue has no picture"
        assert (np.diff(self.image_id) > 0).all(), "a catalogue is sorted by image_id, without repeats"

    def __len__(self) -> int:
        return len(self.image_id)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    train: Rows
    valid: Rows
    test: Requests  # carries no labels: `data.judgments` is the key
    judged: Pairs  # by people, to learn from and to choose by; none of a test request
    catalog: Catalog
    history: AsOfStore | LeaveOneOutStore
    published: str = ""  # whose figures of evaluate.PUBLISHED stand beside ours


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """The key to the test requests, in their order. `gain(requests, ids [n, k]) -> [n, k]` answers for any pair, from 0 to 1, 0 for id -1: planted on
    the world, 1 for the same class on real data. `relevant` [n, m] are those alike enough to count where truth is binary, best first, -1 pads."""

    requests: Requests
    gain: Callable[[Requests, Ints], Floats]
    relevant: Ints
    num_images: int
    slices: Mapping[str, Texts]
    origin: str  # world | real


@dataclass(frozen=True, kw_only=True)
class Live:
    """Served traffic read back from the log, [n] each: the rows (the log holds no pictures: photo is -1), the scores they were served with; `cold`: nothing
    in the gallery was like it, `degraded`: a stage did not come in time; `words`: asked with words alone, `whole`: nothing stood out in the photo."""

    rows: Rows
    predictions: Floats
    cold: Bools
    degraded: Bools
    words: Bools
    whole: Bools


Words = Annotated[str, Field(max_length=300)]
Picture = Annotated[str, Field(max_length=MOST_IMAGE_CHARS)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Somebody searches with a photo (`image`: base64 of a PNG, JPEG or WebP; or `image_id` of the gallery), with words, or with both. `crop`: left, top,
    right, bottom as shares of width and height; without one the object is looked for. Their own private images are shown to nobody else."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[int, Field(ge=0, lt=2**31)]
    image: Picture = ""
    image_id: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    text: Words = ""
    crop: Annotated[list[Share], Field(min_length=4, max_length=4)] | None = None
    page_size: Annotated[int, Field(ge=1, le=50)] = 10
    shop_only: bool = False

    def __post_init__(self) -> None:
        if self.image and self.image_id is not None:
            raise ValueError("image and image_id are two photos; send one")
        if not self.image and self.image_id is None and not self.text.strip():
            raise ValueError("a search has an image, an image_id or a text")
        if self.crop and not (self.crop[0] < self.crop[2] and self.crop[1] < self.crop[3]):
            raise ValueError("crop is left, top, right, bottom, with left < right and top < bottom")


@dataclass(frozen=True, kw_only=True)
class Item:
    """An image that comes, or changes, while the case is served: its file as base64, and the same words for it as one row of the Catalog. What is not
    said of who may see it stays as it was, of a new image it is no limit; a copy of an explicit image is explicit. Uploaded (seconds UTC) later than
    now is now."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    image_id: Annotated[int, Field(ge=0, lt=2**31)]
    image: Picture
    uploaded: Annotated[int, Field(ge=0, lt=2**40)]
    text: Words = ""
    owner_id: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    shop: bool | None = None
    explicit: bool | None = None
    private: bool | None = None
    fingerprint: Annotated[int, Field(ge=0, lt=2**52)] = 0  # nearly alike for copies; 0 unknown

    def __post_init__(self) -> None:
        pictures.check(self.image)


@dataclass(frozen=True, kw_only=True)
class ShownImage:
    image_id: int
    owner_id: int
    slot: int
    text: str
    score: float
    thumbnail: str  # the path it is served at


@dataclass(frozen=True, kw_only=True)
class Answer:
    request_id: int
    model_version: str
    degraded: list[str]
    timings_ms: Timings
    why: list[Why]
    crop: list[float]  # the part of the photo that was searched with; empty for words alone
    images: list[ShownImage]
