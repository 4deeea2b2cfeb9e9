"""What the words of a text look like: text and thumbnails in one space, so that a query in other words meets what looks alike.

Two channels that say "guitar" and "fretboard" show the same thing. Each word is given a place among the thumbnails (frame embeddings, made by a
frozen image encoder) so that the words of a document add up to its thumbnail: ridge regression of frames on words. A text lies where its words
lie together. No click has a part in it, so it repeats no position bias, and the ranker may trust a product on rows of training as on any other;
an encoder taught by clicks has seen those rows. Words that say nothing of the picture (small words, names of languages) come out short.

It is the representation learning of a visual search in closed form: a text tower without hidden layer, squared loss instead of contrast. The
vector of a document is that of its words, not of its thumbnail: one blurred picture says less than the words of its like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Floats
from common.data.durable import write_bytes
from common.errors import InputError
from common.features.text import UNKNOWN, TokenTable, analyse

Vectors = NDArray[np.float32]

RIDGE = 3.0  # as if each word had been seen three times on a document that looks like nothing
FILE = "looks.safetensors"


@dataclass(frozen=True, eq=False)
class Looks:
    """`places` [len(tokens), dim] in the order of the ids; zero for PAD and UNKNOWN."""

    tokens: TokenTable
    places: Vectors

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[n, dim] of unit length, each word of a text once; zero where none of its words is known."""
        return self.together([analyse(text) for text in texts])

    def together(self, said: Sequence[Sequence[str]]) -> Vectors:
        """`encode` of texts whose words are known already: said [n] of each, as `analyse` gives them."""
        summed = np.zeros((len(said), self.places.shape[1]), np.float32)
        for row, words in enumerate(said):
            summed[row] = self.places[sorted(set(self.tokens.ids(words)))].sum(axis=0)
        unit: Vectors = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), np.float32(1e-9))
        return unit

    @cached_property
    def fingerprint(self) -> str:
        said = hashlib.sha256("\n".join(self.tokens.tokens.tolist()).encode())
        said.update(self.places.tobytes())
        return said.hexdigest()

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save

        tokens = np.frombuffer("\n".join(self.tokens.tokens.tolist()).encode(), np.uint8)
        write_bytes(folder / FILE, save({"tokens": tokens, "places": self.places}))


def fit(said: Sequence[Sequence[str]], frames: NDArray[np.float32]) -> Looks:
    """said [n]: words of documents, as `analyse` gives them; frames [n, dim] of their thumbnails. Words that a single document says are left out."""
    from scipy.sparse import csr_array
    from sklearn.linear_model import Ridge

    tokens = TokenTable.fit(list(set(words)) for words in said)
    rows = [sorted(set(tokens.ids(words)) - {UNKNOWN}) for words in said]
    ends = np.cumsum([0, *map(len, rows)])
    flat = np.array([one for row in rows for one in row], np.int64)
    held = csr_array((np.ones(len(flat)), flat, ends), shape=(len(said), len(tokens)))
    seen: Floats = frames.astype(float) - frames.mean(axis=0)
    line = Ridge(alpha=RIDGE, fit_intercept=False, solver="sparse_cg", tol=1e-2).fit(held, seen)
    return Looks(tokens, np.ascontiguousarray(line.coef_.T, np.float32))


def load(folder: Path) -> Looks:
    """What `save` wrote; InputError where it is torn."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    try:
        arrays = load_file(path)
        tokens = TokenTable(np.array(arrays["tokens"].tobytes().decode().split("\n"), np.str_))
        places = arrays["places"]
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole encoder ({str(error)[:120]}). Publish the model again.") from error
    whole = places.ndim == 2 and places.dtype == np.float32 and len(places) == len(tokens)
    if not whole or not np.isfinite(places).all():
        raise InputError(f"{path}: not a whole encoder (its places do not fit its words). Publish the model again.")
    return Looks(tokens, places)
