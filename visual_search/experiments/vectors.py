"""Vectors to search, and queries of the same kind: the trained encoder's, grown to any number, or planted ones of any dimension."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.contract import Ints
from visual_search.config import Config
from visual_search.experiments.millions import alike
from visual_search.experiments.trained import mean, trained
from visual_search.model.index.dimension import intrinsic
from visual_search.model.index.tuner import each_recall, exact_neighbours
from visual_search.model.parts import Vectors

QUERIES = 200


@dataclass(frozen=True, eq=False)
class Hard:
    """vectors [n, dim], queries [m, dim], each of length 1; the local intrinsic dimension of the vectors."""

    vectors: Vectors
    queries: Vectors
    dimension: float

    def truth(self, queries: Vectors, k: int) -> Ints:
        """Rows [m, k]."""
        return exact_neighbours(self.vectors, queries, k)


def recall(name: str, found: Ints, truth: Ints) -> dict[str, float | None]:
    """{name, name_low, name_high}: share of the true neighbours [m, k] found, its interval over queries."""
    return mean(name, each_recall(found, truth).astype(np.float64), np.arange(len(truth)))


@lru_cache(maxsize=2)
def gallery(config: Config, num: int = 0) -> Hard:
    """The trained case's, or `num` grown from them; asked with photos of the test requests."""
    case = trained(config)
    own = case.model.gallery.index.everything()[1]
    photos = case.features.seen(case.test.take(case.test.photo >= 0)).pixels[:QUERIES]
    vectors, _, dimension = alike(own, num or len(own))
    return Hard(vectors, case.model.encoder.images(photos), dimension)


def planted(directions: int, num: int, dim: int = 64, noise: float = 0.02, seed: int = 0) -> Hard:
    """Evenly on a sphere in some directions of `dim`, and a little in all others."""
    rng = np.random.default_rng([seed, directions])
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0][:directions]
    found = rng.standard_normal((num + QUERIES, directions))
    found = found / np.linalg.norm(found, axis=1, keepdims=True) @ turn
    found += noise / dim**0.5 * rng.standard_normal(found.shape)
    unit = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return Hard(unit[:num], unit[num:], intrinsic(unit[:num]))
