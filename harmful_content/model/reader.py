"""Inputs to the columns a network reads: what is fitted before it and then frozen. Each picture is encoded once, and the line over words speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.contract import Floats, Ints
from harmful_content import baseline
from harmful_content.baseline import Baseline
from harmful_content.config import Config
from harmful_content.features import Inputs
from harmful_content.model.patches import Float32s, Patches

ENOUGH = 1_000  # pictures to standardise by
FARTHEST = 8.0  # standard deviations of a number; beyond lies a mistake, or somebody who wants to be taken for one
FOLDS = 2
ARRAYS = ("frozen.mean", "frozen.whiten", "frozen.centres", "frozen.seen_mean", "frozen.seen_scale")


@dataclass(frozen=True, eq=False)
class Reader:
    """`mean` and `scale` [2 num_patches] standardise what the frozen encoder says of a picture."""

    line: Baseline
    patches: Patches
    mean: Float32s
    scale: Float32s

    @classmethod
    def fit(cls, inputs: Inputs, label: Floats, weight: Floats, num_words: int, config: Config) -> Reader:
        line = baseline.lines(inputs.tokens, label, weight, num_words, config)
        pixels = inputs.images.pixels[inputs.image[inputs.image >= 0]]
        patches = Patches.fit(pixels, config.num_patches, config.seed)
        some = patches.encode(pixels[:ENOUGH]) if len(pixels) else np.zeros((1, 2 * config.num_patches), np.float32)
        return cls(line, patches, some.mean(axis=0), some.std(axis=0) + 1e-3 if len(pixels) else np.ones_like(some[0]))

    def columns(self, inputs: Inputs, said: Floats | None = None) -> dict[str, Tensor]:
        """What the network reads, [n, ...] each. said [n, num_policies]: the line's logits, if it is not to be asked."""
        there = inputs.image >= 0
        seen = np.zeros((len(inputs), len(self.mean)), dtype=np.float32)
        seen[there] = (self.patches.encode(inputs.images.pixels[inputs.image[there]]) - self.mean) / self.scale
        said = self.line.logits(inputs.tokens) if said is None else said
        return {
            "tokens": torch.from_numpy(inputs.tokens),
            "seen": torch.from_numpy(seen),
            "has_image": torch.from_numpy(there),
            "numbers": torch.from_numpy(np.clip(inputs.numbers, -FARTHEST, FARTHEST).astype(np.float32)),
            "codes": torch.from_numpy(inputs.codes),
            "said": torch.from_numpy(said.astype(np.float32)),
        }

    def arrays(self) -> dict[str, Tensor]:
        patches = self.patches
        frozen = (patches.mean, patches.whiten, patches.centres, self.mean, self.scale)
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in zip(ARRAYS, frozen, strict=True)}

    @classmethod
    def of(cls, line: Baseline, saved: Mapping[str, Tensor]) -> Reader:
        mean, whiten, centres, of_seen, scale = (saved[name].numpy() for name in ARRAYS)
        return cls(line, Patches(mean, whiten, centres), of_seen, scale)


def out_of_fold(tokens: Ints, label: Floats, weight: Floats, num_words: int, config: Config) -> Floats:
    """[n, num_policies] what a line says of rows it has not seen (Wolpert 1992, Stacked Generalization): of its own rows it is too sure, and
    the network would learn to trust it too much."""
    said = np.empty(label.shape)
    fold = np.arange(len(tokens)) % FOLDS
    for number in range(FOLDS):
        kept, out = fold != number, fold == number
        line = baseline.lines(tokens[kept], label[kept], weight[kept], num_words, config)
        said[out] = line.logits(tokens[out])
    return said
