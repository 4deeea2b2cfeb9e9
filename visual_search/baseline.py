"""Nearest by colour, and by words in common. The simplest thing worth beating, and the first fallback.

In:     the catalogue's histograms and words, as features prepared them.
Out:    a Ranker over the whole gallery, exact; what nobody can place gets what is clicked most.
Choice: colours of the meant part, whole and by quarters, and TF-IDF of the owner's words; a photo with words is the sum of both.
Else:   edges and textures beside colours (HOG, local binary patterns), where nothing can be learnt.
Breaks: the same thing in another colour is not found, another thing in the same colour is; words the owner did not write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contract import FeatureStore, Floats, Ints, Ranking
from visual_search import features as features_stage
from visual_search.config import Config
from visual_search.features import Features
from visual_search.features.histogram import Histograms
from visual_search.schema import Dataset, Requests, Texts

BLOCK = 256  # requests scored at once over the whole gallery
FEW = 1e-3  # of a score: how far what is clicked most may lead among equals


def fit(dataset: Dataset, features: Features, config: Config) -> Colours:
    return Colours(features, config.words_weight)


def load(folder: Path, features: Features | None = None) -> Colours:
    """The features stand beside it in the artifact, once; who has read them passes them on."""
    said = json.loads((folder / "baseline.json").read_text())
    return Colours(features or features_stage.load(folder.parent / "features"), **said)


@dataclass(frozen=True, eq=False)
class Colours:
    features: Features
    words_weight: float  # of words beside a photo

    def retrieve(self, requests: Requests, k: int, store: FeatureStore) -> Ranking:
        return self._blocks(requests, lambda some, every: self._best(some, every, k))

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        seen, index = self.features.seen(requests), self.features.find(candidates.ids)
        scores = np.empty(index.shape)
        for at in range(0, len(requests), BLOCK):
            rows = slice(at, at + BLOCK)
            every = self._scores(_of(seen.histogram, seen.which[rows]), requests.text[rows])
            scores[rows] = np.take_along_axis(every, np.maximum(index[rows], 0), 1)
        return Ranking.best_first(candidates.ids, np.where(index >= 0, scores, -np.inf))

    def nearest(self, histogram: Histograms, text: Texts, k: int, shop_only: bool = False) -> Ranking:
        """[n, DIM] (a row of 0 without a photo) and words [n] -> the k best of each."""
        return self._best(np.full(len(text), int(shop_only)), self._scores(histogram, text), k)

    def save(self, folder: Path) -> None:
        (folder / "baseline.json").write_text(json.dumps({"words_weight": self.words_weight}))

    def _blocks(self, requests: Requests, best: Callable[[Ints, Floats], Ranking]) -> Ranking:
        seen, found = self.features.seen(requests), []
        for at in range(0, len(requests), BLOCK):
            rows = slice(at, at + BLOCK)
            every = self._scores(_of(seen.histogram, seen.which[rows]), requests.text[rows])
            found.append(best(requests.shop_only[rows], every))
        return Ranking(
            ids=np.concatenate([one.ids for one in found]), scores=np.concatenate([one.scores for one in found])
        )

    def _scores(self, histogram: Histograms, text: Texts) -> Floats:
        """-> [n, num_images]. What is clicked most stands first among equals, and where there is nothing to go by."""
        colours = (histogram @ self.features.colours.T).astype(np.float64)
        words = self.features.words.said(text.tolist()) @ self.features.said.T
        clicks = self.features.pictures.clicks
        scores: Floats = (
            colours + self.words_weight * words.toarray() + FEW * clicks / max(clicks.max(initial=0.0), 1.0)
        )
        return scores

    def _best(self, shop_only: Ints, scores: Floats, k: int) -> Ranking:
        scores = np.where((shop_only[:, None] > 0) & (self.features.pictures.shop == 0), -np.inf, scores)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, 1)
        return Ranking(ids=np.where(best > -np.inf, self.features.pictures.image_id[order], -1), scores=best)


def _of(histogram: Histograms, which: Ints) -> Histograms:
    found: Histograms = np.concatenate([histogram, np.zeros_like(histogram[:1]) if len(histogram) else _NOTHING])[which]
    return found


_NOTHING = np.zeros((1, features_stage.histogram.DIM), np.float32)
