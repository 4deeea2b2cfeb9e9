"""An encoder of our own: small, trained here on pairs of a query and the document clicked for it.

A word is the mean of its hashed pieces, itself and its runs of 3 to 5 letters (Bojanowski et al. 2017), so a typo keeps most of its vector; a
text is the sum of its words, each as heavy as its pieces have learned to be; one linear layer. Word order is lost, and what no pair ever taught
is not known. Training is contrastive: the other documents of a batch are the negatives. They come as often as they are clicked, so a popular
document is a negative too often; log q is taken off its score (Yi et al. 2019, "Sampling-bias-corrected neural modeling"). The loss goes both
ways, queries to documents and back (Radford et al. 2021).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

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
from search_ranking.model.retrieval.encoder import Vectors


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


def _numbers(keys: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.unique(keys, return_inverse=True)[1])


def _log_share(numbers: Tensor, wanted: bool) -> Tensor:
    """[n]: log of the share of pairs that hold the same; 0 where not wanted."""
    share = torch.bincount(numbers)[numbers].float() / len(numbers)
    return torch.log(share) * wanted
