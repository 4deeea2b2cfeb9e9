"""What a frozen encoder says, and small heads on it: trained in a second on a handful of posts, while the network stays as it is.

In:     a trained model and inputs; vectors with a few labels.
Out:    embed -> vectors [n, d]; fingerprint of what made them; Head and Prototypes, which score vectors.
Choice: the vector is what the network's own heads read: text, picture, author joined. Two vectors may be compared only under one fingerprint.
Else:   fine-tuning the whole network, where labels are hundreds and an hour is no loss.
Breaks: what the encoder cannot tell apart no head can: a word that training never saw is UNKNOWN in every vector (experiment `trending`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from common.contract import Floats
from harmful_content.features import Features, Inputs
from harmful_content.model import Model
from harmful_content.model.lesson import BLOCK

Float32s = NDArray[np.float32]


def embed(model: Model, inputs: Inputs) -> Float32s:
    """[n, d] what enters the network's heads, caught on the way."""
    columns, caught = model.reader.columns(inputs), list[Float32s]()
    hook = model.network.heads.register_forward_pre_hook(lambda _, entering: caught.append(entering[0].numpy().copy()))
    try:
        with torch.inference_mode():
            for first in range(0, len(inputs), BLOCK):
                model.network({name: column[first : first + BLOCK] for name, column in columns.items()})
    finally:
        hook.remove()
    return np.concatenate(caught) if caught else np.zeros((0, model.network.heads.in_features), np.float32)


def fingerprint(model: Model, features: Features) -> str:
    """Of all that a vector depends on: weights, the frozen encoder of pictures, the vocabulary, the scales."""
    digest = hashlib.sha256()
    reader = model.reader
    arrays = [*(tensor.numpy() for tensor in model.network.state_dict().values()), reader.mean, reader.scale]
    arrays += [
        *vars(reader.patches).values(),
        reader.line.weights,
        reader.line.intercept,
        features.scale.mean,
        features.scale.sd,
    ]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update("\0".join(features.words.tokens.tolist()).encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Head:
    """A line on vectors, for one kind of harm."""

    weights: Floats  # [d]
    intercept: float

    @classmethod
    def fit(cls, vectors: Float32s, label: Floats, penalty: float = 0.1) -> Head:
        """vectors [n, d], label [n] 0/1, both there. Logistic regression on standardised columns; positives and negatives weigh the same in all."""
        from sklearn.linear_model import LogisticRegression

        mean, scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-3
        line = LogisticRegression(C=penalty, class_weight="balanced", max_iter=500).fit((vectors - mean) / scale, label)
        weights: Floats = line.coef_[0] / scale
        return cls(weights, float(line.intercept_[0] - weights @ mean))

    def score(self, vectors: Float32s) -> Floats:
        """[n] probabilities, of a world in which half of the posts are of this kind."""
        found: Floats = 1 / (1 + np.exp(-(vectors @ self.weights + self.intercept)))
        return found


@dataclass(frozen=True)
class Prototypes:
    """Nearest mean (Snell, Swersky, Zemel 2017, Prototypical Networks): how much nearer to the posts of this kind than to the others."""

    ours: Floats  # [d]
    others: Floats  # [d]

    @classmethod
    def fit(cls, vectors: Float32s, label: Floats) -> Prototypes:
        return cls(vectors[label == 1].mean(axis=0), vectors[label == 0].mean(axis=0))

    def score(self, vectors: Float32s) -> Floats:
        """[n], higher is nearer; no probabilities."""
        away = (((vectors - middle) ** 2).sum(axis=1) for middle in (self.ours, self.others))
        ours, others = away
        found: Floats = others - ours
        return found
