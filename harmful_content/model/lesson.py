"""What there is to learn from, read once, and the learning itself: any network over these columns, with any loss, stopped by ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from common.contract import Floats, Ints
from common.eval import classification
from common.training.loop import train
from common.training.seeding import on_threads
from harmful_content import baseline
from harmful_content.config import Config
from harmful_content.features import Features
from harmful_content.model.network import MODALITIES, Network
from harmful_content.model.reader import Reader, out_of_fold
from harmful_content.schema import Dataset

BLOCK = 2_048  # rows scored at once
PER_POLICY = ("label", "weight", "said")
Columns = Mapping[str, Tensor]
Loss = Callable[[nn.Module, Columns], Tensor]


@dataclass(frozen=True, eq=False)
class Lesson:
    """train, valid: columns with label and weight [n, num_policies]. shape, sizes: of a network that learns this."""

    reader: Reader
    train: Columns
    valid: Columns
    shape: Mapping[str, int]
    sizes: tuple[int, ...]

    @classmethod
    @on_threads(1)
    def read(cls, dataset: Dataset, features: Features, config: Config) -> Lesson:
        inputs, valid = (features.inputs(rows, dataset.history) for rows in (dataset.train, dataset.valid))
        label, weight = dataset.train.targets(config.hand_weight)
        reader = Reader.fit(inputs, label, weight, len(features.words), config)
        said = out_of_fold(inputs.tokens, label, weight, len(features.words), config)
        shape = {
            "num_words": len(features.words), "num_tokens": features.num_tokens, "num_seen": len(reader.mean),
            "num_numbers": inputs.numbers.shape[1], "num_policies": features.num_policies,
            "width": config.width, "head_width": config.head_width,
        }  # fmt: skip
        return cls(
            reader,
            reader.columns(inputs, said) | targets(label, weight),
            reader.columns(valid) | targets(*dataset.valid.targets(config.hand_weight)),
            shape,
            inputs.sizes,
        )

    def relabelled(self, label: Floats, weight: Floats, config: Config) -> Lesson:
        """Other labels [n, num_policies] of the training rows, for the line as for the network; validation stays."""
        tokens, held, num_words = self.train["tokens"].numpy(), self.valid["tokens"].numpy(), self.shape["num_words"]
        line = baseline.lines(tokens, label, weight, num_words, config)
        said = out_of_fold(tokens, label, weight, num_words, config)
        return replace(
            self,
            reader=replace(self.reader, line=line),
            train={**self.train, "said": torch.from_numpy(said.astype(np.float32)), **targets(label, weight)},
            valid={**self.valid, "said": torch.from_numpy(line.logits(held).astype(np.float32))},
        )

    @property
    def num_outputs(self) -> int:
        return self.shape["num_policies"]

    def any(self) -> Lesson:
        """One output: does it violate anything?"""
        return replace(
            self, train=any_of(self.train), valid=any_of(self.valid), shape={**self.shape, "num_policies": 1}
        )

    def of(self, outputs: Ints) -> Lesson:
        """The lesson of these outputs alone."""
        shape = {**self.shape, "num_policies": len(outputs)}
        return replace(self, train=only(self.train, outputs), valid=only(self.valid, outputs), shape=shape)


def any_of(columns: Columns) -> Columns:
    """A post counts as much as the most certain of its labels, and the line says what it finds worst."""
    return {**columns, **{name: columns[name].amax(dim=1, keepdim=True) for name in PER_POLICY if name in columns}}


def only(columns: Columns, outputs: Ints) -> Columns:
    return {**columns, **{name: columns[name][:, outputs] for name in PER_POLICY if name in columns}}


def learn(
    lesson: Lesson, config: Config, modalities: tuple[str, ...] = MODALITIES, head_width: int | None = None
) -> Network:
    """A network of these modalities, with the loss of the model as it is served; `head_width` as the config has it, unless said."""
    network = network_for(lesson, config, modalities, head_width)
    teach(network, lesson, cross_entropy, config)
    return network


def network_for(
    lesson: Lesson, config: Config, modalities: tuple[str, ...] = MODALITIES, head_width: int | None = None
) -> Network:
    """One that has learnt nothing yet."""
    shape = dict(lesson.shape) if head_width is None else {**lesson.shape, "head_width": head_width}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Network(shape, lesson.sizes, modalities)
    network.drop_modality = config.drop_modality
    return network


@on_threads(1)
def teach(network: nn.Module, lesson: Lesson, loss: Loss, config: Config, **other: float) -> list[dict[str, float]]:
    """Minimises `loss` on the training rows, keeps the epoch that ranks validation best; -> one row an epoch."""
    judged = [lesson.valid[name].double().numpy() for name in ("label", "weight")]
    setting = {"learning_rate": config.learning_rate, "epochs": config.epochs} | other
    return train(
        network, lesson.train, loss,
        epochs=int(setting["epochs"]), batch_size=config.batch_size, learning_rate=setting["learning_rate"], seed=config.seed,
        validate=lambda module: -ranked(scores(module, lesson.valid), *judged), patience=config.patience, name="harmful_content",
    )  # fmt: skip


def scores(network: nn.Module, columns: Columns) -> Floats:
    """[n, num_outputs] probabilities."""
    parts = [np.zeros((0, 0))]
    with torch.inference_mode():
        for first in range(0, len(columns["tokens"]), BLOCK):
            batch = {name: column[first : first + BLOCK] for name, column in columns.items()}
            parts.append(torch.sigmoid(network(batch).double()).numpy())
    return np.concatenate(parts[1:] or parts)


def cross_entropy(module: nn.Module, batch: Columns) -> Tensor:
    """Sum over policies of the mean cross-entropy over the rows where the label is known."""
    losses = nn.functional.binary_cross_entropy_with_logits(module(batch), batch["label"], reduction="none")
    return summed(losses, batch["weight"])


def summed(losses: Tensor, weight: Tensor) -> Tensor:
    """[n, num_outputs] -> the sum over outputs of the weighted mean over rows."""
    total: Tensor = ((losses * weight).sum(dim=0) / weight.sum(dim=0).clamp(min=1)).sum()
    return total


def ranked(scores: Floats, label: Floats, weight: Floats) -> float:
    """Mean over policies of pr_auc on the rows whose label is known: what validation stops by. The loss turns sooner, as a network grows too
    sure of itself while it still learns to rank; thresholds are solved on validation and mind only the ranks."""
    columns = zip(scores.T, label.T, weight.T, strict=True)
    found = [classification.pr_auc(y[w > 0], s[w > 0], w[w > 0]) for s, y, w in columns if (y * w).any()]
    return float(np.mean(found)) if found else 0.0


def targets(label: Floats, weight: Floats) -> dict[str, Tensor]:
    return {"label": torch.from_numpy(label.astype(np.float32)), "weight": torch.from_numpy(weight.astype(np.float32))}
