"""Grocery Store (Klasson et al. 2019): 5,421 photos taken with a phone between shelves, 81 classes of goods in 42 groups, and of each class a picture of a shop.

In:     grocery:DIR, a copy of the repository: dataset/{train,val,test}.txt, classes.csv and the files they name.
Out:    the train photos as gallery, the test photos as queries, the val photos to choose by; see labelled.py.
Choice: config.protocol says what is asked of it. photo: like this one, among the train photos. shop: the one shop picture of the class, the train photos
        stand by as something to learn from. text: the class's name, among the test photos, of which no word and no class is known.
Else:   all three in one gallery: each would be judged among what belongs to another.
Breaks: in text and shop the answers are narrowed by the filter there is, shop_only. Photos come in bursts, a shelf at a time, so a random part of train
        is easier than val, and val (other days of the same shops) easier than test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.contract import Ints
from common.data.reading import read_table
from common.errors import InputError, did_you_mean
from visual_search.config import Config
from visual_search.data import files, labelled
from visual_search.data.labelled import Classes, Part
from visual_search.schema import Dataset, Judgments, Pixels

PROTOCOLS = ("photo", "shop", "text")
SPLITS = ("train", "val", "test")
CLASS, NUMBER, GROUP, SHOP = "Class Name (str)", "Class ID (int)", "Coarse Class Name (str)", "Iconic Image Path (str)"
SIZES = 2_640, 296, 2_485  # photos of each split: what this set alone has


def read(folder: Path, config: Config) -> tuple[Dataset, Judgments]:
    """InputError: a protocol there is not, a file missing or torn, a class that classes.csv does not list."""
    if config.protocol not in PROTOCOLS:
        raise InputError(f"--set protocol={config.protocol}: {did_you_mean(config.protocol, PROTOCOLS)}")
    root = folder / "dataset"
    classes, shop = _classes(root / "classes.csv")
    train, valid, test = (_split(root, name, len(shop), config.side) for name in SPLITS)
    every, gallery, truth, label = np.arange(len(shop)), train, train.label, test.label
    requests = labelled.asked(test.pixels, shop_only=config.protocol == "shop")
    if config.protocol == "shop":
        gallery, truth = _beside(train, files.read(root, np.array(shop), config.side, "shop").pixels, every, every)
    elif config.protocol == "text":
        label, requests = every, labelled.asked(test.pixels[:0], classes.name.tolist(), shop_only=True)
        gallery, truth = _beside(train, test.pixels, np.full(len(test), -1), test.label)
    whole = config.protocol == "photo" and (len(train), len(valid), len(test)) == SIZES
    data = labelled.dataset(gallery, valid, classes, "grocery" if whole else "", requests)
    shelf = np.array([path.split("/")[1] for path in shop])  # fruit, vegetables, packages
    return data, labelled.key(requests, label, truth, classes, {"shelf": shelf[label]})


def _beside(train: Part, pixels: Pixels, label: Ints, truth: Ints) -> tuple[Part, Ints]:
    """-> a gallery of the train photos and of what is to be found, and the class of each image that may be an answer, -1 of the others."""
    found = Part(
        pixels=np.concatenate([train.pixels, pixels]),
        label=np.concatenate([train.label, label]),
        shop=np.repeat([0, 1], [len(train), len(label)]),
    )
    return found, np.concatenate([np.full(len(train), -1), truth])


def _classes(path: Path) -> tuple[Classes, list[str]]:
    """-> they, and the picture of each in a shop. A class is called by its name and its group's, where that says more."""
    table = read_table(path)
    if lacking := [name for name in (CLASS, NUMBER, GROUP, SHOP) if name not in table.column_names]:
        raise InputError(f"{path}: lacks the column {', '.join(lacking)}. Take the file as it is in the repository.")
    names, numbers, groups, shop = (table.column(name).to_pylist() for name in (CLASS, NUMBER, GROUP, SHOP))
    if numbers != [str(at) for at in range(len(names))]:
        raise InputError(f"{path}: the classes are not numbered 0 to {len(names) - 1} in their order. Sort the rows.")
    called = [name if group in name else f"{name} {group}" for name, group in zip(names, groups, strict=True)]
    _, group = np.unique(groups, return_inverse=True)
    return (
        Classes(name=np.char.replace(np.array(called), "-", " "), group=group),
        [name.lstrip("/") for name in shop],
    )


def _split(root: Path, name: str, num_classes: int, side: int) -> Part:
    """A line is `path, class, group`."""
    path = root / f"{name}.txt"
    try:
        cells = [line.split(", ") for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {str(error)[:100]}. grocery:DIR wants a copy of the repository.") from error
    for number, line in enumerate(cells, start=1):
        if len(line) != 3 or not line[1].isdecimal() or int(line[1]) >= num_classes:
            raise InputError(
                f"{path}, line {number}: {', '.join(line)[:60]!r}. Expected path, class below {num_classes}, group."
            )
    pixels = files.read(root, np.array([line[0] for line in cells]), side, name).pixels
    return Part(pixels=pixels, label=np.array([int(line[1]) for line in cells], np.int64))
