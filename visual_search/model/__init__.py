"""Photo and words as one vector, its neighbours in the gallery and what is called so, and those put in order by what else is known.

In:     training rows, judged pairs, the catalogue, features.
Out:    a Ranker: `retrieve` asks the index, and for words the owners' words; `rerank` weighs likeness, colours, words and clicks.
Choice: pictures and words lie in one space (model/encoders), beside outlines made by hand (joint.py), so "like this, in red" is the sum of two vectors; the
        index is the cheapest that keeps its promised recall (gallery.py). The ranker is a logistic regression: five numbers need no more.
Else:   an encoder that reads photo and words together (composed retrieval), where pairs of "this, but ..." were collected.
Breaks: an index of another encoder's vectors (refused); words no image was ever called: the zero vector is near nothing, and the page is what is clicked
        most; a log's pages, on which likeness seems to say nothing (ranker.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contract import Bools, FeatureStore, Floats, Ints, Ranking
from visual_search import features as features_stage
from visual_search.config import Config
from visual_search.features import Features, Seen
from visual_search.model import gallery as galleries
from visual_search.model import joint, ranker
from visual_search.model.encoders.classes import leaning
from visual_search.model.gallery import Gallery
from visual_search.model.parts import Encoder, Vectors
from visual_search.model.ranker import Linear
from visual_search.schema import Dataset, Images, Requests, Rows, Texts

NEIGHBOURS = 0.08  # of the deadline: what a search in the index may take
BLOCK = 256  # requests ranked at once
CALLED = 0.5  # of the candidates of a search with words: as many at most are there for what their owners wrote
WIDER = 3  # times the candidates are looked for where a filter will drop some
UNLIKE = 0.02  # share of validation requests whose best neighbour was further away: nothing is like what is asked
ALIKE = 0.75  # grade from which a judged pair is alike
BY_LOT = 8  # images for each such pair that it is told from
KINDS = ("photo", "text", "both")


def fit(dataset: Dataset, features: Features, config: Config) -> Model:
    ready = prepared(dataset, features)
    encoder = joint.fit(ready, config)
    vectors = leaning(encoder.images(ready.catalog.images.pixels), dataset.catalog.label)
    asked = dataset.valid.take(dataset.valid.slot == 0).requests()  # a page is one request
    seen = features.seen(asked)
    queries = encoder.images(seen.pixels)
    built = galleries.build(
        encoder.fingerprint, dataset.catalog.image_id, vectors, queries, config.recall, NEIGHBOURS * config.deadline_ms
    )
    plain = Model(features, encoder, built, ranker.PLAIN, config.words_weight)
    return replace(plain, ranker=_taught(plain, dataset, config.seed), unlike=_unlike(plain, asked, seen))


def load(folder: Path, features: Features | None = None) -> Model:
    """The features stand beside it in the artifact, once; who has read them passes them on."""
    said = json.loads((folder / "model.json").read_text())
    encoder = joint.load(folder / "encoder")
    return Model(
        features=features or features_stage.load(folder.parent / "features"),
        encoder=encoder,
        gallery=galleries.load(folder / "gallery", encoder.fingerprint),
        ranker=Linear(said["weights"], said["intercept"]),
        words_weight=said["words_weight"],
        unlike=said["unlike"],
    )


@dataclass(frozen=True, eq=False)
class Asked:
    """What each of n requests asks for: `photo` and `said` [n, dim], 0 where there is none or nothing of it is known; `query`: their sum, of length 1 or 0."""

    photo: Vectors
    said: Vectors
    query: Vectors


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
        asked = self.asked(self.features.seen(requests), requests.text)
        near = self.neighbours(asked, requests.shop_only, k)
        called = self.called(requests.text, k)
        return self.together(asked, near, called, requests.shop_only)

    def rerank(self, requests: Requests, candidates: Ranking, store: FeatureStore) -> Ranking:
        seen = self.features.seen(requests)
        asked = self.asked(seen, requests.text)
        scores = np.full(candidates.ids.shape, -np.inf)
        for at in range(0, len(requests), BLOCK):
            row, column = np.nonzero(candidates.ids[at : at + BLOCK] >= 0)
            row, ids = at + row, candidates.ids[at + row, column]
            dense = self.features.dense(
                seen.histogram, seen.which[row], requests.text, row, ids, requests.moment[row], store
            )
            scores[row, column] = self.ranker.score(self.values(asked, row, ids, dense))
        return Ranking.best_first(candidates.ids, scores)

    def asked(self, seen: Seen, text: Texts) -> Asked:
        images = self.encoder.images(seen.pixels)
        words, back = np.unique(text, return_inverse=True)
        said = self.encoder.texts(words.tolist())[back]
        with_photo = seen.which >= 0
        photo = np.zeros_like(said)
        photo[with_photo] = images[seen.which[with_photo]]
        both = photo + np.where(with_photo, self.words_weight, 1.0)[:, None].astype(np.float32) * said
        length = np.linalg.norm(both, axis=1, keepdims=True)
        return Asked(photo, said, (both / np.maximum(length, 1e-9)).astype(np.float32))

    def neighbours(self, asked: Asked, shop_only: Ints, k: int) -> Ranking:
        """The k nearest that the filter leaves; of what lies nowhere, nothing."""
        wanted = k * WIDER if shop_only.any() else k
        ids, near = self.gallery.search(self.encoder.fingerprint, asked.query, min(wanted, len(self.gallery)))
        nowhere = ~asked.query.any(axis=1, keepdims=True)
        found = self._filtered(np.where(nowhere, -1, ids), near.astype(np.float64), shop_only)
        return Ranking(ids=found.ids[:, :k], scores=found.scores[:, :k])

    def called(self, text: Texts, k: int) -> Ints:
        """[n, CALLED * k] ids of images whose owners wrote the same words, -1 pads."""
        found = np.full((len(text), int(CALLED * k)), -1)
        for start in range(0, len(text), BLOCK):
            shared = self.features.words.said(text[start : start + BLOCK].tolist()) @ self.features.said.T
            for row in np.flatnonzero(np.diff(shared.indptr)).tolist():
                there = slice(shared.indptr[row], shared.indptr[row + 1])
                at, score = shared.indices[there], shared.data[there]
                best = at[np.lexsort((at, -score))[: found.shape[1]]]
                found[start + row, : len(best)] = self.features.pictures.image_id[best]
        return found

    def together(self, asked: Asked, near: Ranking, called: Ints, shop_only: Ints) -> Ranking:
        """[n, k], [n, j] -> [n, k]: those called so, and as many of the nearest as there is room for; what nobody found, the most clicked."""
        n, k = near.ids.shape
        ids = np.full((n, k), -1)
        for row in range(n):
            first = called[row][called[row] >= 0]
            rest = near.ids[row][~np.isin(near.ids[row], first)]
            ids[row] = np.concatenate([first, rest])[:k]
            if (ids[row] < 0).all():
                ids[row, : min(k, len(self.features.popular))] = self.features.popular[:k]
        rows, columns = np.nonzero(ids >= 0)
        scores = np.full(ids.shape, -np.inf)
        scores[rows, columns] = self.likeness(asked.query, rows, ids[rows, columns])
        return self._filtered(ids, scores, shop_only)

    def values(self, asked: Asked, row: Ints, image_id: Ints, dense: Floats) -> Floats:
        """What the ranker reads of the request row[i] and the image image_id[i]."""
        alike, named = (self.likeness(part, row, image_id) for part in (asked.photo, asked.said))
        return ranker.columns(alike, named, dense)

    def likeness(self, vectors: Vectors, row: Ints, image_id: Ints) -> Floats:
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

    def _filtered(self, ids: Ints, scores: Floats, shop_only: Ints) -> Ranking:
        is_shop = self.features.pictures.shop[self.features.find(ids)] > 0
        dropped = (shop_only[:, None] > 0) & ~is_shop | (ids < 0)
        return Ranking.best_first(np.where(dropped, -1, ids), np.where(dropped, -np.inf, scores))

    def save(self, folder: Path) -> None:
        (folder / "encoder").mkdir(exist_ok=True)
        self.encoder.save(folder / "encoder")
        self.gallery.save(folder / "gallery")
        said = {
            "weights": dict(self.ranker.weights),
            "intercept": self.ranker.intercept,
            "words_weight": self.words_weight,
            "unlike": dict(self.unlike or {}),
        }
        (folder / "model.json").write_text(json.dumps(said))


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


def _taught(plain: Model, dataset: Dataset, seed: int) -> Linear:
    rows = dataset.train.take(np.isfinite(dataset.train.label))
    pairs = _told_apart(dataset, seed)
    read = [_read(plain, some, dataset) for some in (pairs, rows)]
    return ranker.fit(read[0], pairs.label, read[1], rows.slot.astype(np.float64), rows.label)


def _told_apart(dataset: Dataset, seed: int) -> Rows:
    """Judged pairs that are alike, and for each BY_LOT images by lot: nearly all of them are not."""
    judged, rng = dataset.judged, np.random.default_rng([seed, 11])
    good = np.flatnonzero(judged.grade >= ALIKE)
    none = np.zeros((1 + BY_LOT) * len(good), np.int64)
    return Rows(
        user_id=none,
        photo=np.tile(judged.photo[good], 1 + BY_LOT),
        photos=judged.photos,
        image_id=np.concatenate([judged.image_id[good], rng.choice(dataset.catalog.image_id, BY_LOT * len(good))]),
        slot=none,
        event_time=none,
        moment=none,
        label=np.repeat([1.0, 0.0], [len(good), BY_LOT * len(good)]),
    )


def _read(plain: Model, rows: Rows, dataset: Dataset) -> Floats:
    seen, (text, said) = plain.features.seen(rows), np.unique(rows.text, return_inverse=True)
    dense = plain.features.dense(seen.histogram, seen.which, text, said, rows.image_id, rows.moment, dataset.history)
    return plain.values(plain.asked(seen, rows.text), np.arange(len(rows)), rows.image_id, dense)


def _unlike(plain: Model, asked: Requests, seen: Seen) -> dict[str, float]:
    vectors, kind = plain.asked(seen, asked.text), kinds(seen, asked.text)
    best = plain.neighbours(vectors, np.zeros(len(asked), np.int64), 1).scores.max(axis=1, initial=-np.inf)
    there = np.isfinite(best)
    return {
        name: float(np.quantile(best[mine], UNLIKE)) for name in KINDS if (mine := (kind == name) & there).sum() > 20
    }


__all__ = ["Encoder", "Model", "fit", "load"]
