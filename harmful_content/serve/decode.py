"""Pictures as they arrive: base64 of a PNG or JPEG. What is none, or unfolds into more than it should, is refused before it is unfolded."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np

from common.errors import InputError
from harmful_content.schema import NO_IMAGES, SIDE, Images

FORMATS = ("PNG", "JPEG")
MOST_PIXELS = 4_000_000  # width times height, as the header says


def picture(encoded: str) -> Images:
    """ "" -> no picture; else a pool of one, SIDE pixels a side."""
    if not encoded:
        return NO_IMAGES
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise InputError(
                    f"image: {image.width} x {image.height} pixels. Expected at most {MOST_PIXELS:,} in all; send a smaller one."
                )
            pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.uint8)
    except (
        binascii.Error,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:  # Pillow says SyntaxError of a torn PNG
        if isinstance(error, InputError):
            raise
        raise InputError(f"image: not a whole picture. Expected base64 of a {' or '.join(FORMATS)}.") from error
    return Images(pixels[None])
