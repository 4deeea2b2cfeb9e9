"""The network: words, picture, author and reception, each through a tower of its own, joined before the first decision; one head a policy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.features.text import PAD
from harmful_content.model.text import Text

TOWERS = ("words", "image", "author")
MODALITIES = (*TOWERS, "line")
TEXT = ("words", "line")
CODE = 4  # numbers an embedded category has
SPREAD = 0.1  # of the weights that heads begin with


class Network(nn.Module):
    """Early fusion: the towers of `modalities`, and the product of words and picture where both are among them, go through shared layers before any
    head speaks, so that a head can see what only the two together say. What the line over words says is added to each head. With few of the
    modalities it is a part of late fusion. `shape`: num_words, num_tokens, num_seen, num_numbers, num_policies, width, head_width."""

    def __init__(
        self, shape: Mapping[str, int], sizes: tuple[int, ...], modalities: tuple[str, ...] = MODALITIES
    ) -> None:
        super().__init__()
        width, outputs = shape["width"], shape["num_policies"]
        self.modalities, self.width, self.drop_modality = modalities, width, 0.0
        joined = width * (len(set(modalities) - {"line"}) + self.is_cross)
        if "words" in modalities:
            self.text = Text(shape["num_words"], shape["num_tokens"], width)
        if "line" in modalities:
            self.trust = nn.Parameter(torch.ones(outputs))
            joined += outputs
        if "image" in modalities:
            self.picture = nn.Linear(shape["num_seen"], width)
            self.none = nn.Parameter(torch.zeros(width))  # in the place of a picture where there is none
        if "author" in modalities:
            self.numbers = nn.Linear(shape["num_numbers"], width)
            self.codes = nn.ModuleList(nn.Embedding(size, CODE) for size in sizes)
            joined += CODE * len(sizes)
        self.forget = nn.Dropout(0.3)  # authors are few and known by their numbers: a network would learn them by heart
        self.shared = nn.Sequential(nn.Linear(joined, 2 * width), nn.ReLU(), nn.Linear(2 * width, 2 * width), nn.ReLU())
        self.heads = Heads(2 * width, outputs, shape["head_width"])

    @property
    def is_cross(self) -> bool:
        return "words" in self.modalities and "image" in self.modalities

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """tokens [n, t], seen [n, num_seen], has_image [n], numbers [n, k], codes [n, c], said [n, num_policies]: the line's logits -> logits
        [n, num_policies]."""
        return self.joined(batch, self.towers(batch))

    def towers(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By modality [n, width]; a learned placeholder where a post has no picture, and the text of no word where it has none."""
        tokens, has_image = self._kept(batch["tokens"], batch["has_image"])
        found = {}
        if "words" in self.modalities:
            found["words"] = self.forget(self.text(tokens))
        if "image" in self.modalities:
            picture = torch.where(has_image[:, None], self.picture(batch["seen"]), self.none)
            found["image"] = self.forget(picture)
        if "author" in self.modalities:
            found["author"] = torch.relu(self.numbers(self.forget(batch["numbers"])))
        return found

    def joined(self, batch: Mapping[str, Tensor], towers: Mapping[str, Tensor]) -> Tensor:
        """-> logits [n, num_policies]"""
        parts = list(towers.values())
        if self.is_cross:
            parts.append(towers["words"] * towers["image"])
        if "line" in self.modalities:
            parts.append(batch["said"])
        if "author" in self.modalities:
            parts += [table(column) for table, column in zip(self.codes, batch["codes"].unbind(dim=1), strict=True)]
        out: Tensor = self.heads(self.shared(torch.cat(parts, dim=1)))
        return out + self.trust * batch["said"] if "line" in self.modalities else out

    def _kept(self, tokens: Tensor, has_image: Tensor) -> tuple[Tensor, Tensor]:
        """While learning, words or picture are left out now and then where both are there (ModDrop, Neverova et al. 2016): what is missing one day
        was missing in training too. Never both, for then the label could teach nothing."""
        if not (self.training and self.is_cross and self.drop_modality):
            return tokens, has_image
        both, draw = (tokens != PAD).any(dim=1) & has_image, torch.rand(len(tokens))
        drop_text = both & (draw < self.drop_modality)
        drop_image = both & (draw > 1 - self.drop_modality)
        return tokens.masked_fill(drop_text[:, None], PAD), has_image & ~drop_image


class Heads(nn.Module):
    """Shared features -> logits. width 0: one layer for all outputs (multi-label). Else each output has hidden units of its own over the shared
    ones (multi-task, hard sharing: Caruana 1997, Multitask Learning). They do not begin at 0: then no tower is taught in the first step, nearly all
    labels push the same way, and a picture, which is slow to take off, is hardly read when learning ends."""

    def __init__(self, shared: int, outputs: int, width: int) -> None:
        super().__init__()
        self.in_features = shared
        self.own = nn.Linear(shared, outputs * width) if width else None
        self.last = nn.Parameter(SPREAD * torch.randn(outputs, width or shared))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, shared: Tensor) -> Tensor:
        if self.own is None:
            return nn.functional.linear(shared, self.last, self.bias)
        own = torch.relu(self.own(shared)).view(len(shared), *self.last.shape)
        out: Tensor = (own * self.last).sum(dim=2) + self.bias
        return out
