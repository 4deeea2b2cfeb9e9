"""Late fusion: a model for each modality, trained apart, and one logistic regression over what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from common.contract import Floats
from harmful_content.config import Config
from harmful_content.model.lesson import Columns, Lesson, learn, ranked, scores
from harmful_content.model.network import TEXT, Network

PARTS: Mapping[str, tuple[str, ...]] = {"text": TEXT, "image": ("image",), "author": ("author",)}
"""Text has the line over words too: a team that had text alone would use it."""
SUREST = 1e-6


@dataclass(frozen=True, eq=False)
class Late:
    """parts: by modality. weights [k]: one regression for all policies, of which each has too few violations to have its own. `combiner`: the name in
    COMBINERS of what it sees; the one that ranks validation best."""

    parts: Mapping[str, Network]
    combiner: str
    weights: Floats
    intercept: float

    @classmethod
    def fit(cls, lesson: Lesson, config: Config) -> Late:
        """The parts learn from the training rows, the regression from what they say on the validation rows, which they have not seen."""
        parts = {name: learn(lesson, config, modalities) for name, modalities in PARTS.items()}
        label, weight = (lesson.valid[name].double().numpy() for name in ("label", "weight"))
        said = _said(parts, lesson.valid)
        tried = [cls(parts, name, *_regression(COMBINERS[name](said), label, weight)) for name in COMBINERS]
        return max(tried, key=lambda late: ranked(late.joined(said), label, weight))

    def scores(self, columns: Columns) -> Floats:
        """[n, num_policies] probabilities."""
        return self.joined(_said(self.parts, columns))

    def joined(self, said: Floats) -> Floats:
        """[n, num_policies, num_parts] probabilities -> [n, num_policies]"""
        found: Floats = 1 / (1 + np.exp(-(COMBINERS[self.combiner](said) @ self.weights + self.intercept)))
        return found


def _regression(seen: Floats, label: Floats, weight: Floats) -> tuple[Floats, float]:
    """seen [n, num_policies, k] -> weights [k] and intercept."""
    from sklearn.linear_model import LogisticRegression

    flat, y, known = seen.reshape(-1, seen.shape[2]), label.ravel(), np.flatnonzero(weight)
    if len(np.unique(y[known])) < 2:  # validation shows no violation: the parts count alike
        return np.ones(flat.shape[1]), 0.0
    line = LogisticRegression(max_iter=1_000).fit(flat[known], y[known], sample_weight=weight.ravel()[known])
    return line.coef_[0], float(line.intercept_[0])


def _either(said: Floats) -> Floats:
    """Harm in the text or in the picture is enough: the chance that not both are harmless, and beside it the author."""
    text, image, author = np.moveaxis(said, 2, 0)
    return np.stack([_logit(1 - (1 - text) * (1 - image)), _logit(author)], axis=2)


def _logit(chance: Floats) -> Floats:
    held = np.clip(chance, SUREST, 1 - SUREST)
    found: Floats = np.log(held / (1 - held))
    return found


def _said(parts: Mapping[str, Network], columns: Columns) -> Floats:
    """[n, num_policies, num_parts] probabilities."""
    return np.stack([scores(part, columns) for part in parts.values()], axis=2)


COMBINERS: Mapping[str, Callable[[Floats], Floats]] = {
    "logits": _logit,
    "probabilities": lambda said: said,
    "either": _either,
}
"""[n, num_policies, num_parts] probabilities -> [n, num_policies, k]. Logits vote, so a post's plain words can outvote its picture; of probabilities,
small as they are, the sum is nearly an or."""
