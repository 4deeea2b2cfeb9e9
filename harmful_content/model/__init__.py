"""Early fusion and one head a policy: words, picture, author and reception in one network.

In:     inputs of the training rows; natural labels, and hand labels where there are some.
Out:    a Scorer [n, num_policies].
Choice: modalities meet before the first decision, so that a meme can be seen for what it is; tasks share all but their heads; the line over
        words is stacked in, so that the network learns what the line cannot say. Pictures pass a frozen encoder: each is encoded once.
Else:   late fusion, where each modality has labels of its own or teams work apart; one model a policy, where policies change alone.
Breaks: natural labels teach who reports, not what harms (hand labels weigh more); one modality drowns another (missing modality, experiments).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.contract import Floats
from common.errors import InputError
from common.eval import classification
from common.training.loop import train
from harmful_content import baseline
from harmful_content.baseline import Baseline
from harmful_content.config import Config
from harmful_content.features import Features, Inputs
from harmful_content.model.network import Network
from harmful_content.model.patches import Float32s, Patches
from harmful_content.schema import Dataset

WEIGHTS, SHAPE = "model.safetensors", "model.json"
BLOCK = 2_048  # rows scored at once
PATIENCE = 3
FOLDS = 2
ENOUGH = 1_000  # pictures to standardise by


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    inputs, valid = (features.inputs(rows, dataset.history) for rows in (dataset.train, dataset.valid))
    label, weight = dataset.train.targets(config.hand_weight)
    line = baseline.lines(inputs.tokens, label, weight, len(features.words), config)
    pixels = inputs.images.pixels[inputs.image[inputs.image >= 0]]
    patches = Patches.fit(pixels, config.num_patches, config.seed)
    some = patches.encode(pixels[:ENOUGH])
    shape = {
        "num_words": len(features.words), "num_tokens": features.num_tokens, "num_seen": 2 * config.num_patches,
        "num_numbers": inputs.numbers.shape[1], "num_policies": features.num_policies, "width": config.width,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Network(shape, inputs.sizes)
    mean = some.mean(axis=0) if len(some) else np.zeros(shape["num_seen"], np.float32)
    scale = some.std(axis=0) + 1e-3 if len(some) else np.ones(shape["num_seen"], np.float32)
    model = Model(network, shape, inputs.sizes, line, patches, mean, scale)
    held_out, judged = model.columns(valid, line.logits(valid.tokens)), dataset.valid.targets(config.hand_weight)
    train(
        network, model.columns(inputs, _out_of_fold(inputs, label, weight, features, config)) | _targets(label, weight), loss,
        epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        validate=lambda module: -ranked(torch.sigmoid(module(held_out)).double().numpy(), *judged), patience=PATIENCE, name="harmful_content",
    )  # fmt: skip
    return model


def load(folder: Path) -> Model:
    path = folder / WEIGHTS
    shape = json.loads((folder / SHAPE).read_text())
    sizes = tuple(shape.pop("sizes"))
    network = Network(shape, sizes)
    try:
        saved = load_file(path)
        frozen = {
            name: saved.pop(f"frozen.{name}").numpy()
            for name in ("mean", "whiten", "centres", "seen_mean", "seen_scale")
        }
        network.load_state_dict(saved)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: not a whole model ({str(error)[:120]}). Publish it again.") from error
    patches = Patches(frozen["mean"], frozen["whiten"], frozen["centres"])
    line = baseline.load(folder)
    return Model(network.eval(), shape, sizes, line, patches, frozen["seen_mean"], frozen["seen_scale"])


@dataclass(frozen=True, eq=False)
class Model:
    """`mean` and `scale` [num_seen] standardise what the frozen encoder says."""

    network: Network
    shape: Mapping[str, int]
    sizes: tuple[int, ...]
    line: Baseline
    patches: Patches
    mean: Float32s
    scale: Float32s

    def score(self, inputs: Inputs) -> Floats:
        """[n, num_policies] probabilities."""
        columns = self.columns(inputs, self.line.logits(inputs.tokens))
        found = np.empty((len(inputs), self.shape["num_policies"]))
        with torch.inference_mode():
            for first in range(0, len(inputs), BLOCK):
                batch = {name: column[first : first + BLOCK] for name, column in columns.items()}
                found[first : first + BLOCK] = torch.sigmoid(self.network(batch).double()).numpy()
        return found

    def columns(self, inputs: Inputs, said: Floats) -> dict[str, Tensor]:
        """What the network reads, [n, ...] each. said [n, num_policies]: the line's logits."""
        there = inputs.image >= 0
        seen = np.zeros((len(inputs), self.shape["num_seen"]), dtype=np.float32)
        seen[there] = (self.patches.encode(inputs.images.pixels[inputs.image[there]]) - self.mean) / self.scale
        return {
            "tokens": torch.from_numpy(inputs.tokens),
            "seen": torch.from_numpy(seen),
            "has_image": torch.from_numpy(there),
            "numbers": torch.from_numpy(np.clip(inputs.numbers, -8, 8).astype(np.float32)),
            "codes": torch.from_numpy(inputs.codes),
            "said": torch.from_numpy(said.astype(np.float32)),
        }

    def save(self, folder: Path) -> None:
        patches = self.patches
        frozen = {
            "mean": patches.mean,
            "whiten": patches.whiten,
            "centres": patches.centres,
            "seen_mean": self.mean,
            "seen_scale": self.scale,
        }
        arrays = {f"frozen.{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in frozen.items()}
        save_file(self.network.state_dict() | arrays, folder / WEIGHTS)
        (folder / SHAPE).write_text(json.dumps({**self.shape, "sizes": self.sizes}))
        self.line.save(folder)


def loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Sum over policies of the mean cross-entropy over the rows where the label is known."""
    losses = nn.functional.binary_cross_entropy_with_logits(module(batch), batch["label"], reduction="none")
    total: Tensor = ((losses * batch["weight"]).sum(dim=0) / batch["weight"].sum(dim=0).clamp(min=1)).sum()
    return total


def ranked(scores: Floats, label: Floats, weight: Floats) -> float:
    """Mean over policies of pr_auc on the rows whose label is known: what validation stops by. The loss turns sooner, as a network grows too
    sure of itself while it still learns to rank; thresholds are solved on validation and mind only the ranks."""
    columns = zip(scores.T, label.T, weight.T, strict=True)
    found = [classification.pr_auc(y[w > 0], s[w > 0], w[w > 0]) for s, y, w in columns if (y * w).any()]
    return float(np.mean(found)) if found else 0.0


def _targets(label: Floats, weight: Floats) -> dict[str, Tensor]:
    return {"label": torch.from_numpy(label.astype(np.float32)), "weight": torch.from_numpy(weight.astype(np.float32))}


def _out_of_fold(inputs: Inputs, label: Floats, weight: Floats, features: Features, config: Config) -> Floats:
    """[n, num_policies] what a line says of rows it has not seen (Wolpert 1992, Stacked Generalization): of its own rows it is too sure, and
    the network would learn to trust it too much."""
    said = np.empty(label.shape)
    fold = np.arange(len(label)) % FOLDS
    for number in range(FOLDS):
        kept, out = fold != number, fold == number
        line = baseline.lines(inputs.tokens[kept], label[kept], weight[kept], len(features.words), config)
        said[out] = line.logits(inputs.tokens[out])
    return said
