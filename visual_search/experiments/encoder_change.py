"""A new encoder beside an old index: refused, and what it would find if it were not; what re-embedding costs, and what a map saves and loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.contract import Experiment, Ints, Ranking, Table
from common.errors import InputError
from visual_search.config import Config
from visual_search.experiments.trained import GAIN, Trained, mean, timed, trained
from visual_search.model import Model, encoders, prepared, ranker
from visual_search.model import gallery as galleries
from visual_search.model.gallery import Gallery
from visual_search.model.index.tuner import each_recall, exact_neighbours
from visual_search.model.parts import Encoder, Vectors

K = 100  # neighbours, as many as are ranked again
MAPPED = 1_000  # images of the gallery that both encoders look at, to learn the map
STRENGTH = 1e-3  # of the ridge, beside the sum of squares of one direction
OLD, UNREFUSED, REBUILT, CHANCE = (
    "old encoder, old index",
    "new encoder, old index",
    "new encoder, rebuilt",
    "by chance",
)
QUERIES, HELD = "new queries mapped to the old index", "old vectors mapped to the new encoder"


def encoder_change(config: Config) -> Table:
    """What happens when a new encoder asks an old index, and what does it cost to change both?

    The new encoder is the old one taught from another seed: as good, and none of its axes means the same. `refused`: does the gallery turn its queries away? Of
    those it would, the row says what they had found. By likeness alone, before the rerank, whose colours and clicks would hide it. `agreed`: share of the K
    neighbours that the new encoder finds in its own index. Only what is learnt counts here: outlines made by hand (model/edges.py) are the same in both. `encode_s`, `build_s`: processor seconds to embed what a row needs embedded anew, and to tune
    and build an index. The cheap way is a ridge map between the two spaces, learnt from MAPPED images that both have seen: of new queries into the old
    index, or of old vectors into the new space. Foil: chance. It decides that both change at once, and whether a map may stand in meanwhile."""
    lab = trained(config)
    before, new = (_taught(lab, seed) for seed in (config.seed, config.seed + 1))
    old, fresh = before.held, new.held
    asked, asked_before = _asked(lab, new), _asked(lab, before)
    _, encode_s = timed(lambda: _embedded(lab, new.encoder))
    _, build_s = timed(lambda: _built(lab, new.encoder.fingerprint, fresh))
    both = np.sort(np.random.default_rng([config.seed, 53]).permutation(len(old))[:MAPPED])
    sample_s = encode_s * len(both) / len(old)
    sides = {
        OLD: (old, asked_before, 0.0, 0.0),
        UNREFUSED: (old, asked, 0.0, 0.0),
        QUERIES: (old, unit(asked @ ridge(fresh[both], old[both])), sample_s, 0.0),
        HELD: (unit(old @ ridge(old[both], fresh[both])), asked, sample_s, build_s),
        REBUILT: (fresh, asked, encode_s, build_s),
    }
    found = {name: _nearest(lab, held, queries) for name, (held, queries, _, _) in sides.items()}
    found[CHANCE] = by_chance(lab)
    return [
        {"what": name, **mean(GAIN, lab.gains(ranking), lab.test.user_id), **_agreed(lab, ranking, found[REBUILT])}
        | {"refused": int(name == UNREFUSED and refused(before.gallery, new.encoder.fingerprint, asked))}
        | dict(zip(("encode_s", "build_s"), sides[name][2:] if name in sides else (0.0, 0.0), strict=True))
        for name, ranking in found.items()
    ]


def refused(gallery: Gallery, fingerprint: str, queries: Vectors) -> bool:
    try:
        gallery.search(fingerprint, queries[:1], 1)
    except InputError:
        return True
    return False


def ridge(given: Vectors, wanted: Vectors) -> Vectors:
    """[n, d], [n, e] -> [d, e]: the map of least squares from one space into the other (Hoerl and Kennard 1970)."""
    square = given.T @ given
    weight = STRENGTH * np.trace(square) / len(square)
    found: Vectors = np.linalg.solve(square + weight * np.eye(len(square), dtype=np.float32), given.T @ wanted)
    return found


def unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
    return found


def by_chance(lab: Trained) -> Ranking:
    rng = np.random.default_rng([lab.config.seed, 54])
    ids = np.stack([rng.permutation(lab.dataset.catalog.image_id)[:K] for _ in range(len(lab.test))])
    return Ranking(ids=ids, scores=np.tile(-np.arange(ids.shape[1], dtype=float), (len(ids), 1)))


def _taught(lab: Trained, seed: int) -> Model:
    """Only what is learnt: outlines made by hand are the same whatever the seed."""
    encoder = encoders.fit(prepared(lab.dataset, lab.features), replace(lab.config, seed=seed))
    built = _built(lab, encoder.fingerprint, _embedded(lab, encoder))
    return Model(lab.features, encoder, built, ranker.PLAIN, lab.config.words_weight)


def _asked(lab: Trained, by: Model) -> Vectors:
    return by.asked(lab.features.seen(lab.test), lab.test.text).query


def _embedded(lab: Trained, encoder: Encoder) -> Vectors:
    return encoder.images(lab.features.prepared(lab.dataset.catalog.images.pixels))


def _built(lab: Trained, fingerprint: str, vectors: Vectors) -> Gallery:
    """As model.fit builds it; images of the gallery stand in for queries."""
    deadline = 1e3  # ms: what is timed is the building, on whatever machine
    ids: Ints = lab.dataset.catalog.image_id
    return galleries.build(fingerprint, ids, vectors, vectors[:0], lab.config.recall, deadline)


def _nearest(lab: Trained, held: Vectors, queries: Vectors) -> Ranking:
    """By a scan, so that an index's own losses are not counted in."""
    places = exact_neighbours(held, queries, K)
    near = np.take_along_axis(queries @ held.T, places, 1).astype(np.float64)
    return Ranking.best_first(lab.dataset.catalog.image_id[places], near)


def _agreed(lab: Trained, found: Ranking, best: Ranking) -> dict[str, float | None]:
    return mean("agreed", each_recall(found.ids, best.ids).astype(np.float64), lab.test.user_id)


EXPERIMENTS: Mapping[str, Experiment] = {"encoder_change": encoder_change}
