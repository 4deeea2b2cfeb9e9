"""Own tables: written and read again they are the same data; what does not fit is refused. The contract fits both and compares scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pandas as pd
import pytest

from common import events
from common.errors import InputError
from common.features.leave_one_out import LeaveOneOutStore
from visual_search import data
from visual_search.config import SMOKE, Config
from visual_search.schema import Pixels, Requests, Rows

TINY = replace(SMOKE, num_users=80, num_images=120, num_searches=150, num_photos=60, num_pairs=200, num_judged=25)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("own")
    data.write(data.load(TINY), data.judgments(TINY), folder)
    return replace(TINY, data=f"csv:{folder}")


def folder_of(config: Config) -> Path:
    return Path(config.data.partition(":")[2])


def photos(of: Rows | Requests) -> Pixels:
    """Of each row; nothing but zeros for words alone."""
    return of.photos.pixels[of.photo] * (of.photo >= 0)[:, None, None, None]


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_what_was_asked_is_read_again_bit_for_bit(own: Config, part: str) -> None:
    before, after = getattr(data.load(TINY), part), getattr(data.load(own), part)
    for name, column in vars(before).items():
        if name not in ("photo", "photos"):
            again = getattr(after, name)
            assert (
                np.array_equal(column, again, equal_nan=column.dtype.kind == "f")
                and column.dtype.kind == again.dtype.kind
            ), name
    assert np.array_equal(photos(before), photos(after)) and np.array_equal(before.photo < 0, after.photo < 0)


def test_the_gallery_the_log_and_the_pairs_are_read_again_bit_for_bit(own: Config) -> None:
    before, after = data.load(TINY), data.load(own)
    for name in ("image_id", "owner_id", "text", "explicit", "private", "shop", "fingerprint", "label"):
        assert np.array_equal(getattr(before.catalog, name), getattr(after.catalog, name)), name
    assert np.array_equal(before.catalog.images.pixels, after.catalog.images.pixels)
    assert np.array_equal(before.catalog.numbers["uploaded"], after.catalog.numbers["uploaded"])
    for key, values in before.history.events.values.items():
        assert np.array_equal(values, after.history.events.values[key]), key
    ours, theirs = before.judged, after.judged
    assert np.array_equal(ours.grade, theirs.grade) and np.array_equal(ours.image_id, theirs.image_id)
    assert np.array_equal(ours.photos.pixels[ours.photo], theirs.photos.pixels[theirs.photo])


def test_photos_keep_their_order_so_that_batches_do(own: Config) -> None:
    """The pool may lose what nobody asks with; what is left stands in the order it stood in, and not in that of "10" before "9"."""
    before, after = data.load(TINY), data.load(own)
    asked = np.concatenate([part.photo for part in (before.train, before.valid, before.test, before.judged)])
    kept = np.unique(asked[asked >= 0])
    assert len(kept) > 10 and np.array_equal(before.train.photos.pixels[kept], after.train.photos.pixels)


def test_the_key_holds_the_grades_and_nothing_planted(own: Config) -> None:
    planted, key = data.judgments(TINY), data.judgments(own)
    assert key.origin == "real" and np.array_equal(
        np.sort(key.relevant, axis=1)[:, -1], np.sort(planted.relevant, axis=1)[:, -1]
    )
    there = key.relevant >= 0
    gains = key.gain(key.requests, key.relevant)
    assert (gains[there] > 0).all() and not gains[~there].any()
    assert np.array_equal(gains[there], planted.gain(planted.requests, key.relevant)[there])
    assert not key.gain(key.requests, np.full((len(key.requests), 1), 10**6)).any()


@pytest.mark.parametrize(
    ("table", "column", "value", "says"),
    [
        ("rows", "split", "test", "split 'test'"),
        ("rows", "photo", "photos/none.png", "cannot be read"),
        ("rows", "photo", "../secret.png", "does not lie in"),
        ("catalog", "image", "/etc/passwd", "does not lie in"),
        ("catalog", "image_id", 10**6, "Sort the table"),
        ("pairs", "grade", 1.5, "Expected 0 to 1"),
        ("relevant", "request", 25, "request 25 of 25"),
        ("requests", "", None, "requests.csv: no such file"),
    ],
)
def test_what_does_not_fit_is_refused(
    own: Config, tmp_path: Path, table: str, column: str, value: Any, says: str
) -> None:
    folder = tmp_path / "broken"
    copytree(folder_of(own), folder)
    path = folder / f"{table}.csv"
    if column:
        frame = pd.read_csv(path, keep_default_na=False)
        frame[column] = frame[column].astype(object)
        frame.loc[0, column] = value
        frame.to_csv(path, index=False)
    else:
        path.unlink()
    with pytest.raises(InputError, match=says):
        data.load(replace(TINY, data=f"csv:{folder}"))


def test_a_search_for_nothing_and_two_the_same_are_refused(own: Config, tmp_path: Path) -> None:
    for name, says in (("nothing", "neither photo nor text"), ("twice", "two are the same")):
        folder = tmp_path / name
        copytree(folder_of(own), folder)
        frame = pd.read_csv(folder / "requests.csv", keep_default_na=False)
        if name == "nothing":
            frame.loc[0, ["photo", "text"]] = ""
        else:
            frame.loc[1] = frame.loc[0]
        frame.to_csv(folder / "requests.csv", index=False)
        with pytest.raises(InputError, match=says):
            data.load(replace(TINY, data=f"csv:{folder}"))


def test_a_link_out_of_the_folder_is_not_followed(own: Config, tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    copytree(folder_of(own), folder)
    first = next((folder / "images").iterdir())
    secret = tmp_path / "secret.png"
    secret.write_bytes(first.read_bytes())
    first.unlink()
    first.symlink_to(secret)
    with pytest.raises(InputError, match="does not lie in"):
        data.load(replace(TINY, data=f"csv:{folder}"))


def test_without_a_log_nothing_is_known_of_clicks(tmp_path: Path) -> None:
    whole, none = data.load(TINY), np.empty(0, np.int64)
    judged = replace(whole.judged, photo=none, image_id=none, grade=np.empty(0))
    bare = replace(whole, judged=judged, history=LeaveOneOutStore(events.take(whole.history.events, none)))
    data.write(bare, data.judgments(TINY), tmp_path)
    read = data.load(replace(TINY, data=f"csv:{tmp_path}"))
    assert len(read.history.events) == 0 and len(read.judged) == 0 and len(read.train) == len(whole.train)
