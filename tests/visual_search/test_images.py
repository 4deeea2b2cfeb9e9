"""Pictures of your own: a folder for each class, and a table that may say more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from visual_search.config import Config
from visual_search.data import images

CONFIG = Config(side=16)
CLASSES = {"red-vases": 60, "chairs": 120, "old_lamps": 180}


def folder(tmp_path: Path, each: int = 20, table: str = "") -> Path:
    for name, level in CLASSES.items():
        (tmp_path / name).mkdir(parents=True)
        for at in range(each):
            Image.new("RGB", (20, 20), (level, at, 0)).save(tmp_path / name / f"{at:02}.png")
    if table:
        (tmp_path / images.FILE).write_text(table)
    return tmp_path


def test_every_picture_is_in_one_split_with_its_class(tmp_path: Path) -> None:
    dataset, key = images.read(folder(tmp_path), CONFIG)
    sizes = len(dataset.catalog), len(dataset.judged.photos), len(dataset.test)
    assert sum(sizes) == 60 and min(sizes) > 2 and sizes[0] > 30
    everything = np.concatenate(
        [dataset.catalog.images.pixels, dataset.judged.photos.pixels, dataset.test.photos.pixels]
    )
    assert len(np.unique(everything[:, 0, 0], axis=0)) == 60, "none twice, none lost"
    level = dataset.catalog.images.pixels[:, 0, 0, 0]
    named = {"red vases": 60, "chairs": 120, "old lamps": 180}
    assert level.tolist() == [named[text] for text in dataset.catalog.text.tolist()], "the class's name is its text"
    asked = dataset.test.photos.pixels[:, 0, 0, 0]
    for row, relevant in enumerate(key.relevant):
        assert set(relevant[relevant >= 0].tolist()) == set(np.flatnonzero(level == asked[row]).tolist())
    ids = dataset.catalog.image_id[None, :].repeat(len(asked), axis=0)
    assert (key.gain(dataset.test, ids) == (level[None, :] == asked[:, None])).all(), (
        "a class alone is a group of its own"
    )


def test_a_split_by_lot_stays_when_pictures_are_added(tmp_path: Path) -> None:
    few, many = (images.read(folder(tmp_path / name, each), CONFIG)[0] for name, each in (("few", 20), ("many", 30)))
    kept = {tuple(one) for one in many.test.photos.pixels[:, 0, 0].tolist()}
    assert {tuple(one) for one in few.test.photos.pixels[:, 0, 0].tolist()} <= kept


def test_the_table_says_text_and_split(tmp_path: Path) -> None:
    table = (
        'file,text,split\nchairs/00.png,"a tall chair, of wood",gallery\nchairs/01.png,,test\nchairs/02.png,,valid\n'
    )
    dataset, _ = images.read(folder(tmp_path, table=table), CONFIG)
    pixels = {tuple(one): at for at, one in enumerate(dataset.catalog.images.pixels[:, 0, 0].tolist())}
    assert dataset.catalog.text[pixels[(120, 0, 0)]] == "a tall chair, of wood"
    assert (120, 1, 0) in {tuple(one) for one in dataset.test.photos.pixels[:, 0, 0].tolist()}
    assert (120, 2, 0) in {tuple(one) for one in dataset.judged.photos.pixels[:, 0, 0].tolist()}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,split\nchairs/99.png,test\n", r"chairs/99\.png"),
        ("file,split\nchairs/00.png,train\n", "split 'train'"),
        ("name,split\nchairs/00.png,test\n", "lacks the column file"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        images.read(folder(tmp_path, table=table), CONFIG)


def test_a_folder_without_pictures_or_without_a_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        images.read(tmp_path, CONFIG)
    table = "file,split\n" + "".join(f"{name}/0{at}.png,gallery\n" for name in CLASSES for at in range(2))
    with pytest.raises(InputError, match="no picture of split test"):
        images.read(folder(tmp_path, each=2, table=table), CONFIG)


def test_a_photo_lies_as_it_was_held_and_is_pressed_into_a_square(tmp_path: Path) -> None:
    """Turned by its EXIF mark; as a picture is at the server's door."""
    root = folder(tmp_path)
    picture = Image.new("RGB", (40, 20), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 40, 10))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    picture.save(root / "chairs" / "00.png", exif=exif)
    (root / images.FILE).write_text("file,split\nchairs/00.png,gallery\n")
    dataset, _ = images.read(root, CONFIG)
    first = dataset.catalog.images.pixels[dataset.catalog.image_id[dataset.catalog.text == "chairs"][0]]
    assert first[:6].max() < 30 and first[10:].min() > 220
