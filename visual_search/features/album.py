"""The gallery's pictures as files: what a thumbnail is served from, and a search by image_id looks at. JPEG, a few thousand bytes each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import Ints
from common.data.durable import whole
from common.errors import InputError
from visual_search.schema import Catalog, Pixels

QUALITY = 90
FILE = "pictures.parquet"


@dataclass(frozen=True, eq=False)
class Album:
    """`image_id` [n], ascending; a JPEG for each."""

    image_id: Ints
    jpeg: Sequence[bytes]

    def find(self, image_id: int) -> bytes | None:
        at = int(np.searchsorted(self.image_id, image_id))
        return self.jpeg[at] if at < len(self.image_id) and self.image_id[at] == image_id else None

    def save(self, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"image_id": self.image_id, "jpeg": pa.array(self.jpeg, pa.binary())})
        with whole(folder / FILE) as temporary:
            pq.write_table(table, temporary, compression="none", use_dictionary=False, write_page_checksum=True)


def album(catalog: Catalog) -> Album:
    return Album(catalog.image_id, [encoded(picture) for picture in catalog.images.pixels])


def load(folder: Path) -> Album:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(folder / FILE, page_checksum_verification=True).read(use_threads=False)
        return Album(table.column("image_id").to_numpy().astype(np.int64), table.column("jpeg").to_pylist())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{folder / FILE}: no whole album of pictures ({error}). Train and publish again.") from error


def encoded(picture: Pixels) -> bytes:
    """uint8 [side, side, 3] -> a JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()


def decoded(jpeg: bytes) -> Pixels:
    """Of our own making -> uint8 [side, side, 3]."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return np.asarray(image.convert("RGB"))
