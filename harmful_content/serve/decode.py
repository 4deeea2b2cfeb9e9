"""Pictures as they arrive: base64 of a PNG or JPEG. What is none, or unfolds into more than it should, is refused before it is unfolded.

A picture is judged as people see it: on white where it is transparent, and one, not a film: harm in what a viewer sees and we do not, or in what we
see and no viewer does, is the same hole.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from harmful_content.schema import NO_IMAGES, SIDE, Images

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG")
MOST_PIXELS = 1_000_000  # width times height, as the header says: 14 to 20 ms, measured, of the 40 that the stage has
SIXTEEN_BITS = "I;16"
GREY = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNoaGgAAAMEAYF1LgG8AAAAAElFTkSuQmCC"  # one pixel


def picture(encoded: str) -> Images:
    """ "" -> no picture; else a pool of one, SIDE pixels a side. InputError names what is wrong and what would be right."""
    if not encoded:
        return NO_IMAGES
    try:
        file = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise InputError(f"image: not base64 ({error}). Send the file's bytes in base64.") from None
    try:
        return Images(_unfolded(file)[None])
    except InputError:
        raise
    except (
        Exception
    ) as error:  # whatever Pillow stumbles over in a crafted file is the file's fault, and there are many ways
        raise InputError(f"image: not a whole picture. Expected a {' or '.join(FORMATS)}.") from error


def _unfolded(file: bytes) -> NDArray[np.uint8]:
    """-> [SIDE, SIDE, 3]. The header is read first; no row of pixels before it is found good."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is far lower
        with _opened(file) as image:
            if image.width * image.height > MOST_PIXELS:
                raise InputError(
                    f"image: {image.width} x {image.height} pixels. Expected at most {MOST_PIXELS:,} in all; send a smaller one: it is judged at {SIDE} a side."
                )
            if getattr(image, "n_frames", 1) > 1:
                raise InputError("image: a moving picture, of which only the first would be judged. Send a still one.")
            return _as_seen(image)


def _opened(file: bytes) -> Image:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(file), formats=FORMATS)
    except Image.DecompressionBombError:
        raise InputError(
            f"image: far more than the {MOST_PIXELS:,} pixels that are taken. Send a smaller one: it is judged at {SIDE} a side."
        ) from None


def _as_seen(image: Image) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith(SIXTEEN_BITS):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.asarray(Image.fromarray(grey).convert("RGB").resize((SIDE, SIDE)), dtype=np.uint8)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        small = image.convert("RGBA").resize((SIDE, SIDE))
        white = Image.new("RGBA", small.size, "white")
        return np.asarray(Image.alpha_composite(white, small).convert("RGB"), dtype=np.uint8)
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.uint8)
