"""What was learnt and what was made by hand, as one vector: a network that saw a few thousand pictures does not know outlines as well as a histogram of edges
does, and no histogram knows what a word looks like.

Both parts are of length 1 and weighed so that the whole is again: the dot product of two pictures is (1 - edges) times what the network says of them plus `edges`
times what their outlines say. Words have no outline, so of words and a picture the network alone speaks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from common.data.durable import write_bytes
from common.errors import InputError
from visual_search.config import Config
from visual_search.model import edges as outlines
from visual_search.model import encoders
from visual_search.model.edges import Edges
from visual_search.model.parts import Encoder, Vectors
from visual_search.schema import Dataset, Pixels

DIM = 32  # of the outlines
BLOCK = 256  # pictures at once: a network's middle is many times as large as what goes in
EDGES, SHARE = "edges.safetensors", "joint.json"


def fit(dataset: Dataset, config: Config) -> Joint:
    """dataset: with its pictures prepared. The outlines' axes are the gallery's."""
    learnt = encoders.fit(dataset, config)
    return Joint(learnt, outlines.fit(dataset.catalog.images.pixels, DIM), config.edges)


def load(folder: Path) -> Joint:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found, share = load_file(folder / EDGES), json.loads((folder / SHARE).read_bytes())["edges"]
        hand = Edges(found["mean"], found["axes"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: not a whole encoder ({str(error)[:120]}). Publish it again.") from error
    return Joint(encoders.load(folder / "learnt"), hand, float(share))


@dataclass(frozen=True, eq=False)
class Joint:
    """An Encoder (parts.py)."""

    learnt: Encoder
    hand: Edges
    edges: float  # 0..1

    @property
    def dim(self) -> int:
        return self.learnt.dim + self.hand.dim

    @cached_property
    def fingerprint(self) -> str:
        said = hashlib.sha256(f"{self.learnt.fingerprint} {self.edges!r}".encode())
        for part in (self.hand.mean, self.hand.axes):
            said.update(np.ascontiguousarray(part).tobytes())
        return said.hexdigest()

    def images(self, pixels: Pixels) -> Vectors:
        parts = [self._images(pixels[at : at + BLOCK]) for at in range(0, len(pixels), BLOCK)]
        return np.concatenate([np.empty((0, self.dim), np.float32), *parts])

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Of length 1 in the learnt part, so that words are as near to a picture as the network says, whatever the outlines' share."""
        said = self.learnt.texts(texts)
        return np.concatenate([said, np.zeros((len(said), self.hand.dim), np.float32)], axis=1)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save

        (folder / "learnt").mkdir(exist_ok=True)
        self.learnt.save(folder / "learnt")
        write_bytes(folder / EDGES, save({"mean": self.hand.mean, "axes": np.ascontiguousarray(self.hand.axes)}))
        write_bytes(folder / SHARE, json.dumps({"edges": self.edges}).encode())

    def _images(self, pixels: Pixels) -> Vectors:
        weights = np.sqrt(np.array([1 - self.edges, self.edges], np.float32))
        parts = (self.learnt.images(pixels), self.hand.of(pixels))
        return np.concatenate([weight * part for weight, part in zip(weights, parts, strict=True)], axis=1)
