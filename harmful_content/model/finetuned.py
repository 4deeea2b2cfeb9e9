"""A model that reads words alone: one encoder fine-tuned whole, a head a question, and the lines over words and letters blended in.

Each pass takes every post that violates something and half of the others, by turns: the rare side is seen twice as often and a pass costs less. The shift
of what is likely that this makes is undone by thresholds chosen on validation (baseline/thresholds.py), so it is done only where they are chosen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, log_softmax
from torch.nn.utils.rnn import pad_sequence

from common.contract import Bools, Floats, Ints
from common.errors import InputError
from common.training.progress import bar
from harmful_content import baseline
from harmful_content.baseline import Baseline, thresholds
from harmful_content.baseline.questions import Questions
from harmful_content.config import Config
from harmful_content.features import Features, Inputs
from harmful_content.model import encoders
from harmful_content.schema import Dataset

WEIGHTS, SHAPE = "text.safetensors", "text.json"
HEAD_RATE, DECAY, WARMUP, SMOOTHING, UNHEARD, STEEPEST = 1e-3, 0.01, 0.06, 0.05, 0.1, 1.0
CLASS_SHARE = 0.5  # in the loss, of which class it is, against whether it is any
POOL = 20  # batches among which texts of like length are brought together
BLOCK = 64  # texts scored at once


class Network(nn.Module):
    """Encoder, then one linear layer for all outputs of baseline/questions.py."""

    def __init__(self, encoder: encoders.Own | encoders.Named, num_outputs: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.width, num_outputs)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids and mask [n, t] -> logits [n, num_outputs]"""
        out: Tensor = self.head(dropout(self.encoder(ids, mask), UNHEARD, self.training))
        return out


def fit(dataset: Dataset, features: Features, config: Config) -> TextModel:
    inputs, valid = (features.inputs(rows, dataset.history) for rows in (dataset.train, dataset.valid))
    questions = Questions.of(dataset.catalog.policy.tolist())
    answer, asked = questions.targets(*dataset.train.targets(config.hand_weight))
    line = baseline.lines(inputs.tokens, answer, asked, len(features.words), config, inputs.text, questions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Network(encoders.of(config, len(features.words)), questions.num_outputs)
        _teach(network, inputs, answer, asked, questions, config)
    model = TextModel(network.eval(), line, np.zeros(questions.num_outputs))
    if not config.task:
        return model
    known = questions.targets(*dataset.valid.targets(config.hand_weight))
    return replace(model, added=thresholds.fit(model.logits(valid), *known, questions))


def load(folder: Path) -> TextModel:
    path, line = folder / WEIGHTS, baseline.load(folder)
    try:
        shape = json.loads((folder / SHAPE).read_text())
        network = Network(encoders.load(folder, shape["encoder"]), line.questions.num_outputs)
        network.load_state_dict(load_file(path))
        return TextModel(network.eval(), line, np.array(shape["added"]))
    except (SafetensorError, KeyError, RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a whole model ({str(error)[:120]}). Publish it again.") from error


@dataclass(frozen=True, eq=False)
class TextModel:
    """`added` [num_outputs], to the blend of network and line."""

    network: Network
    line: Baseline
    added: Floats

    def score(self, inputs: Inputs) -> Floats:
        """[n, num_policies] probabilities."""
        return self.line.questions.probabilities(self.logits(inputs) + self.added)

    def logits(self, inputs: Inputs) -> Floats:
        """[n, num_outputs]; those of classes are log chances up to a constant a row, so they may be mixed like those of yes and no."""
        said = self.line.logits(inputs.tokens, inputs.text)
        share = self.network.encoder.line_share
        return (1 - share) * self._network(inputs) + share * said

    def _network(self, inputs: Inputs) -> Floats:
        tokens = self.network.encoder.tokens(inputs)
        order = np.argsort([len(each) for each in tokens], kind="stable")
        found = np.empty((len(tokens), len(self.added)))
        with torch.inference_mode():
            for rows in (order[at : at + BLOCK] for at in range(0, len(order), BLOCK)):
                found[rows] = self.network(*padded(tokens, rows)).double().numpy()
        return found

    def save(self, folder: Path) -> None:
        save_file(self.network.state_dict(), folder / WEIGHTS)
        shape = {"encoder": self.network.encoder.shape, "added": self.added.tolist()}
        (folder / SHAPE).write_text(json.dumps(shape))
        self.network.encoder.save(folder)
        self.line.save(folder)


def padded(tokens: list[Tensor], rows: Ints) -> tuple[Tensor, Tensor]:
    """ids and mask [n, t]; an empty text keeps one place, so that its mean is of something."""
    ids = pad_sequence([tokens[row] for row in rows], batch_first=True, padding_value=-1)
    if not ids.shape[1]:
        ids = ids.new_full((len(rows), 1), -1)
    mask = (ids >= 0).long()
    mask[:, 0] = 1
    return ids.clamp(min=0), mask


def batches(lengths: Ints, rare: Bools, passes: int, size: int, seed: int, halve: bool) -> Iterator[Ints]:
    """All passes. Texts of like length share a batch: sorted inside pools of POOL batches, the batches then shuffled."""
    rng = np.random.default_rng(seed)
    yes, no = np.flatnonzero(rare), np.flatnonzero(~rare)
    halve = halve and len(yes) < len(no)
    for number in range(passes):
        if number % 2 == 0 or not halve:
            no = rng.permutation(no)
        rows = rng.permutation(np.concatenate([yes, no[number % 2 :: 2] if halve else no]))
        for start in range(0, len(rows), POOL * size):
            near = rows[start : start + POOL * size]
            near = near[np.argsort(lengths[near], kind="stable")]
            cuts = [near[at : at + size] for at in range(0, len(near), size)]
            yield from (cuts[place] for place in rng.permutation(len(cuts)))


def _teach(
    network: Network, inputs: Inputs, answer: Floats, asked: Floats, questions: Questions, config: Config
) -> None:
    """AdamW; rates rise over the warm-up and fall straight to 0. Posts of which nothing is known are left out."""
    encoder, own = network.encoder, isinstance(network.encoder, encoders.Own)
    tokens, known = encoder.tokens(inputs), np.flatnonzero(asked.any(axis=1))
    rare: Bools = np.any((answer * asked)[:, : questions.num_yes] > 0, axis=1)
    steps = [
        known[rows]
        for rows in batches(
            np.array([len(tokens[row]) for row in known]), rare[known], config.epochs if own else config.passes,
            encoder.batch_size, config.seed, halve=bool(config.task),
        )
    ]  # fmt: skip
    wanted, counts = (torch.from_numpy(column.astype(np.float32)) for column in (answer, asked))
    weights = class_weights(wanted, counts, questions)
    groups = [
        *encoder.groups(),
        {"params": list(network.head.parameters()), "lr": max(HEAD_RATE, encoder.learning_rate)},
    ]
    descent, rates = torch.optim.AdamW(groups, weight_decay=DECAY, fused=True), [group["lr"] for group in groups]
    network.train()
    for step, rows in enumerate(bar(steps, len(steps), "harmful_content text")):
        for group, rate in zip(descent.param_groups, rates, strict=True):
            group["lr"] = rate * slope(step, len(steps))
        value = loss(network(*padded(tokens, rows)), wanted[rows], counts[rows], weights, questions)
        if not math.isfinite(value.item()):
            raise FloatingPointError(f"step {step}: the loss became {value.item()}. Look for a NaN in the inputs.")
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), STEEPEST)
        descent.step()
        descent.zero_grad(set_to_none=True)


def slope(step: int, total: int) -> float:
    """Up to 1 over the warm-up, then straight down to 0."""
    return min((step + 1) / (WARMUP * total), max(0.0, (total - step) / (total * (1 - WARMUP))))


def class_weights(answer: Tensor, asked: Tensor, questions: Questions) -> list[Tensor]:
    """Of each task [num_classes]: the root of the inverse frequency, halfway between what accuracy and what macro F1 ask for; 1 on average."""
    found = []
    for part in questions.parts:
        counts = (answer[:, part] * (asked[:, part] > 0)).sum(dim=0).clamp(min=1)
        weight = counts.rsqrt()
        found.append(weight * counts.sum() / (weight * counts).sum())
    return found


def loss(logits: Tensor, answer: Tensor, asked: Tensor, weights: list[Tensor], questions: Questions) -> Tensor:
    """[n, num_outputs] each; asked 0: unknown, teaches nothing. The mean over questions of yes and no, and for each task the cross-entropy of its
    classes; labels are smoothed (Szegedy et al. 2016, section 7)."""
    first = questions.num_yes
    soft = answer[:, :first] * (1 - SMOOTHING) + SMOOTHING / 2
    losses = binary_cross_entropy_with_logits(logits[:, :first], soft, reduction="none") * asked[:, :first]
    total: Tensor = (losses.sum(dim=0) / asked[:, :first].sum(dim=0).clamp(min=1)).mean()
    for part, weight in zip(questions.parts, weights, strict=True):
        said, size = log_softmax(logits[:, part], dim=1), weight.shape[0]
        wanted = (answer[:, part] * (1 - SMOOTHING) + SMOOTHING / size) * weight
        counts = (answer[:, part] * weight).sum(dim=1) * asked[:, part.start]
        losses = -(wanted * said).sum(dim=1) * asked[:, part.start]
        total = total + CLASS_SHARE * losses.sum() / counts.sum().clamp(min=1)
    return total
