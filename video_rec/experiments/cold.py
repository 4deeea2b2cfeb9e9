"""A video nobody has watched yet: what can be known of it, and by which ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.contract import Experiment, Floats, Ints, Table
from common.eval import intervals
from video_rec import data, features, model
from video_rec.config import Config
from video_rec.features import Features
from video_rec.model.retrieval import Retrieval, teach
from video_rec.model.towers import Towers, described
from video_rec.schema import Dataset

LEVELS, CODES = 3, 64  # of a semantic id: three words of an alphabet of sixty-four


def cold_video(config: Config) -> Table:
    """What can a tower know of a video that nobody has watched? Videos first shown after training, put in order for each viewer by towers alone.

    `expected_gain@20` of the twenty of them that stand highest. An id of its own says nothing (`ids alone`: the foil, as good as chance); a
    semantic id (residual-quantised codes of title and tags, as in Singh et al. 2023, "Better generalization with semantic ids") is shared
    with watched videos that are like it. Content is what the towers serve with."""
    dataset = data.load(config)
    fitted = features.fit(dataset, config)
    cold = np.flatnonzero(~np.isin(fitted.video_id, dataset.train.video_id) & (fitted.explicit == 0))
    bare = _without_content(fitted)
    codes = semantic_ids(fitted.title, config.seed)
    variants = {
        "content and ids (served)": model.retrieval.fit(dataset, fitted, config),
        "ids alone": model.retrieval.fit(dataset, bare, config),
        "semantic ids alone": _coded(dataset, bare, codes, config),
        "content and semantic ids": _coded(dataset, fitted, codes, config),
    }
    gains = {name: _gain(towers, dataset, cold, config) for name, towers in variants.items()}
    rng, key = np.random.default_rng(config.seed), data.judgments(config)
    drawn = np.stack([rng.permutation(cold)[:20] for _ in range(len(dataset.test))])
    gains["chance"] = key.gain(dataset.test, fitted.video_id[drawn]).mean(axis=1)
    first, table = gains["content and ids (served)"], []
    for name, units in gains.items():
        difference = intervals.mean(units - first, dataset.test.user_id)
        size = sum(p.numel() for p in variants[name].towers.parameters()) if name in variants else 0
        table.append({"towers": name, "expected_gain@20": float(units.mean()), "against served": difference.value, "low": difference.low, "high": difference.high, "parameters": size, "cold videos": len(cold)})  # fmt: skip
    return table


def semantic_ids(vectors: NDArray[np.floating], seed: int) -> Ints:
    """[n, d] -> [n, LEVELS]: the nearest of CODES centres, then of what is left the nearest, and so on (residual quantisation)."""
    left, found = np.ascontiguousarray(vectors, np.float32).copy(), []
    for level in range(LEVELS):
        means = faiss.Kmeans(left.shape[1], CODES, niter=15, seed=seed + level, min_points_per_centroid=1)
        means.train(left)
        _, nearest = means.index.search(left, 1)
        found.append(nearest[:, 0])
        left -= np.asarray(means.centroids)[nearest[:, 0]]
    return np.stack(found, axis=1)


class Coded(Towers):
    """Towers whose ids are codes: an embedding a level, summed, in the place of one a video."""

    def __init__(self, content: tuple[Tensor, Tensor, Tensor, Tensor], dim: int, codes: Ints) -> None:
        super().__init__(*content, dim=dim)
        self.codes = torch.from_numpy(codes + CODES * np.arange(LEVELS))
        del self.of_id, self.of_watched
        self.of_code, self.of_watched_code = nn.Embedding(LEVELS * CODES, dim), nn.Embedding(LEVELS * CODES, dim)
        for table in (self.of_code, self.of_watched_code):
            nn.init.normal_(table.weight, std=0.1)

    def video(self, index: Tensor) -> Tensor:
        return nn.functional.normalize(self.described(index) + self.of_code(self.codes[index]).sum(dim=-2), dim=-1)

    def watched(self, recent: Tensor) -> Tensor:
        known: Tensor = self.of_watched_code(self.codes[recent.clamp(min=0)]).sum(dim=-2) * (recent >= 0)[..., None]
        return known


def _coded(dataset: Dataset, fitted: Features, codes: Ints, config: Config) -> Retrieval:
    torch.manual_seed(config.seed)
    return teach(Coded(described(fitted), config.dim, codes), dataset, fitted, config)


def _without_content(fitted: Features) -> Features:
    nothing = np.zeros(len(fitted.video_id), np.int64)
    return replace(fitted, title=np.zeros_like(fitted.title), creator_id=nothing - 1, language=nothing - 1, length=nothing.astype(float))  # fmt: skip


def _gain(towers: Retrieval, dataset: Dataset, cold: Ints, config: Config) -> Floats:
    """[num_requests] mean planted gain of the twenty cold videos nearest to each viewer."""
    recent = towers.features.recent(dataset.test, dataset.history)
    scores = towers.viewer(recent) @ towers.vectors[cold].T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :20]
    gain: Floats = data.judgments(config).gain(dataset.test, towers.features.video_id[cold[best]]).mean(axis=1)
    return gain


EXPERIMENTS: Mapping[str, Experiment] = {"cold_video": cold_video}
