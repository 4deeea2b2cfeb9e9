"""A picture's file as it arrives, in base64: what is none, or unfolds into more than it should, is refused before it is unfolded.

It is taken as people see it: upright, as a phone says how it was held; on white where it is transparent, sixteen bits as eight, and one, not a film. JPEG is unfolded at the smallest of its scales
that will do, so a large photo costs little more than a small one; no other format has that.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = {"PNG": 1_500_000, "JPEG": 12_000_000, "WEBP": 1_500_000}
"""Width times height, as the header says. At these sizes, of one core, measured: 15 to 30 ms of a PNG or WebP, 7 of a JPEG, 60 of one that comes in ten
passes."""
MOST_PASSES = (
    20  # of a JPEG; ten are usual, each takes 9 ms of the largest, and a crafted file has thousands of 26 bytes each
)
_PASS = b"\xff\xda"  # start of scan: what is coded never holds it (ITU-T T.81, B.1.1.5), a profile or a preview may, once or twice
SIXTEEN_BITS = "I;16"
ORIENTATION = 0x0112  # of Exif
_HELD = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False), 5: (True, False, False), 6: (True, False, True),
    7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
"""Orientation -> rows for columns, bottom up, right to left: in this order (Exif 2.32, 4.6.4)."""


def unfolded(encoded: str, side: int, limits: Mapping[str, int] = MOST_PIXELS) -> NDArray[np.uint8]:
    """-> [side, side, 3], pressed into the square. `limits`: which formats are taken, up to how many pixels. InputError names what is wrong and what would be right."""
    try:
        with _opened(encoded, limits) as image:
            if image.format == "JPEG":
                image.draft("RGB", (2 * side, 2 * side))
            return _upright(_as_seen(image, side), image)
    except InputError:
        raise
    except (
        Exception
    ) as error:  # whatever Pillow stumbles over in a crafted file is the file's fault, and there are many ways
        raise InputError(f"image: not a whole picture. Expected a {' or '.join(limits)}.") from error


def check(encoded: str) -> None:
    """InputError for what its first bytes already say is no picture, or too large a one: no row of pixels is read."""
    _opened(encoded, MOST_PIXELS).close()


def _opened(encoded: str, limits: Mapping[str, int]) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        file = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"image: not base64 ({error}). Send the file's bytes in base64.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits here are far lower
            image = Image.open(io.BytesIO(file), formats=tuple(limits))
    except Image.DecompressionBombError:
        raise InputError(f"image: far more than {max(limits.values()):,} pixels. Send a smaller one.") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise InputError(f"image: not a picture. Expected a {' or '.join(limits)}.") from None
    try:
        _refuse(image, limits[str(image.format)], file.count(_PASS))
    except InputError:
        image.close()
        raise
    return image


def _refuse(image: Image, most: int, passes: int) -> None:
    if image.width * image.height > most:
        raise InputError(
            f"image: {image.width} x {image.height} pixels. Expected at most {most:,} in all of a {image.format}; send a smaller one."
        )
    if image.format == "JPEG" and passes > MOST_PASSES:
        raise InputError(f"image: a JPEG in {passes} passes. Expected at most {MOST_PASSES}; save it anew.")
    if getattr(image, "n_frames", 1) > 1:
        raise InputError("image: a moving picture, of which only the first would be looked at. Send a still one.")


def _upright(square: NDArray[np.uint8], image: Image) -> NDArray[np.uint8]:
    """A turn of the whole, done on the square: pressing first and turning then gives the same."""
    transposed, upside_down, mirrored = _HELD.get(image.getexif().get(ORIENTATION, 1), (False, False, False))
    square = square.transpose(1, 0, 2) if transposed else square
    square = square[::-1] if upside_down else square
    return np.ascontiguousarray(square[:, ::-1] if mirrored else square)


def _as_seen(image: Image, side: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith(SIXTEEN_BITS):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.asarray(_square(Image.fromarray(grey).convert("RGB"), side))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        small = _square(image.convert("RGBA"), side)
        white = Image.new("RGBA", small.size, "white")
        return np.asarray(Image.alpha_composite(white, small).convert("RGB"))
    return np.asarray(_square(image.convert("RGB"), side))


def _square(image: Image, side: int) -> Image:
    from PIL import Image

    return image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BILINEAR)
