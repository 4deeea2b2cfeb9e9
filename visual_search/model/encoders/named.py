"""A CLIP that somebody else trained, by folder or id, in the layout of openai/clip-vit-base-patch32: model, tokenizer, and how pictures are prepared.

An artifact holds no weights of others: it names where they are and their fingerprint, and is refused when something else is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from common.errors import InputError
from common.features.text import words
from common.training import pretrained
from visual_search.model.parts import Vectors
from visual_search.schema import Pixels

PREPARATION = "preprocessor_config.json"
BLOCK = 32


class Named:
    """`source`: what finds the folder again on another machine. InputError where it holds no CLIP."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.source = pretrained.whole(folder), source
        self._tokenizer, self._model = pretrained.read(folder)
        self._model.eval()
        if type(self._model).__name__ != "CLIPModel":
            raise InputError(f"{folder}: is a {type(self._model).__name__}. Expected a CLIPModel.")
        self._prepare = _preparation(folder)

    @property
    def dim(self) -> int:
        return int(self._model.config.projection_dim)

    @cached_property
    def fingerprint(self) -> str:
        """Of every file that is read."""
        said = hashlib.sha256(b"clip")
        for name in (*pretrained.FILES, *pretrained.ALSO):
            if (self.folder / name).is_file():
                said.update(f"{name} {pretrained.sha256(self.folder / name)}".encode())
        return said.hexdigest()

    def images(self, pixels: Pixels) -> Vectors:
        """uint8 [n, side, side, 3] of any side -> [n, dim] of length 1."""
        found = np.zeros((len(pixels), self.dim), np.float32)
        for at in range(0, len(pixels), BLOCK):
            prepared = self._prepare(images=list(pixels[at : at + BLOCK]), return_tensors="pt")["pixel_values"]
            found[at : at + BLOCK] = self._vectors("get_image_features", pixel_values=prepared)
        return found

    def texts(self, texts: Sequence[str]) -> Vectors:
        """-> [n, dim] of length 1, or 0 where there is no word. Cut behind as many tokens as it was taught."""
        found = np.zeros((len(texts), self.dim), np.float32)
        there = np.flatnonzero([bool(words(text)) for text in texts])
        for at in range(0, len(there), BLOCK):
            rows = there[at : at + BLOCK]
            ids = self._tokenizer(
                [texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt",
                max_length=self._model.config.text_config.max_position_embeddings,
            )  # fmt: skip
            found[rows] = self._vectors("get_text_features", **ids)
        return found

    def save(self, folder: Path) -> None:
        pretrained.keep(folder, self.source, self.fingerprint)

    def _vectors(self, verb: str, **inputs: Tensor) -> Vectors:
        with torch.inference_mode():
            pooled = getattr(self._model, verb)(**inputs).pooler_output
        found: Vectors = normalize(pooled, dim=1).numpy()
        return found


def named(name: str, others: Sequence[str]) -> Named:
    """`others`: what else the name might have meant. InputError where it is neither folder nor id of a CLIP."""
    folder = pretrained.named(name, others)
    return Named(folder, str(folder) if Path(name).is_dir() else name)


def read(folder: Path) -> Named:
    """What `save` named; InputError where it is gone or another by now."""
    source, fingerprint = pretrained.kept(folder)
    found = named(source, ())
    if found.fingerprint != fingerprint:
        raise InputError(
            f"{source} holds another encoder ({found.fingerprint[:12]}) than the gallery was encoded with ({fingerprint[:12]}). Put that "
            "one back, or train again with this one."
        )
    return found


def _preparation(folder: Path) -> Any:
    """Resize, crop and scale as its makers did; without torchvision."""
    from transformers import CLIPImageProcessorPil

    if not (folder / PREPARATION).is_file():
        raise InputError(
            f"{folder}: lacks {PREPARATION}, which says how pictures are prepared. Fetch it beside the weights."
        )
    made: Any = CLIPImageProcessorPil
    return made.from_pretrained(folder, local_files_only=True)
