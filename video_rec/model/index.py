"""The index over the videos' vectors: which of millions are nearest to a viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

EXACT_BELOW = 200_000  # videos: up to here an exact scan is cheap, and needs no training
INDEX_BYTES = 4 * 2**30  # a larger index file is refused before it is read


def build_index(vectors: NDArray[np.float32]) -> faiss.Index:
    """Exact while a scan is cheap; beyond that sqrt-many lists of which one in sixteen is looked at."""
    num, dim = vectors.shape
    if num < EXACT_BELOW:
        index: Any = faiss.IndexFlatIP(dim)
    else:
        lists = int(2 ** round(np.log2(4 * num**0.5)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(8, lists // 16)
        rng = np.random.default_rng(0)
        index.train(vectors[rng.permutation(num)[: 40 * lists]])
    index.add(vectors)
    built: faiss.Index = index
    return built


def read_index(path: Path, shape: tuple[int, ...]) -> faiss.Index:
    """Bounded reading: faiss refuses a file that claims more than INDEX_BYTES, we one that does not fit the vectors beside it."""
    if path.stat().st_size > INDEX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, more than {INDEX_BYTES}. Publish the model again.")
    faiss.set_deserialization_vector_byte_limit(INDEX_BYTES)
    index: Any
    try:
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except RuntimeError as error:
        raise InputError(f"{path}: not a whole faiss index ({str(error)[:120]}). Publish the model again.") from error
    if (index.ntotal, index.d) != shape:
        raise InputError(
            f"{path}: holds {index.ntotal} vectors of {index.d} numbers, expected {shape[0]} of {shape[1]}. Publish the model again."
        )
    whole: faiss.Index = index
    return whole
