"""Grocery Store: its files as a Dataset, three protocols, and no test photo's class anywhere in it. Tiny folders of its layout stand in for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.contract import Ints
from common.errors import InputError
from visual_search.config import Config
from visual_search.data import grocery
from visual_search.schema import Dataset, Judgments

NAMES = [("Golden-Delicious", "Apple"), ("Granny-Smith", "Apple"), ("Oat-Milk", "Oat-Milk"), ("Leek", "Leek")]
TRAIN, VAL, TEST = [0, 0, 1, 1, 2, 2, 3], [1, 3], [0, 1, 2, 2, 3]
CONFIG = Config(side=16)


def folder(tmp_path: Path, *, first: str = "") -> Path:
    """`first`: the first line of test.txt, in the place of what belongs there."""
    root = tmp_path / "dataset"
    for name, classes in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        lines = [f"{name}/{at}.jpg, {of}, {min(of - 1, 0)}" for at, of in enumerate(classes)]
        for at, of in enumerate(classes):
            saved(root / name / f"{at}.jpg", 40 * of + 10)
        (root / f"{name}.txt").write_text("\n".join([first or lines[0], *lines[1:]] if name == "test" else lines))
    rows = ["Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str)"]
    for at, (name, group) in enumerate(NAMES):
        rows.append(f"{name},{at},{group},0,/iconic/Fruit/{name}.jpg")
        saved(root / "iconic" / "Fruit" / f"{name}.jpg", 40 * at + 100)
    (root / "classes.csv").write_text("\n".join(rows))
    return tmp_path


def saved(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 32), (level, level, level)).save(path, quality=95)


def read(tmp_path: Path, protocol: str = "photo") -> tuple[Dataset, Judgments]:
    return grocery.read(folder(tmp_path), replace(CONFIG, protocol=protocol))


def level(pixels: np.ndarray) -> Ints:
    found: Ints = np.round(pixels.mean(axis=(1, 2, 3))).astype(np.int64)
    return found


def test_a_photo_is_asked_with_and_answered_by_the_photos_of_its_class(tmp_path: Path) -> None:
    dataset, key = read(tmp_path)
    assert len(dataset.catalog) == len(TRAIN) == key.num_images and len(dataset.test) == len(TEST)
    assert level(dataset.catalog.images.pixels) == pytest.approx(40 * np.array(TRAIN) + 10, abs=1), (
        "each its own picture"
    )
    assert level(dataset.test.photos.pixels) == pytest.approx(40 * np.array(TEST) + 10, abs=1)
    assert dataset.catalog.images.pixels.shape == (7, 16, 16, 3)
    for row, of in enumerate(TEST):
        alike = {at for at, one in enumerate(TRAIN) if one == of}
        assert set(key.relevant[row].tolist()) - {-1} == alike
    ids = np.tile(np.array([0, 2, 4, 6, -1]), (len(TEST), 1))
    expected = [[1, 0.5, 0, 0, 0], [0.5, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert key.gain(dataset.test, ids).tolist() == expected, "another apple is half as good"
    some = dataset.test.take(np.array([4, 0]))
    assert key.gain(some, ids[:2]).tolist() == [expected[4], expected[0]], "whoever is asked about"


def test_what_teaches_is_the_gallery_and_what_chooses_is_val(tmp_path: Path) -> None:
    dataset, _ = read(tmp_path)
    assert dataset.catalog.text[[0, 2, 4, 6]].tolist() == [
        "Golden Delicious Apple",
        "Granny Smith Apple",
        "Oat Milk",
        "Leek",
    ]
    assert dataset.catalog.label.tolist() == TRAIN and not len(dataset.train) and not len(dataset.valid)
    judged = dataset.judged
    assert level(judged.photos.pixels) == pytest.approx(40 * np.array(VAL) + 10, abs=1)
    grade = np.array(TRAIN)[judged.image_id] == np.array(VAL)[judged.photo]
    assert judged.grade.tolist() == grade.astype(float).tolist()
    assert {*judged.image_id[judged.photo == 0]} >= {0, 1, 2, 3}, (
        "all of its group are among them, as what is hard to tell"
    )


def test_no_class_of_a_test_photo_is_in_the_data(tmp_path: Path) -> None:
    """The same files with the test's classes turned round give the same Dataset."""
    dataset, key = read(tmp_path)
    other = folder(tmp_path / "other")
    lines = [f"test/{at}.jpg, {3 - of}, 0" for at, of in enumerate(TEST)]
    (other / "dataset" / "test.txt").write_text("\n".join(lines))
    turned, its = grocery.read(other, CONFIG)
    for one, two in ((dataset.test, turned.test), (dataset.catalog, turned.catalog), (dataset.judged, turned.judged)):
        for name, column in vars(one).items():
            if isinstance(column, np.ndarray):
                assert (column == getattr(two, name)).all() or name == "crop"
    assert (key.relevant != its.relevant).any()


def test_a_shop_picture_is_the_one_answer_and_the_photos_stand_by(tmp_path: Path) -> None:
    dataset, key = read(tmp_path, "shop")
    assert dataset.test.shop_only.tolist() == [1] * len(TEST)
    assert dataset.catalog.shop.tolist() == [0] * len(TRAIN) + [1] * len(NAMES)
    assert key.relevant.tolist() == [[len(TRAIN) + of] for of in TEST]
    assert key.gain(dataset.test, np.tile([0, 7, 8], (5, 1)))[0].tolist() == [0, 1, 0.5], "a photo is no answer"


def test_words_look_for_test_photos_of_which_nothing_is_said(tmp_path: Path) -> None:
    dataset, key = read(tmp_path, "text")
    assert dataset.test.text.tolist() == ["Golden Delicious Apple", "Granny Smith Apple", "Oat Milk", "Leek"]
    assert (dataset.test.photo == -1).all() and (dataset.test.shop_only == 1).all()
    test = slice(len(TRAIN), None)
    assert (dataset.catalog.label[test] == -1).all() and (dataset.catalog.text[test] == "").all()
    assert level(dataset.catalog.images.pixels[test]) == pytest.approx(40 * np.array(TEST) + 10, abs=1)
    assert [set(row) - {-1} for row in key.relevant.tolist()] == [{7}, {8}, {9, 10}, {11}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("test/0.jpg, 4, 0", "class below 4"),
        ("test/0.jpg, apple, 0", "line 1"),
        ("test/0.jpg", "Expected path"),
        ("../../secret.jpg, 0, 0", "does not lie in"),
        ("/etc/passwd, 0, 0", "does not lie in"),
        ("test/9.jpg, 0, 0", "9.jpg' cannot be read"),
    ],
)
def test_a_line_that_does_not_fit_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        grocery.read(folder(tmp_path, first=line), CONFIG)


def test_what_is_no_copy_of_the_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"classes\.csv: no such file"):
        grocery.read(tmp_path, CONFIG)
    root = folder(tmp_path)
    (root / "dataset" / "val.txt").unlink()
    with pytest.raises(InputError, match="copy of the repository"):
        grocery.read(root, CONFIG)
    with pytest.raises(InputError, match="Did you mean 'photo'"):
        grocery.read(root, replace(CONFIG, protocol="photos"))
    table = root / "dataset" / "classes.csv"
    table.write_text("\n".join(sorted(table.read_text().splitlines(), reverse=True)))
    with pytest.raises(InputError):
        grocery.read(root, CONFIG)


def test_a_torn_photo_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    path = root / "dataset" / "train" / "3.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"train/3\.jpg' cannot be read"):
        grocery.read(root, CONFIG)
