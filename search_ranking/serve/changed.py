"""The legs over what was put and deleted while they answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from search_ranking.baseline import Baseline
from search_ranking.features import Features
from search_ranking.features import shelf as shelves
from search_ranking.model import TwoStage, texts
from search_ranking.schema import Item


def searched(trained: TwoStage, over: Features, changes: Mapping[int, Item | None]) -> TwoStage:
    """Both legs with these documents put or, where None, deleted; and `over` the features of what there is then. An index never changes the
    state its readers hold, so a copy of it is as cheap as a name."""
    legs, index, vectors = trained.legs, copy.copy(trained.legs.words.index), copy.copy(trained.legs.vectors)
    gone = np.array([doc_id for doc_id, item in changes.items() if item is None], dtype=np.int64)
    put = shelves.listed([item for item in changes.values() if item is not None])
    index.delete(gone)
    vectors.delete(gone)
    if len(put):
        index.put(put.doc_id, {name: getattr(put, name).tolist() for name in index.fields})
        vectors.put(put.doc_id, legs.encoder.encode(texts(put)), legs.encoder.fingerprint)
    return replace(trained, features=over, legs=replace(legs, words=Baseline(over, index), vectors=vectors))
