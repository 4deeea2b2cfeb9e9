"""Photo and words as one vector, its neighbours in the gallery, and those put in order by what else is known.

In:     training rows, judged pairs, the catalogue, features.
Out:    a Ranker: `retrieve` asks the index; `rerank` weighs likeness, colours, words and clicks.
Choice: pictures and words lie in one space (model/encoders), so "like this, in red" is the sum of two vectors; the index is the cheapest that keeps its
        promised recall (model/index, model/gallery.py). The ranker is a logistic regression: four numbers need no more.
Else:   an encoder that reads photo and words together (composed retrieval), where pairs of "this, but ..." were collected.
Breaks: an index of another encoder's vectors (refused); an encoder that knows by heart the pairs the ranker learns from; words no image was ever called:
        the zero vector is near nothing, and the page is what is clicked most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, FeatureStore, Floats, Ints, Ranking
from visual_search import features as features_stage
from visual_search.config import Config
from visual_search.features import Features, Seen
from visual_search.model import encoders, ranker
from visual_search.model import gallery as galleries
from visual_search.model.gallery import Gallery
from visual_search.model.parts import Encoder, Vectors
from visual_search.model.ranker import Linear
from visual_search.schema import Dataset, Images, Pixels, Requests, Rows, Texts

NEIGHBOURS = 0.08  # of the deadline: what a search in the index may take
BLOCK = 256  # pictures encoded, and requests ranked, at once
WIDER = 3  # times the candidates are looked for where a filter will drop some
UNLIKE = 0.02  # share of validation requests whose best neighbour was further away: nothing is like what is asked
KINDS = ("photo", "text", "both")
R = TypeVar("R", Rows, Requests)


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    ready = prepared(dataset, features)
    encoder = encoders.fit(ready, config)
    vectors = encoded(encoder, ready.catalog.images.pixels)
    asked = dataset.valid.take(dataset.valid.slot == 0).requests()  # a page is one request
    seen = features.seen(asked)
    queries = encoded(encoder, seen.pixels)
    built = galleries.build(
        encoder.fingerprint, dataset.catalog.image_id, vectors, queries, config.recall, NEIGHBOURS * config.deadline_ms
    )
    plain = Model(features, encoder, built, ranker.PLAIN, config.words_weight)
    return replace(plain, ranker=_taught(plain, dataset), unlike=_unlike(plain, asked, seen))


def load(folder: Path, features: Features | None = None) -> Model:
    """The features stand beside it in the artifact, once; who has read them passes them on."""
    said = json.loads((folder / "model.json").read_text())
    encoder = encoders.load(folder / "encoder")
    return Model(
        features=features or features_stage.load(folder.parent / "features"),
        encoder=encoder,
        gallery=galleries.load(folder / "gallery", encoder.fingerprint),
        ranker=Linear(said["weights"], said["intercept"]),
        words_weight=said["words_weight"],
        unlike=said["unlike"],
    )


@dataclass(frozen=True, eq=False)
class Model:
    """`unlike`: by kind of request, below which likeness of its best neighbour nothing in the gallery is like it."""

    features: Features
    encoder: Encoder
    gallery: Gallery
    ranker: Linear
    words_weight: float
    unlike: Mapping[str, float] | None = None

    def retrieve(self, requests: Requests, k: int, store: FeatureStore) -> Ranking:
        vectors = self.vectors(self.features.seen(requests), requests.text)
        return self.neighbours(vectors, requests.shop_only, k)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        seen = self.features.seen(requests)
        vectors = self.vectors(seen, requests.text)
        scores = np.full(candidates.ids.shape, -np.inf)
        for at in range(0, len(requests), BLOCK):
            row, column = np.nonzero(candidates.ids[at : at + BLOCK] >= 0)
            ids = candidates.ids[at + row, column]
            dense = self.features.dense(
                seen.histogram, seen.which[at + row], requests.text, at + row, ids, requests.moment[at + row], store
            )
            scores[at + row, column] = self.ranker.score(self.similarity(vectors, at + row, ids), dense)
        return Ranking.best_first(candidates.ids, scores)

    def vectors(self, seen: Seen, text: Texts) -> Vectors:
        """What each of n requests asks for: its photo, its words, or the sum of both, of length 1; 0 where nothing of it is known."""
        images = encoded(self.encoder, seen.pixels)
        words, back = np.unique(text, return_inverse=True)
        said = self.encoder.texts(words.tolist())[back]
        found = said * np.where(seen.which >= 0, self.words_weight, 1.0)[:, None].astype(np.float32)
        with_photo = seen.which >= 0
        found[with_photo] += images[seen.which[with_photo]]
        length = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Vectors = (found / np.maximum(length, 1e-9)).astype(np.float32)
        return unit

    def neighbours(self, vectors: Vectors, shop_only: Ints, k: int) -> Ranking:
        """vectors [n, dim] -> the k nearest that the filter leaves; what lies nowhere, the most clicked."""
        wanted = k * WIDER if shop_only.any() else k
        ids, near = self.gallery.search(self.encoder.fingerprint, vectors, min(wanted, len(self.gallery)))
        scores = np.where(ids >= 0, near, -np.inf).astype(np.float64)
        nowhere = ~vectors.any(axis=1)
        most = self.popular(1, ids.shape[1])
        ids[nowhere], scores[nowhere] = most.ids, most.scores
        is_shop = self.features.pictures.shop[self.features.find(ids)] > 0
        dropped = (shop_only[:, None] > 0) & ~is_shop
        found = Ranking.best_first(np.where(dropped, -1, ids), np.where(dropped, -np.inf, scores))
        return Ranking(ids=found.ids[:, :k], scores=found.scores[:, :k])

    def similarity(self, vectors: Vectors, row: Ints, image_id: Ints) -> Floats:
        """Of vectors[row[i]] and the image image_id[i], exact whatever the index holds; 0 for an image nobody knows."""
        index = self.features.find(image_id)
        near = np.einsum("nd,nd->n", vectors[row], self.held[index]).astype(np.float64)
        return np.where(index >= 0, near, 0.0)

    def is_unlike(self, kind: str, best: float) -> bool:
        return best < (self.unlike or {}).get(kind, -1.0)

    @cached_property
    def held(self) -> Vectors:
        """[num_images, dim], in the order of the features' pictures."""
        ids, vectors = self.gallery.index.everything()
        return vectors[np.argsort(ids, kind="stable")]

    def over(self, features: Features, gallery: Gallery) -> Model:
        """The same with what there is by now: both hold the same images."""
        return replace(self, features=features, gallery=gallery)

    def popular(self, n: int, k: int) -> Ranking:
        """[n, k]: what is clicked most, for requests that lie nowhere."""
        ids = np.full((n, k), -1)
        most = self.features.popular[:k]
        ids[:, : len(most)] = most
        return Ranking(ids=ids, scores=np.where(ids >= 0, -1.0 - np.arange(k), -np.inf))

    def save(self, folder: Path) -> None:
        for part, name in ((self.encoder, "encoder"), (self.gallery, "gallery")):
            (folder / name).mkdir(exist_ok=True)
            part.save(folder / name)
        said = {
            "weights": dict(self.ranker.weights),
            "intercept": self.ranker.intercept,
            "words_weight": self.words_weight,
            "unlike": dict(self.unlike or {}),
        }
        (folder / "model.json").write_text(json.dumps(said))


def encoded(encoder: Encoder, pixels: Pixels) -> Vectors:
    """Block by block: a network's middle is many times as large as what goes in."""
    parts = [encoder.images(pixels[at : at + BLOCK]) for at in range(0, len(pixels), BLOCK)]
    return np.concatenate([np.empty((0, encoder.dim), np.float32), *parts])


def prepared(dataset: Dataset, features: Features) -> Dataset:
    """The same with every picture as the encoder will be given it: the part that is meant. Pools that are shared stay shared."""
    done: dict[int, Images] = {}

    def pool(images: Images) -> Images:
        if id(images) not in done:
            done[id(images)] = Images(features.prepared(images.pixels))
        return done[id(images)]

    return replace(
        dataset,
        train=replace(dataset.train, photos=pool(dataset.train.photos)),
        valid=replace(dataset.valid, photos=pool(dataset.valid.photos)),
        judged=replace(dataset.judged, photos=pool(dataset.judged.photos)),
        catalog=replace(dataset.catalog, images=pool(dataset.catalog.images)),
    )


def kinds(seen: Seen, text: Texts) -> NDArray[np.str_]:
    """[n] of KINDS."""
    said: Bools = np.char.strip(text) != ""
    return np.where(seen.which < 0, "text", np.where(said, "both", "photo"))


def _taught(plain: Model, dataset: Dataset) -> Linear:
    """From clicks: what people took of what they were shown."""
    rows, features = dataset.train, plain.features
    rows = rows.take(np.isfinite(rows.label))
    seen = features.seen(rows)
    vectors = plain.vectors(seen, rows.text)
    similarity = plain.similarity(vectors, np.arange(len(rows)), rows.image_id)
    dense = features.inputs(rows, dataset.history).dense
    return ranker.fit(similarity, dense, rows.slot.astype(np.float64), rows.label)


def _unlike(plain: Model, asked: Requests, seen: Seen) -> dict[str, float]:
    vectors = plain.vectors(seen, asked.text)
    best = plain.neighbours(vectors, np.zeros(len(asked), np.int64), 1).scores[:, 0] if len(asked) else np.empty(0)
    kind = kinds(seen, asked.text)
    somewhere = vectors.any(axis=1)
    return {
        name: float(np.quantile(best[mine], UNLIKE))
        for name in KINDS
        if (mine := (kind == name) & somewhere).sum() > 20
    }


__all__ = ["Encoder", "Model", "fit", "load"]
