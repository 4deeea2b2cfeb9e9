"""A picture's file at the door: what is none is refused by its header, what is one comes out as people see it."""

from __future__ import annotations

import base64
import io
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from common.data.pictures import MOST_PASSES, MOST_PIXELS, ORIENTATION, check, unfolded
from common.errors import InputError

SIDE = 48


def file(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def halves(mode: str = "RGB") -> Image.Image:
    """Left red, right blue."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :40], pixels[:, 40:] = (230, 20, 20), (20, 20, 230)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(80, 60), (48, 48), (900, 700)])
def test_every_format_at_every_size_is_pressed_into_the_square(form: str, size: tuple[int, int]) -> None:
    seen = unfolded(encoded(file(halves().resize(size), form)), SIDE).astype(int)
    assert seen.shape == (SIDE, SIDE, 3)
    assert np.abs(seen[:, : SIDE // 2 - 4] - (230, 20, 20)).max() < 25
    assert np.abs(seen[:, SIDE // 2 + 4 :] - (20, 20, 230)).max() < 25


def test_a_square_of_the_right_side_keeps_every_bit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    assert np.array_equal(unfolded(encoded(file(Image.fromarray(pixels))), SIDE), pixels)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "RGBA", "LA"])
def test_every_mode_is_seen_in_three_colours(mode: str) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert unfolded(encoded(file(halves(mode), form)), SIDE).shape == (SIDE, SIDE, 3)


def test_what_is_transparent_lies_on_white_and_sixteen_bits_are_eight() -> None:
    clear = Image.new("RGBA", (50, 50), (0, 0, 0, 0))
    assert (unfolded(encoded(file(clear)), SIDE) == 255).all()
    deep = Image.fromarray(np.full((50, 50), 0x8000, np.uint16))
    assert np.abs(unfolded(encoded(file(deep)), SIDE).astype(int) - 0x80).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_photo_stands_upright_however_the_phone_was_held(form: str, orientation: int) -> None:
    """Pillow's own turn, of the picture in full, is the oracle."""
    corner = np.full((60, 80, 3), 240, np.uint8)
    corner[:20, :50] = (20, 20, 230)
    held = Image.Exif()
    held[ORIENTATION] = orientation
    content = file(Image.fromarray(corner), form, exif=held)
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    assert np.abs(unfolded(encoded(content), SIDE).astype(int) - np.asarray(upright).astype(int)).mean() < 4


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and holds nothing."""
    header = bytearray(file(Image.new("1", (1, 1))))
    header[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    return bytes(header)


def in_passes(more: int) -> bytes:
    """A JPEG in the usual ten passes, the last of them so many times more: each is a walk through every block, for a few bytes of file."""
    content = file(Image.new("RGB", (1_000, 800), (90, 140, 30)), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * more + content[-2:]


REFUSED = {
    "no base64": ("not base64", "a picture, really"),
    "nothing": ("not a picture", ""),
    "no picture": ("not a picture", encoded(b"GIF89a" + b"\0" * 100)),
    "a GIF": ("not a picture", encoded(file(halves("P"), "GIF"))),
    "half a JPEG": ("not a whole picture", encoded(file(halves().resize((600, 600)), "JPEG")[:900])),
    "too many pixels": ("Expected at most", encoded(bomb(3_000, 2_000))),
    "a bomb": ("pixels", encoded(bomb(60_000, 60_000))),
    "a JPEG in thousands of passes": ("passes", encoded(in_passes(5_000))),
    "a film": ("moving", encoded(file(halves(), "WEBP", save_all=True, append_images=[halves().rotate(90)]))),
    "a film in PNG": ("moving", encoded(file(halves(), "PNG", save_all=True, append_images=[halves().rotate(90)]))),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_picture_is_refused_at_once_and_says_why(what: str) -> None:
    says, text = REFUSED[what]
    began = time.process_time()
    with pytest.raises(InputError, match=says):
        unfolded(text, SIDE)
    assert time.process_time() - began < 1.0, "nothing of it is unfolded"
    if "whole" not in says:
        with pytest.raises(InputError, match=says):
            check(text)


def test_a_good_header_passes_the_check() -> None:
    for form in MOST_PIXELS:
        check(encoded(file(halves(), form)))
    check(encoded(file(halves().resize((600, 600)), "JPEG")[:900]))  # what follows is for who unfolds it


def test_a_jpeg_in_the_usual_passes_is_a_picture() -> None:
    for more in (0, MOST_PASSES - 10):
        assert unfolded(encoded(in_passes(more)), SIDE).shape == (SIDE, SIDE, 3)
    with pytest.raises(InputError, match="passes"):
        check(encoded(in_passes(MOST_PASSES - 9)))


def test_whatever_is_flipped_in_a_file_it_is_a_picture_or_an_input_error() -> None:
    """Hundreds of mistakes of a sender, and not one of ours."""
    rng = np.random.default_rng(1)
    for form in MOST_PIXELS:
        whole = file(halves(), form)
        for _ in range(150):
            broken = bytearray(whole)
            for at in rng.integers(0, len(whole), rng.integers(1, 6)):
                broken[at] = rng.integers(0, 256)
            try:
                assert unfolded(encoded(bytes(broken)), SIDE).shape == (SIDE, SIDE, 3)
            except InputError as error:
                assert str(error).startswith("image: ")
