"""Early fusion and an output a policy: words, picture, author and reception in one network.

In:     inputs of the training rows; natural labels, and hand labels where there are some.
Out:    a Scorer [n, num_policies].
Choice: modalities meet before the first decision, so that a meme can be seen for what it is; tasks share all but their heads; the line over
        words is stacked in, so that the network learns what the line cannot say. Pictures pass a frozen encoder: each is encoded once.
Else:   a fine-tuned encoder of words alone (finetuned.py), where posts have no picture and no author; late fusion, where each modality has labels of its own or teams work apart; one model a policy, where policies change alone.
Breaks: natural labels teach who reports, not what harms (hand labels weigh more); one modality drowns another (experiment `missing_modality`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from common.contract import Floats
from common.errors import InputError
from common.training.seeding import on_threads
from harmful_content import baseline
from harmful_content.config import Config
from harmful_content.features import Features, Inputs
from harmful_content.model import finetuned
from harmful_content.model.finetuned import TextModel
from harmful_content.model.lesson import Lesson, learn, scores
from harmful_content.model.network import Network
from harmful_content.model.reader import ARRAYS, Reader
from harmful_content.schema import Dataset

WEIGHTS, SHAPE = "model.safetensors", "model.json"


def fit(dataset: Dataset, features: Features, config: Config) -> Model | TextModel:
    return finetuned.fit(dataset, features, config) if config.reads == "text" else fused(dataset, features, config)


def fused(dataset: Dataset, features: Features, config: Config) -> Model:
    lesson = Lesson.read(dataset, features, config)
    return Model(learn(lesson, config), lesson.shape, lesson.sizes, lesson.reader)


def load(folder: Path) -> Model | TextModel:
    if (folder / finetuned.SHAPE).is_file():
        return finetuned.load(folder)
    path = folder / WEIGHTS
    shape = json.loads((folder / SHAPE).read_text())
    sizes = tuple(shape.pop("sizes"))
    network = Network(shape, sizes)
    try:
        saved = load_file(path)
        frozen = {name: saved.pop(name) for name in ARRAYS}
        network.load_state_dict(saved)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: not a whole model ({str(error)[:120]}). Publish it again.") from error
    return Model(network.eval(), shape, sizes, Reader.of(baseline.load(folder), frozen))


@dataclass(frozen=True, eq=False)
class Model:
    network: Network
    shape: Mapping[str, int]
    sizes: tuple[int, ...]
    reader: Reader

    @on_threads(1)
    def score(self, inputs: Inputs) -> Floats:
        """[n, num_policies] probabilities."""
        return scores(self.network, self.reader.columns(inputs))

    def save(self, folder: Path) -> None:
        save_file(self.network.state_dict() | self.reader.arrays(), folder / WEIGHTS)
        (folder / SHAPE).write_text(json.dumps({**self.shape, "sizes": self.sizes}))
        self.reader.line.save(folder)
