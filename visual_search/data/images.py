"""Pictures of your own: images:DIR, a folder for each class, and if you like images.csv, which says more of them.

Columns of images.csv: `file`, the path below DIR; `text`, what its owner would write; `split`, gallery, valid or test. Without a text the class's name stands
for it; without a split a tenth of each class is held back to choose by and a fifth to test with, by lot on the path, so adding pictures moves none.
Copies of one picture should share a split: a test photo whose copy stands in the gallery is found by anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.data.reading import read_table
from common.errors import InputError, did_you_mean
from common.features.text import bucket
from visual_search.config import Config
from visual_search.data import files, labelled
from visual_search.data.labelled import Classes, Part
from visual_search.schema import Dataset, Judgments

FILE = "images.csv"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
SPLITS = ("gallery", "valid", "test")
SHARES = (7, 8, 10)  # of ten: up to which number each split goes


def read(folder: Path, config: Config) -> tuple[Dataset, Judgments]:
    """InputError: no folder of pictures, a picture torn, a line of images.csv of a file that is not there, a split that is none."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: no pictures. Expected a folder for each class, {', '.join(SUFFIXES)} files in it.")
    names = [path.relative_to(folder).as_posix() for path in paths]
    classes, label = np.unique([path.parent.name for path in paths], return_inverse=True)
    said = _said(folder / FILE, names) if (folder / FILE).is_file() else {}
    split = np.array([said.get(file, {}).get("split") or _by_lot(file) for file in names])
    called = np.char.replace(np.char.replace(classes, "-", " "), "_", " ")
    text = np.array([said.get(file, {}).get("text") or called[at] for file, at in zip(names, label, strict=True)])
    if lacking := [name for name in ("gallery", "test") if name not in split]:
        raise InputError(f"{folder}: no picture of split {lacking[0]}. Say in {FILE} which are, or add pictures.")
    pixels = files.read(folder, np.array(names), config.side, "images").pixels
    gallery, valid, test = (
        Part(pixels=pixels[split == name], label=label[split == name], text=text[split == name]) for name in SPLITS
    )
    known, requests = Classes(name=called, group=np.arange(len(called))), labelled.asked(test.pixels)
    key = labelled.key(requests, test.label, gallery.label, known, {"class": called[test.label]})
    return labelled.dataset(gallery, valid, known, "", requests), key


def _by_lot(file: str) -> str:
    number = bucket(file, SHARES[-1]) - 1
    return next(name for name, share in zip(SPLITS, SHARES, strict=True) if number < share)


def _said(path: Path, names: list[str]) -> Mapping[str, Mapping[str, str]]:
    """By file: its text and its split, where they are said."""
    table = read_table(path)
    if "file" not in table.column_names:
        raise InputError(f"{path}: lacks the column file. Expected file, and text or split or both.")
    rows = {
        str(row["file"]): {name: str(row.get(name) or "") for name in ("text", "split")} for row in table.to_pylist()
    }
    if unknown := sorted(rows.keys() - set(names)):
        raise InputError(
            f"{path}: {len(unknown)} files are not there, {unknown[0]!r} first. Expected paths below the folder, such as {names[0]!r}."
        )
    if odd := sorted({row["split"] for row in rows.values()} - {"", *SPLITS}):
        raise InputError(f"{path}: split {odd[0]!r}. {did_you_mean(odd[0], SPLITS)}")
    return rows
