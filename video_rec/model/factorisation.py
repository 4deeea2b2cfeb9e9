"""Matrix factorisation: a vector a viewer, a vector a video, their product how sure we are that the one wants the other.

The feedback matrix says who watched what, and how much that is worth. One objective holds the three losses of the textbook:

    sum over observed c (1 - u.v)^2  +  unobserved * sum over the other pairs (u.v)^2  +  ridge * (sum |u|^2 + sum |v|^2)

observed only (unobserved = 0): nothing says that a pair nobody tried is less than 1, so every pair becomes likely; all pairs (c = unobserved
= 1): a million zeros drown each one, the products go to 0; weighted (unobserved small): the one that is used. It is Hu, Koren and Volinsky 2008
("Collaborative filtering for implicit feedback datasets"), whose confidence 1 + alpha r is our c / unobserved, and whose regularisation is ours.
The price of the method: a video nobody watched has no vector, whatever its title says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, Floats, Ints, Ranking
from common.data import columns
from video_rec.config import Config
from video_rec.features import Features
from video_rec.model.index import build_index, read_index
from video_rec.schema import Rows, find

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CELLS = 2**21  # numbers gathered at once by a block of rows


@dataclass(frozen=True)
class Loss:
    """`observed` multiplies the confidence of a pair somebody tried, `unobserved` is that of the others."""

    observed: float
    unobserved: float
    ridge: float


def losses(config: Config) -> dict[str, Loss]:
    """The three of the textbook, under one regularisation."""
    return {
        "observed only": Loss(1.0, 0.0, config.mf_ridge),
        "all pairs": Loss(1.0, 1.0, config.mf_ridge),
        "weighted": Loss(1.0, config.mf_unobserved, config.mf_ridge),
    }


def fit(features: Features, parts: Sequence[Rows], config: Config) -> Factors:
    """WALS under the weighted loss. Viewers' vectors are not kept: at work each is folded in from the last watches."""
    matrix = feedback(features, parts, "combined")
    loss = losses(config)["weighted"]
    return indexed(features, wals(matrix, loss, config.mf_dim, config.mf_rounds, config.seed)[1], loss)


def indexed(features: Features, videos: Floats, loss: Loss) -> Factors:
    """videos [num_videos, dim] from any of the solvers, ready to be asked."""
    vectors = videos.astype(np.float32)
    return Factors(features, vectors, loss, build_index(vectors))


def load(folder: Path, features: Features) -> Factors:
    found = columns.read(folder / "factors.parquet")
    loss = Loss(**{name: float(found[name][0]) for name in Loss.__dataclass_fields__})
    vectors = found["vector"].astype(np.float32)
    return Factors(features, vectors, loss, read_index(folder / "factors.faiss", vectors.shape))


@dataclass(frozen=True)
class Factors:
    """`videos` [num_videos, dim] in catalogue order, and the `index` over them; a viewer's vector is solved for when asked."""

    features: Features
    videos: NDArray[np.float32]
    loss: Loss
    index: faiss.Index

    def fold_in(self, recent: Ints) -> Floats:
        """recent [n, h] catalogue indices, -1 pads -> [n, dim]: what WALS would give a viewer who watched these, one small solve each."""
        known = (recent >= 0) & ~_repeats(recent)
        return solve_rows(self.videos, self._every, recent, self.loss.observed * known.astype(float), self.loss)

    def nearest(self, recent: Ints, k: int) -> Ranking:
        """recent [n, h] -> the k videos of the greatest product. -1 behind the last above 0: a video nobody watched has product 0, and so
        has every video for a viewer without a watch."""
        scores, index = self.index.search(self.fold_in(recent).astype(np.float32), min(k, len(self.videos)))
        wanted = (index >= 0) & (scores > 0)
        ids = np.where(wanted, self.features.video_id[index], -1)
        return Ranking(ids=ids, scores=np.where(wanted, scores.astype(float), -np.inf))

    def score(self, recent: Ints, index: Ints) -> Floats:
        """recent [n, h], index [n, k] -> [n, k] products, 0 for a video the catalogue lacks."""
        products = np.einsum("nd,nkd->nk", self.fold_in(recent), self.videos[index])
        return np.where(index >= 0, products, 0.0)

    @cached_property
    def _every(self) -> Floats:
        """V'V, the same for every request."""
        return _gram(self.videos)

    def save(self, folder: Path) -> None:
        same = {name: np.full(len(self.videos), getattr(self.loss, name)) for name in Loss.__dataclass_fields__}
        columns.write(folder / "factors.parquet", {"vector": self.videos, **same})
        (folder / "factors.faiss").write_bytes(faiss.serialize_index(self.index).tobytes())


def feedback(features: Features, parts: Sequence[Rows], kind: str) -> csr_array:
    """[num_viewers, num_videos] confidence of what was observed. explicit: liked, 2. implicit: clicked, 1, watched to the end, 2 more.
    combined: the sum. Viewers are numbered in the order of their ids; who gave no such feedback has no row."""
    from scipy.sparse import csr_array

    def said(task: str) -> Floats:
        column = [rows.labels.get(task, np.zeros(len(rows))) for rows in parts]
        return np.nan_to_num(np.concatenate(column))

    explicit, implicit = 2.0 * said("liked"), said("clicked") + 2.0 * said("completed")
    value = {"explicit": explicit, "implicit": implicit, "combined": implicit + explicit}[kind]
    index = find(features.video_id, np.concatenate([rows.video_id for rows in parts]))
    keep = (value > 0) & (index >= 0)
    user, viewer = np.unique(np.concatenate([rows.user_id for rows in parts])[keep], return_inverse=True)
    return csr_array((value[keep], (viewer, index[keep])), shape=(len(user), len(features.video_id)))


def wals(matrix: csr_array, loss: Loss, dim: int, rounds: int, seed: int) -> tuple[Floats, Floats]:
    """Weighted alternating least squares -> (viewers [n, dim], videos [m, dim]). With one side held still the objective is a ridge
    regression for every row of the other (Hu et al. 2008, equations 4 and 5): closed form, no step size, rows in any order or place."""
    viewers, videos = start(matrix, dim, seed)
    for _ in range(rounds):
        viewers = solve(matrix, videos, loss)
        videos = solve(matrix.T.tocsr(), viewers, loss)
    return viewers, videos


def solve(matrix: csr_array, other: NDArray[np.floating], loss: Loss) -> Floats:
    """The best vector of each row of `matrix`, given the columns' `other` [num_columns, dim]. Rows of like length share a block."""
    solved, every = np.zeros((matrix.shape[0], other.shape[1])), _gram(other)
    for rows, index, confidence in _blocks(matrix, other.shape[1]):
        solved[rows] = solve_rows(other, every, index, loss.observed * confidence, loss)
    return solved


def solve_rows(other: NDArray[np.floating], every: Floats, index: Ints, confidence: Floats, loss: Loss) -> Floats:
    """index [n, h] rows of `other` (V), confidence [n, h] (0 pads), every V'V -> x [n, dim] with
    (unobserved V'V + sum (c - unobserved) v v' + ridge I) x = sum c v: V'V once for everybody, so unobserved pairs cost nothing."""
    tried = confidence > 0
    gathered = other[np.where(tried, index, 0)].astype(float) * tried[:, :, None]
    more = np.where(tried, confidence - loss.unobserved, 0.0)
    shared = loss.unobserved * every + loss.ridge * np.eye(len(every))
    left = shared + (gathered * more[:, :, None]).transpose(0, 2, 1) @ gathered
    right = (gathered * confidence[:, :, None]).sum(axis=1)
    solved: Floats = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    return solved


def sgd(matrix: csr_array, loss: Loss, dim: int, steps: int, seed: int, rate: float = 0.02) -> tuple[Floats, Floats]:
    """The same objective by stochastic gradients: each step looks at an eighth of the observed pairs and as many of all pairs drawn evenly,
    scaled up to what they stand for. Adam (Kingma and Ba 2015), the step size falling to nothing along a line."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng([seed, 21])
    sides, moments = list(start(matrix, dim, seed)), [[0.0, 0.0], [0.0, 0.0]]
    row, column, value = _pairs(matrix)
    size = max(len(value) // 8, 1)
    for step in range(1, steps + 1):
        at = rng.integers(0, len(value), size)
        u = np.concatenate([row[at], rng.integers(0, matrix.shape[0], size)])
        v = np.concatenate([column[at], rng.integers(0, matrix.shape[1], size)])
        confidence = loss.observed * value[at]
        product = np.einsum("nd,nd->n", sides[0][u], sides[1][v])
        # c (1 - s)^2 - w s^2 over the observed and w s^2 over all pairs: the same sum, each part drawn by itself
        tried = (confidence - loss.unobserved) * product[:size] - confidence
        chance = loss.unobserved * product[size:]
        slope = np.concatenate([tried * len(value) / size, chance * np.prod(matrix.shape, dtype=float) / size])
        slopes = csr_array((slope, (u, v)), shape=matrix.shape)
        gradients = [slopes @ sides[1] + loss.ridge * sides[0], slopes.T @ sides[0] + loss.ridge * sides[1]]
        for side, gradient in enumerate(gradients):
            first, second = moments[side]
            moments[side] = [0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2]
            first, second = moments[side][0] / (1 - 0.9**step), moments[side][1] / (1 - 0.99**step)
            sides[side] = sides[side] - rate * (1 - step / (steps + 1)) * first / (np.sqrt(second) + 1e-9)
    return sides[0], sides[1]


def objective(matrix: csr_array, viewers: Floats, videos: Floats, loss: Loss) -> float:
    """The sum above; the unobserved part by traces, as sum over all pairs (u.v)^2 = trace(U'U V'V)."""
    row, column, value = _pairs(matrix)
    product = np.einsum("nd,nd->n", viewers[row], videos[column])
    tried = loss.observed * value @ (1 - product) ** 2 - loss.unobserved * product @ product
    every = loss.unobserved * np.einsum("de,de->", viewers.T @ viewers, videos.T @ videos)
    return float(tried + every + loss.ridge * ((viewers**2).sum() + (videos**2).sum()))


def start(matrix: csr_array, dim: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng([seed, 20])
    return rng.normal(0, 0.1, (matrix.shape[0], dim)), rng.normal(0, 0.1, (matrix.shape[1], dim))


def _gram(vectors: NDArray[np.floating]) -> Floats:
    wide = vectors.astype(float)
    gram: Floats = wide.T @ wide
    return gram


def _blocks(matrix: csr_array, dim: int) -> Iterator[tuple[Ints, Ints, Floats]]:
    """(rows, index [n, h], confidence [n, h]) of the rows that hold anything, by length, each block about CELLS numbers."""
    lengths = np.diff(matrix.indptr).astype(np.int64)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    while len(order):
        width = int(lengths[order[-1]])  # of the longest row left: as many beside it as fit
        size = max(CELLS // (width * dim), 1)
        rows, order = order[-size:], order[:-size]
        place = np.arange(width)
        held = place < lengths[rows][:, None]
        at = np.where(held, matrix.indptr[rows][:, None] + place, 0)
        yield rows, matrix.indices[at].astype(np.int64), np.where(held, matrix.data[at], 0.0).astype(float)


def _pairs(matrix: csr_array) -> tuple[Ints, Ints, Floats]:
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row, matrix.indices.astype(np.int64), matrix.data


def _repeats(recent: Ints) -> Bools:
    """True where a video stands a second time in its row."""
    same = recent[:, :, None] == recent[:, None, :]
    again: Bools = np.tril(same, -1).any(axis=2)
    return again
