"""An encoder trained here: a network of towers.py and its words, in two files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch.nn.functional import normalize

from common.contract import Bools
from common.data.durable import write_bytes
from common.errors import InputError
from common.features.text import TokenTable
from common.training.progress import say, step
from common.training.seeding import on_threads
from visual_search.config import Config
from visual_search.model.encoders import lesson, training
from visual_search.model.encoders.towers import KINDS, Clip, Residual, Shape
from visual_search.model.encoders.words import Words
from visual_search.model.parts import Vectors
from visual_search.schema import Dataset, Pairs, Pixels

WEIGHTS, SHAPE = "encoder.safetensors", "encoder.json"
MIN_COUNT = 2  # texts that hold a word, for it to be one


@dataclass(frozen=True, eq=False)
class Own:
    """`kind` and `shape` make the network again."""

    kind: str
    shape: Shape
    network: Clip | Residual
    words: Words

    @property
    def dim(self) -> int:
        return self.shape.dim

    @cached_property
    def fingerprint(self) -> str:
        """Of the two files."""
        return hashlib.sha256(self._said() + self._weights()).hexdigest()

    def images(self, pixels: Pixels) -> Vectors:
        """uint8 [n, side, side, 3] of any side -> [n, dim] of length 1."""
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        seen = training.vectors(self.network, pixels, self.shape.looks)
        if self.shape.mirrored:
            seen = normalize(seen + training.vectors(self.network, pixels[:, :, ::-1], self.shape.looks), dim=1)
        found: Vectors = seen.numpy()
        return found

    def texts(self, texts: Sequence[str]) -> Vectors:
        """-> [n, dim] of length 1, or 0 where no word is known."""
        known = self.words.known(texts)
        there = np.flatnonzero([bool(words) for words in known])
        found = np.zeros((len(texts), self.dim), np.float32)
        if len(there):
            with torch.inference_mode():
                found[there] = self.network.words(self.words.ids([known[at] for at in there])).numpy()
        return found

    def save(self, folder: Path) -> None:
        """encoder.safetensors, encoder.json."""
        write_bytes(folder / WEIGHTS, self._weights())
        write_bytes(folder / SHAPE, self._said())

    def _weights(self) -> bytes:
        return save({name: tensor.contiguous() for name, tensor in self.network.state_dict().items()})

    def _said(self) -> bytes:
        said = {"kind": self.kind, "shape": asdict(self.shape), "words": self.words.table.tokens.tolist()}
        return json.dumps(said, indent=1).encode()


def fit(dataset: Dataset, config: Config, start: Own | None = None) -> Own:
    """Trained from weights by lot, or from those of `start`, whose words and shape it keeps."""
    learnt, held = _parted(dataset.judged, config.held_out)
    words = start.words if start else Words.fit(dataset.catalog.text.tolist(), MIN_COUNT)
    lessons, one = lesson.of(dataset, learnt, config), begun(words, config, start)
    learns = step(f"visual_search: {config.encoder} learns from {len(lessons):,} {config.positives} positives")
    with on_threads(config.threads), learns:
        history = training.Teacher(one.network, words, lessons, training.choice(dataset, held), config).teach()
    say(f"visual_search: {_told(history)}")
    return one


def begun(words: Words, config: Config, start: Own | None = None) -> Own:
    """Weights by lot, or those of `start`, to be trained."""
    shape = Shape(
        side=config.encoder_side, looks=config.served_side, mirrored=config.mirrored, width=config.width, depth=config.depth,
        dim=config.dim, vocabulary=words.end + 1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = KINDS[config.encoder](shape)
    if start:
        network.load_state_dict(start.network.state_dict())
    return Own(config.encoder, shape, network.eval(), words)


def read(folder: Path) -> Own:
    """What `save` wrote; InputError where it is torn."""
    try:
        said = json.loads((folder / SHAPE).read_bytes())
        words = Words(TokenTable(np.array(said["words"], np.str_)))
        shape = Shape(**said["shape"])
        network = KINDS[said["kind"]](shape)
        network.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        return Own(said["kind"], shape, network.eval(), words)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{folder / WEIGHTS}: not a whole encoder ({str(error)[:120]}). Publish it again.") from error


def _told(history: Sequence[Mapping[str, float]]) -> str:
    """`loss`, and where something was held out the mrr of it, epoch by epoch."""
    return "; ".join(
        f"loss {epoch['loss']:.2f}" + (f" mrr {1 - epoch['valid']:.3f}" if "valid" in epoch else "")
        for epoch in history
    )


def _parted(pairs: Pairs, share: float) -> tuple[Pairs, Pairs]:
    """By photo, by lot: to learn from, and this share of the photos to choose by."""
    photos = np.unique(pairs.photo)
    lot = np.random.default_rng(0).random(len(photos))
    held = np.isin(pairs.photo, photos[lot < share])
    return _these(pairs, ~held), _these(pairs, held)


def _these(pairs: Pairs, rows: Bools) -> Pairs:
    return Pairs(photo=pairs.photo[rows], photos=pairs.photos, image_id=pairs.image_id[rows], grade=pairs.grade[rows])
