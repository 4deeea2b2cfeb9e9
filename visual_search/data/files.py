"""Pictures as files beside a table: PNG keeps every bit, and a path leads to no file outside of the table's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.contract import Ints
from common.errors import InputError
from common.training.progress import bar
from visual_search.schema import Images, Pixels, Texts


def write(folder: Path, name: str, images: Images, used: Ints) -> Texts:
    """Those at the places `used` (any number of times, -1 none) as files of folder/name -> the path of each, "" for none. Sorted, paths stand in the order
    of their places."""
    from PIL import Image

    (folder / name).mkdir(parents=True, exist_ok=True)
    digits = len(str(max(len(images) - 1, 0)))
    for place in np.unique(used[used >= 0]).tolist():
        Image.fromarray(images.pixels[place]).save(folder / name / f"{place:0{digits}}.png", compress_level=1)
    return np.array([f"{name}/{place:0{digits}}.png" if place >= 0 else "" for place in used.tolist()], dtype=np.str_)


def read(folder: Path, paths: Texts, side: int, what: str) -> Images:
    """Each as a square of `side` pixels. InputError names the first that cannot be read; `what`: whose pictures these are."""
    pixels, inside = np.empty((len(paths), side, side, 3), np.uint8), folder.resolve()
    for at, path in enumerate(bar(paths.tolist(), len(paths), f"{what} pictures")):
        pixels[at] = _read(folder, path, inside, side, what)
    return Images(pixels)


def _read(folder: Path, path: str, inside: Path, side: int, what: str) -> Pixels:
    from PIL import Image, ImageOps

    if not path or not _is_inside(folder / path, inside):
        raise InputError(
            f"{what}: the picture {path!r} does not lie in {folder}, or behind a link that leads out. Copy it into the folder."
        )
    try:
        with Image.open(folder / path) as image:
            image.draft("RGB", (side, side))  # a large JPEG is unfolded at a fraction of its size
            whole = ImageOps.exif_transpose(image).convert("RGB")  # as it was held
            return np.asarray(whole if whole.size == (side, side) else whole.resize((side, side)))
    except Exception as error:  # whatever Pillow stumbles over in a torn file
        raise InputError(
            f"{what}: the picture {path!r} cannot be read ({str(error)[:100]}). Mend the path or the file."
        ) from error


def _is_inside(path: Path, folder: Path) -> bool:
    """Neither by .. nor by a link may a table have another file read, whatever it holds."""
    try:
        return ".." not in path.parts and path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # a link to itself; a NUL
        return False
