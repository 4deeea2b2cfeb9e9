"""The network: a small transformer over words, the encoded picture, author and reception, joined before the first decision; one head a policy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.features.text import PAD, UNKNOWN


class Network(nn.Module):
    """Early fusion: text, picture, their product, and the numbers go through shared layers before any head speaks, so that a head can see what
    only text and picture together say. What the line over words says is where each head begins. `shape`: num_words, num_tokens, num_seen,
    num_numbers, num_policies, width."""

    def __init__(self, shape: Mapping[str, int], sizes: tuple[int, ...]) -> None:
        super().__init__()
        width = shape["width"]
        self.text = Text(shape["num_words"], shape["num_tokens"], width)
        self.picture = nn.Linear(shape["num_seen"], width)
        self.none = nn.Parameter(torch.zeros(width))  # in the place of a picture where there is none
        self.numbers = nn.Linear(shape["num_numbers"], width)
        self.codes = nn.ModuleList(nn.Embedding(size, 4) for size in sizes)
        self.forget = nn.Dropout(0.3)  # authors are few and known by their numbers: a network would learn them by heart
        joined = 4 * width + 4 * len(sizes) + shape["num_policies"]
        self.shared = nn.Sequential(nn.Linear(joined, 2 * width), nn.ReLU(), nn.Linear(2 * width, 2 * width), nn.ReLU())
        self.heads = nn.Linear(2 * width, shape["num_policies"])
        self.trust = nn.Parameter(torch.ones(shape["num_policies"]))
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """tokens [n, t], seen [n, num_seen], has_image [n], numbers [n, k], codes [n, c], said [n, num_policies]: the line's logits -> logits
        [n, num_policies]."""
        picture = torch.where(batch["has_image"][:, None], self.picture(batch["seen"]), self.none)
        text, picture = self.forget(self.text(batch["tokens"])), self.forget(picture)
        numbers = torch.relu(self.numbers(self.forget(batch["numbers"])))
        codes = [table(column) for table, column in zip(self.codes, batch["codes"].unbind(dim=1), strict=True)]
        joined = torch.cat([text, picture, text * picture, numbers, batch["said"], *codes], dim=1)
        out: Tensor = self.heads(self.shared(joined)) + self.trust * batch["said"]
        return out


class Text(nn.Module):
    """One block of attention over words and one token that is always there, so that no text is empty (Vaswani et al. 2017; layer norm first)."""

    def __init__(self, num_words: int, num_tokens: int, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.words = nn.Embedding(num_words, width, padding_idx=PAD)
        self.places = nn.Embedding(num_tokens, width)
        self.whole = nn.Parameter(torch.zeros(1, 1, width))
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.join = nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, t] -> [n, width]"""
        there = tokens != PAD
        longest = (
            max(1, int(there.sum(dim=1).max())) if len(tokens) else 1
        )  # no pass through padding that the whole batch has
        tokens, there = tokens[:, :longest], there[:, :longest]
        if self.training:  # a word left out now and then: no sentence is learned by heart
            tokens = tokens.where((torch.rand(tokens.shape) > 0.1) | ~there, tokens.new_tensor(UNKNOWN))
        x = self.words(tokens) + self.places.weight[:longest]
        x = torch.cat([self.whole.expand(len(tokens), -1, -1), x], dim=1)
        there = torch.cat([there.new_ones(len(tokens), 1), there], dim=1)
        x = x + self.out(self._attention(self.before(x), there))
        x = x + self.think(self.after(x))
        loudest = x.masked_fill(~there[..., None], -1e4).amax(dim=1)
        joined: Tensor = self.join(torch.cat([x[:, 0], loudest], dim=1))
        return joined

    def _attention(self, x: Tensor, there: Tensor) -> Tensor:
        n, t, width = x.shape
        query, key, value = self.attend(x).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None, :])
        return mixed.transpose(1, 2).reshape(n, t, width)
