"""The networks that are trained here: a picture tower and a word tower that end in one space.

`clip` is transformers' CLIPModel from a small configuration, as it is: patches, a transformer over them, a transformer over words. `resnet` keeps its
words and looks with convolutions instead (He et al. 2016; the average before a narrower skip is ResNet-D's, He et al. 2019; the mean of powers is GeM, Radenovic
et al. 2018). A convolution knows from the start that neighbours belong together and that an object may stand anywhere; a transformer has to learn it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

NUM_WORDS = 16  # of a text; the rest is cut
PATCHES = 8  # a side, of `clip`
WORD_WIDTH, WORD_LAYERS, LAYERS, HEADS = 64, 1, 4, 4
PER_CHANNEL = 3  # numbers that `clip` keeps of a patch, for each channel that `resnet` begins with: about as many products a picture


@dataclass(frozen=True, kw_only=True)
class Shape:
    """side: pixels of the views it learns from; looks: of a picture it is shown afterwards, `mirrored`: with its mirror image beside it; width: channels of the first stage, twice as many in each that follows; depth: residual blocks of each stage, a digit a
    stage; vocabulary: word ids, the last of which ends a text."""

    side: int
    looks: int
    mirrored: bool
    width: int
    depth: str
    dim: int
    vocabulary: int


class Clip(nn.Module):
    def __init__(self, shape: Shape) -> None:
        from transformers import CLIPConfig, CLIPModel

        super().__init__()
        hidden = PER_CHANNEL * shape.width
        vision = {
            "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "image_size": shape.side, "patch_size": shape.side // PATCHES,
        }  # fmt: skip
        self.model = CLIPModel(
            CLIPConfig(text_config=_words(shape.vocabulary), vision_config=vision, projection_dim=shape.dim)
        )

    def pictures(self, pixels: Tensor) -> Tensor:
        """float [n, 3, side, side], of any side -> [n, dim] of length 1. Of another than it learnt from, its places are stretched."""
        seen = self.model.get_image_features(pixel_values=pixels, interpolate_pos_encoding=True)
        return normalize(seen.pooler_output, dim=1)

    def words(self, ids: Tensor) -> Tensor:
        """[n, t] -> [n, dim] of length 1."""
        return normalize(self.model.get_text_features(input_ids=ids).pooler_output, dim=1)


class Residual(nn.Module):
    def __init__(self, shape: Shape) -> None:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        super().__init__()
        width, channels = shape.width, shape.width
        stages: list[nn.Module] = [
            *_convolution(3, width // 2, 3, 2),
            nn.ReLU(),
            *_convolution(width // 2, width, 3, 2),
            nn.ReLU(),
        ]
        for stage, blocks in enumerate(map(int, shape.depth)):
            for block in range(blocks):
                stages.append(Block(channels, width * 2**stage, stride=2 if stage and not block else 1))
                channels = width * 2**stage
        self.stages, self.power = nn.Sequential(*stages), nn.Parameter(torch.tensor(3.0))
        self.projection = nn.Sequential(nn.Linear(channels, shape.dim, bias=False), nn.BatchNorm1d(shape.dim))
        made: Any = CLIPTextModelWithProjection
        self.text = made._from_config(CLIPTextConfig(**_words(shape.vocabulary), projection_dim=shape.dim))

    def pictures(self, pixels: Tensor) -> Tensor:
        """float [n, 3, side, side], of any side -> [n, dim] of length 1."""
        seen = self.stages(pixels.contiguous(memory_format=torch.channels_last)).clamp(min=1e-6)
        pooled = seen.pow(self.power).mean((2, 3)).pow(1 / self.power)
        return normalize(self.projection(pooled), dim=1)

    def words(self, ids: Tensor) -> Tensor:
        """[n, t] -> [n, dim] of length 1."""
        return normalize(self.text(input_ids=ids).text_embeds, dim=1)


class Block(nn.Module):
    """Two convolutions beside a way past them; it begins as that way alone, its last scale at 0 (Goyal et al. 2017)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        convolution, scale = _convolution(after, after, 3, 1)
        nn.init.zeros_(scale.weight)
        self.first = nn.Sequential(*_convolution(before, after, 3, stride))
        self.second = nn.Sequential(convolution, scale)
        past: list[nn.Module] = [nn.AvgPool2d(2, ceil_mode=True)] if stride > 1 else []
        if before != after:
            past += _convolution(before, after, 1, 1)
        self.past = nn.Sequential(*past)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = relu(self.past(x) + self.second(relu(self.first(x))))
        return found


def _convolution(before: int, after: int, kernel: int, stride: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)


def _words(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary, "hidden_size": WORD_WIDTH, "intermediate_size": 4 * WORD_WIDTH, "num_hidden_layers": WORD_LAYERS,
        "num_attention_heads": HEADS, "max_position_embeddings": NUM_WORDS + 1, "pad_token_id": 0, "bos_token_id": 0,
        "eos_token_id": vocabulary - 1,
    }  # fmt: skip


KINDS: Mapping[str, Callable[[Shape], Clip | Residual]] = {"clip": Clip, "resnet": Residual}
