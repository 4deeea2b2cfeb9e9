"""A small network as scorer, trained with any loss of losses.py; without hidden layers it is a line, and with bce logistic regression.

In:     Groups to learn from, Groups to stop by, a Setting.
Out:    Network: what standardises features is part of it.
Choice: features of one row alone, padded only within a batch: a query of 1,200 rows does not make the others as long.
Else:   rows that look at each other (Pang et al. 2020, SetRank), where what stands beside a result changes its worth.
Breaks: stopped by the training loss, a pairwise network trades the head for pairs nobody sees: valid NDCG@10 stops it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.contract import Floats, Ints
from common.errors import InputError, did_you_mean
from common.training.loop import train
from search_ranking.model.ltr import Groups, mean_ndcg
from search_ranking.model.ltr.losses import LOSSES, TEMPERATURE, Loss, approx_ndcg

AT_ONCE = 65_536  # rows scored together


@dataclass(frozen=True, kw_only=True)
class Setting:
    """hidden: the width of each hidden layer; batch_size: queries; temperature: of approx_ndcg alone."""

    loss: str = "ranknet"
    hidden: tuple[int, ...] = (32, 32)
    learning_rate: float = 1e-2
    weight_decay: float = 0.01
    temperature: float = TEMPERATURE
    batch_size: int = 32
    epochs: int = 150
    patience: int = 10
    seed: int = 0


def fit(groups: Groups, valid: Groups, setting: Setting) -> Network:
    """AdamW until NDCG@10 of `valid` stops rising. Queries without two grades are left out for losses that learn nothing from them."""
    loss = _loss(setting)
    mean, scale = _standard(groups.features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        network = Network(_layers(groups.features.shape[1], setting.hidden), mean, scale, setting.hidden)
    padded = _Padded(groups, network.standard(groups.features))
    history = train(
        network.module,
        {"query": torch.from_numpy(_worth_it(groups, setting.loss))},
        lambda module, batch: loss(*padded.scored(module, batch["query"])).mean(),
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        weight_decay=setting.weight_decay,
        seed=setting.seed,
        patience=setting.patience,
        validate=lambda _: -mean_ndcg(network.score(valid.features), valid),
        name=setting.loss,
    )
    return replace(network, history=tuple(history))


def load(folder: Path) -> Network:
    path = folder / "network.json"
    try:
        hidden = tuple(int(width) for width in json.loads(path.read_text())["hidden"])
        tensors = load_file(folder / "network.safetensors")
        mean, scale = tensors.pop("mean").numpy(), tensors.pop("scale").numpy()
        module = _layers(len(mean), hidden)
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not a whole network ({str(error)[:120]}). Publish the model again.") from error
    module.eval()
    return Network(module, mean, scale, hidden)


@dataclass(frozen=True, eq=False)
class Network:
    """`mean` and `scale` [d] standardise what comes in; `history` has a dict an epoch, `valid` being -NDCG@10, and is not saved."""

    module: nn.Sequential
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden: tuple[int, ...]
    history: tuple[dict[str, float], ...] = ()

    def score(self, features: Floats) -> Floats:
        """[n, d] -> [n]"""
        with torch.inference_mode():
            rows = torch.from_numpy(self.standard(features)).split(AT_ONCE)  # type: ignore[no-untyped-call]
            found: Floats = torch.cat([self.module(part)[:, 0] for part in rows]).double().numpy()
        return found

    def standard(self, features: Floats) -> NDArray[np.float32]:
        """A feature far outside of what was learned from says no more than one at its edge."""
        found: NDArray[np.float32] = np.clip((features - self.mean) / self.scale, -8, 8).astype(np.float32)
        return found

    def save(self, folder: Path) -> None:
        stored = {"mean": torch.from_numpy(self.mean), "scale": torch.from_numpy(self.scale)}
        save_file(self.module.state_dict() | stored, folder / "network.safetensors")
        (folder / "network.json").write_text(json.dumps({"hidden": self.hidden}))

    def num_bytes(self) -> int:
        return 4 * (sum(part.numel() for part in self.module.parameters()) + 2 * len(self.mean))


class _Padded:
    """Queries padded to the longest of their batch."""

    def __init__(self, groups: Groups, standard: NDArray[np.float32]) -> None:
        weights = np.ones(len(groups.grades)) if groups.weights is None else groups.weights
        self._features = torch.from_numpy(standard)
        self._grades, self._weights = (torch.from_numpy(part.astype(np.float32)) for part in (groups.grades, weights))
        self._starts, self._sizes = torch.from_numpy(groups.starts), torch.from_numpy(groups.sizes)

    def scored(self, module: nn.Module, query: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """-> scores, grades, mask, weights [len(query), longest]; padding is 0 and costs no pass through the network."""
        place = torch.arange(int(self._sizes[query].max()))
        mask = place < self._sizes[query][:, None]
        rows = (self._starts[query][:, None] + place)[mask]
        columns = (module(self._features[rows])[:, 0], self._grades[rows], self._weights[rows])
        scores, grades, weights = (torch.zeros(mask.shape).masked_scatter(mask, column) for column in columns)
        return scores, grades, mask, weights


def _worth_it(groups: Groups, loss: str) -> Ints:
    """The places of the queries a loss learns from. InputError if there are none."""
    found = np.arange(len(groups.sizes)) if loss in ("bce", "mse") else np.flatnonzero(~groups.one_grade)
    if not len(found):
        raise InputError(f"All {len(groups.sizes)} queries are of one grade: {loss} has no order to learn from.")
    return found


def _standard(features: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each column; of a column that never changes the deviation is 1."""
    spread = features.std(axis=0)
    scale = np.where(spread > 1e-9 * np.maximum(1.0, np.abs(features).max(axis=0)), spread, 1.0)
    return features.mean(axis=0).astype(np.float32), scale.astype(np.float32)


def _layers(num_features: int, hidden: tuple[int, ...]) -> nn.Sequential:
    widths = (num_features, *hidden)
    body: list[nn.Module] = []
    for before, after in pairwise(widths):
        body += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*body, nn.Linear(widths[-1], 1))


def _loss(setting: Setting) -> Loss:
    if setting.loss not in LOSSES:
        raise InputError(f"There is no loss {setting.loss!r}. {did_you_mean(setting.loss, LOSSES)}")
    if setting.loss == "approx_ndcg":
        return partial(approx_ndcg, temperature=setting.temperature)
    return LOSSES[setting.loss]
