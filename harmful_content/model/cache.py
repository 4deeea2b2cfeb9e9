"""Vectors of posts kept on disk, and all posts of the last days judged anew from them when a policy or a head changes.

In:     post ids with their vectors, under the fingerprint of the encoder that made them; a way to encode what is missing, a way to judge vectors.
Out:    EmbeddingCache.save, opened; sweep -> what is decided now for every post, and how many had to be encoded.
Choice: one file, whole or not at all; a cache of another encoder is refused, not silently mixed: two encoders' vectors share no axis.
Else:   a key-value store, where several encoders live side by side and posts of months are kept.
Breaks: a post that was edited keeps the vector of what it said before: whoever edits must `without` it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints
from common.data.durable import whole
from common.errors import InputError

Float32s = NDArray[np.float32]

FINGERPRINT = "fingerprint"


@dataclass(frozen=True)
class EmbeddingCache:
    """post_id [m], ascending, no two alike; vectors [m, d]."""

    fingerprint: str
    post_id: Ints
    vectors: Float32s

    def save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        with whole(path) as temporary:
            save_file({"post_id": self.post_id, "vectors": self.vectors}, temporary, {FINGERPRINT: self.fingerprint})

    def holds(self, post_id: Ints) -> Bools:
        """[n]"""
        held: Bools = np.isin(post_id, self.post_id)
        return held

    def read(self, post_id: Ints) -> Float32s:
        """[n, d] of posts that are held."""
        assert self.holds(post_id).all(), "a post that the cache does not hold"
        found: Float32s = self.vectors[np.searchsorted(self.post_id, post_id)]
        return found

    def joined(self, post_id: Ints, vectors: Float32s) -> EmbeddingCache:
        """With these posts [n], whose vectors replace what was held of them."""
        kept = ~np.isin(self.post_id, post_id)
        ids = np.concatenate([self.post_id[kept], post_id])
        order = np.argsort(ids, kind="stable")
        return EmbeddingCache(self.fingerprint, ids[order], np.concatenate([self.vectors[kept], vectors])[order])

    def without(self, post_id: Ints) -> EmbeddingCache:
        """Without posts that were edited or forgotten."""
        kept = ~np.isin(self.post_id, post_id)
        return EmbeddingCache(self.fingerprint, self.post_id[kept], self.vectors[kept])


@dataclass(frozen=True)
class Sweep:
    """[n] in the order of the posts asked for. `num_encoded`: those of which no vector was held."""

    decided: Floats
    num_encoded: int
    cache: EmbeddingCache


def empty(fingerprint: str, width: int) -> EmbeddingCache:
    return EmbeddingCache(fingerprint, np.empty(0, np.int64), np.empty((0, width), np.float32))


def opened(path: Path, fingerprint: str) -> EmbeddingCache:
    """What `save` wrote; an InputError if another encoder made it, or if the file is not whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            made_by = (file.metadata() or {}).get(FINGERPRINT, "nobody")
            if made_by != fingerprint:
                raise InputError(
                    f"{path}: vectors of encoder {made_by}, asked for those of {fingerprint}. Encode the posts again, and delete this file."
                )
            return EmbeddingCache(made_by, file.get_tensor("post_id"), file.get_tensor("vectors"))
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a whole cache of vectors ({str(error)[:120]}). Delete it; a sweep makes it again."
        ) from error


def sweep(
    post_id: Ints, cache: EmbeddingCache, encode: Callable[[Ints], Float32s], judge: Callable[[Float32s], Floats]
) -> Sweep:
    """Judges posts [n], no two alike, anew. encode: places among the n -> [k, d], for those that are not held; judge: [n, d] -> [n, ...]."""
    missing = np.flatnonzero(~cache.holds(post_id))
    full = cache.joined(post_id[missing], encode(missing)) if len(missing) else cache
    return Sweep(judge(full.read(post_id)), len(missing), full)
