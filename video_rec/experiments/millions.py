"""A case of millions of videos out of one trained on thousands: the catalogue, the features, the vectors and the index, block by block.

Nobody trains on two million videos on two cores. A video's vector is a sum, and of a video nobody has watched it is what the tower makes of
its language, title and length; its creator's part is the average creator's, its own part is nothing. Only the videos the case was trained
on have more, and so have those that share a row of the towers' tables with one (retrieval.BUCKETS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.contract import Ints
from common.features.copies import copies
from video_rec import model, world
from video_rec.baseline import CoWatch
from video_rec.config import Config
from video_rec.features import Features
from video_rec.features.catalogue import described as catalogue_of
from video_rec.features.catalogue import held, texts
from video_rec.model import index
from video_rec.model.retrieval import Retrieval
from video_rec.model.sources import Light
from video_rec.model.towers import Towers
from video_rec.model.towers import described as towers_of
from video_rec.schema import Catalog, Dataset
from video_rec.world.nature import videos

T = TypeVar("T")

BLOCK = 100_000  # videos at once
QUERIES = 1_000  # of validation, for the index to learn from


@dataclass(frozen=True)
class Large:
    """The case over a larger catalogue, ready to be published."""

    catalog: Catalog
    model: model.TwoStage


def grow(dataset: Dataset, small: model.TwoStage, config: Config, num_videos: int) -> Large:
    """The trained case with the first `num_videos` of its world; ids it was trained on keep what was learnt of them."""
    known = described(small.sources.features, catalogues(config, num_videos))
    towers = grown(small.sources.towers.towers, known)
    viewers = small.sources.towers.viewer(queries(dataset, small))
    retrieval = Retrieval(known, towers, index.build_index(vectors(towers), viewers))
    sources = replace(
        small.sources,
        features=known,
        towers=retrieval,
        co_watch=watched_together(small.sources.co_watch, known),
        light=unwatched(small.sources.light, known, retrieval),
    )
    return Large(joined(catalogues(config, num_videos)), replace(small, sources=sources))


def queries(dataset: Dataset, small: model.TwoStage) -> Ints:
    """[n, h] last watches of viewers of validation rows, as catalogue indices."""
    some = np.random.default_rng(0).permutation(len(dataset.valid))[:QUERIES]
    return small.sources.features.recent(dataset.valid.take(some), dataset.history)


def catalogues(config: Config, num_videos: int) -> Iterator[Catalog]:
    """Made anew whenever they are asked for: five gigabytes of ten million need not stand there while the index is built."""
    return (catalogue(config, ids) for ids in blocks(num_videos))


def catalogue(config: Config, ids: Ints) -> Catalog:
    """Any videos of the config's world."""
    return world.described(config.seed, ids, videos(config.seed, ids, config.days))


def watched_together(small: CoWatch, features: Features) -> CoWatch:
    """Nobody has watched the other videos: no neighbours, no popularity."""
    more = len(features.video_id) - len(small.popularity)
    return replace(small, features=features, popularity=np.pad(small.popularity, (0, more)))


def unwatched(small: Light, features: Features, towers: Retrieval) -> Light:
    """Nothing trends of the other videos, and they are liked as usual."""
    more = (0, len(features.video_id) - len(small.trend))
    liking = np.pad(small.liking, more, constant_values=small.usual)
    return replace(small, features=features, towers=towers, trend=np.pad(small.trend, more), liking=liking)


def blocks(num_videos: int) -> Iterator[Ints]:
    """Ids 0 .. num_videos - 1, in order."""
    for start in range(0, num_videos, BLOCK):
        yield np.arange(start, min(start + BLOCK, num_videos))


def described(fitted: Features, catalogs: Iterable[Catalog]) -> Features:
    """The features of any videos of the world, block by block, in the words and codes of the catalogue the case was trained on."""
    whole = joined(
        catalogue_of(
            catalog,
            fitted.words.vectors(texts(catalog)),
            np.full(len(catalog), -1),  # copies are found among all, not in a block
            fitted.languages,
        )
        for catalog in catalogs
    )
    found = vars(whole) | {"group": copies(whole.fingerprint), "title": held(whole.title)}
    return Features(**found, words=fitted.words, languages=fitted.languages)


def joined(parts: Iterable[T]) -> T:
    """Tables of one dataclass, one after the other, column by column: what is joined is let go."""
    tables, kind = [], None
    for part in parts:
        kind = type(part)
        tables.append(dict(vars(part)))
        del part
    assert kind is not None, "nothing to join"
    columns: dict[str, Any] = {}
    for field in list(tables[0]):
        values = [table.pop(field) for table in tables]
        if isinstance(values[0], Mapping):
            columns[field] = {name: np.concatenate([value[name] for value in values]) for name in values[0]}
        else:
            columns[field] = np.concatenate(values)
        del values
    return kind(**columns)


def grown(small: Towers, features: Features, shared: bool = False) -> Towers:
    """Towers over more videos: what was learnt stays, of the rest only the content is known. With `shared` every video and creator has the learnt
    part of one of the trained: the geometry of a catalogue that was watched to the last video, and no knowledge of these."""
    large = Towers(*towers_of(features), dim=small.of_id.embedding_dim)
    learnt = small.state_dict()
    state = {name: _padded(learnt[name], tensor) for name, tensor in large.state_dict().items()}
    ids, creators = learnt["of_id.weight"], learnt["of_creator.weight"]
    state["of_creator.weight"][len(creators) :] = creators[1:].mean(dim=0)
    state["of_watched.weight"][small.of_watched.num_embeddings - 1 :] = 0  # its last row stands for no video
    if shared:
        state["of_id.weight"] = ids[torch.arange(len(state["of_id.weight"])) % len(ids)]
        known = torch.arange(len(state["of_creator.weight"]) - 1) % (len(creators) - 1)
        state["of_creator.weight"][1:] = creators[1 + known]
    large.load_state_dict(state)
    return large.eval()


def _padded(learnt: Tensor, like: Tensor) -> Tensor:
    if learnt.shape == like.shape:
        return learnt
    wide = torch.zeros_like(like)
    rows = min(len(learnt), len(wide))
    wide[:rows] = learnt[:rows]
    return wide


def vectors(towers: Towers) -> NDArray[np.float32]:
    """[num_videos, dim] of every video, of unit length."""
    with torch.inference_mode():
        found: NDArray[np.float32] = towers.every_video().numpy()
    return found
