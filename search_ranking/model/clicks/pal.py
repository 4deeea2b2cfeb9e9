"""Examination by a factorised model (PAL; Guo et al. 2019), and by the usual position feature as its foil.

    factorised    P(click | slot, x) = P(seen | slot) x P(click | seen, x), two networks under one cross-entropy; serving asks the second alone
    additive      log odds of a click = b[slot] + f(x): the position feature that is set to slot 0 when serving

Both are position-based and both let features tell relevance, so they fail where the old ranker knew what the features do not tell:
documents in slot 0 are better than their features say, and that is counted as being seen more. The additive model is a logistic one of
clicks: no pair of (b, f) gives a product of two probabilities, save where both are small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional

from common.contract import Bools, Floats, Ints
from common.training import loop
from search_ranking.model.clicks import Curve, check, relative, resampled

HIDDEN, BATCH = 24, 1024
STEP = 10.0  # of a slot, in steps of a weight: there are ten slots, and each has far to go


class Factors(torch.nn.Module):
    """b [num_slots] = STEP x slots and f: [n, d] -> [n], both log odds."""

    def __init__(self, num_features: int, num_slots: int) -> None:
        super().__init__()
        self.slots = torch.nn.Parameter(torch.zeros(num_slots))
        first, second = torch.nn.Linear(num_features, HIDDEN), torch.nn.Linear(HIDDEN, HIDDEN)
        self.tower = torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.tower(x)[:, 0]
        return found


def factorised(
    features: Floats, slot: Ints, clicked: Bools, clusters: Ints, *, epochs: int = 6, reps: int = 0, seed: int = 0
) -> Curve:
    """features [n, d], standardised by the caller, the others [n]. Intervals over clusters, by training `reps` times more."""

    def curve(module: Factors, x: torch.Tensor) -> Floats:
        return _numbers(torch.sigmoid(STEP * module.slots))

    return _fit(features, slot, clicked, clusters, (_product, curve), epochs, reps, seed)


def additive(
    features: Floats, slot: Ints, clicked: Bools, clusters: Ints, *, epochs: int = 6, reps: int = 0, seed: int = 0
) -> Curve:
    """As `factorised`. The curve: the mean click probability of all documents of the log, were each of them in that slot."""

    def curve(module: Factors, x: torch.Tensor) -> Floats:
        odds = module(x)
        return np.array([float(torch.sigmoid(odds + bias).mean()) for bias in STEP * module.slots])

    return _fit(features, slot, clicked, clusters, (_sum, curve), epochs, reps, seed)


Columns = Mapping[str, torch.Tensor]
Kind = tuple[Callable[[torch.nn.Module, Columns], torch.Tensor], Callable[[Factors, torch.Tensor], Floats]]


def _fit(features: Floats, slot: Ints, clicked: Bools, clusters: Ints, kind: Kind, epochs: int, reps: int, seed: int) -> Curve:  # fmt: skip
    num_slots = check(slot, clicked)
    _, cluster = np.unique(clusters, return_inverse=True)
    x = torch.tensor(features, dtype=torch.float32)
    columns = {"x": x, "slot": torch.tensor(slot), "clicked": torch.tensor(clicked, dtype=torch.float32)}

    def estimate(weights: Floats) -> Floats:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = Factors(features.shape[1], num_slots)
        weighted = columns | {"weight": torch.tensor(weights[cluster], dtype=torch.float32)}
        for rate in (3e-3, 3e-4):  # the second pass settles what the first one's steps are too long for
            loop.train(module, weighted, kind[0], epochs=epochs, batch_size=BATCH, learning_rate=rate, seed=seed, weight_decay=0.0, name="pal")  # fmt: skip
        with torch.no_grad():
            return relative(kind[1](module, x))

    return resampled(estimate, int(cluster.max()) + 1, reps, seed)


def _product(module: torch.nn.Module, batch: Columns) -> torch.Tensor:
    assert isinstance(module, Factors)
    click = torch.sigmoid(STEP * module.slots)[batch["slot"]] * torch.sigmoid(module(batch["x"]))
    return _weighted(functional.binary_cross_entropy(click, batch["clicked"], reduction="none"), batch)


def _sum(module: torch.nn.Module, batch: Columns) -> torch.Tensor:
    assert isinstance(module, Factors)
    odds = STEP * module.slots[batch["slot"]] + module(batch["x"])
    return _weighted(functional.binary_cross_entropy_with_logits(odds, batch["clicked"], reduction="none"), batch)


def _weighted(loss: torch.Tensor, batch: Columns) -> torch.Tensor:
    return (loss * batch["weight"]).mean()


def _numbers(tensor: torch.Tensor) -> Floats:
    return tensor.detach().numpy().astype(float)
