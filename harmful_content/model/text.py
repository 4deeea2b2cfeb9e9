"""The text tower: one block of attention over words (Vaswani et al. 2017; layer norm first), small enough to train in seconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.features.text import PAD, UNKNOWN

HEADS = 4
UNREAD = 0.1  # of the words while learning: no sentence is learned by heart
SHORT = 10  # words; longer texts of a batch go through by themselves, so that one of them does not make all as dear


class Text(nn.Module):
    """Beside the words stands one token that is always there, so that no text is empty."""

    def __init__(self, num_words: int, num_tokens: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(num_words, width, padding_idx=PAD)
        self.places = nn.Embedding(num_tokens, width)
        self.whole = nn.Parameter(torch.zeros(1, 1, width))
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.join = nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, t] -> [n, width]"""
        long = (tokens[:, SHORT:] != PAD).any(dim=1)
        if long.all() or not long.any():
            return self._read(tokens)
        found = self.whole.new_empty(len(tokens), self.whole.shape[2])
        for part in (long, ~long):
            found = found.index_put((part,), self._read(tokens[part]))
        return found

    def _read(self, tokens: Tensor) -> Tensor:
        there = tokens != PAD
        longest = max(1, int(there.sum(dim=1).max())) if len(tokens) else 1  # no pass through padding of all
        tokens, there = tokens[:, :longest], there[:, :longest]
        if self.training:
            tokens = tokens.where((torch.rand(tokens.shape) > UNREAD) | ~there, tokens.new_tensor(UNKNOWN))
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
        query, key, value = self.attend(x).view(n, t, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None, :])
        return mixed.transpose(1, 2).reshape(n, t, width)
