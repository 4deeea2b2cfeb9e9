"""Documents put while the case is served, beside those of training: read once each, and joined to the catalogue at every change.

Always joined to the catalogue as it was in training, so that what is known is a function of what was put last of each document, and the same
after a restart. One change copies every column: 30 ms at fifty thousand documents, beside the answers and never under one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from common.contract import Ints
from common.features.copies import copies
from search_ranking.features.documents import Documents, Names, encoded
from search_ranking.schema import Catalog, Item

LAW = {"explicit": np.maximum, "min_age": np.maximum, "barred_in": np.bitwise_or}  # and what is the strictest of two
UNSAID = -1


@dataclass(frozen=True, eq=False)
class Shelf:
    """[m] documents by ascending id, UNSAID where one does not say who may see it; their titles; ids of training's that were deleted."""

    documents: Documents
    title: dict[int, str]
    gone: Ints

    def after(self, changes: Mapping[int, Item | None], names: Names) -> Shelf:
        put = listed([item for item in changes.values() if item is not None])
        left = ~np.isin(self.documents.doc_id, list(changes))
        gone = np.setdiff1d(np.union1d(self.gone, [at for at, item in changes.items() if item is None]), put.doc_id)
        title = {doc_id: title for doc_id, title in self.title.items() if doc_id not in changes}
        title |= dict(zip(put.doc_id.tolist(), put.title.tolist(), strict=True))
        return Shelf(_stacked(_taken(self.documents, left), encoded(put, names)), title, gone.astype(np.int64))


def empty(names: Names) -> Shelf:
    return Shelf(encoded(listed([]), names), {}, np.empty(0, np.int64))


def listed(items: Sequence[Item]) -> Catalog:
    """Items, each id once, as a catalogue by ascending id. Nobody has looked at their pictures: there are no `frames`."""
    items = sorted(items, key=attrgetter("doc_id"))

    def column(name: str, kind: type) -> Any:
        said = [UNSAID if (value := getattr(item, name)) is None else value for item in items]
        return np.array(said, dtype=kind)

    return Catalog(
        **{name: column(name, np.int64) for name in ("doc_id", "channel_id", "fingerprint", *LAW)},
        **{name: column(name, np.str_) for name in ("title", "description", "tags")},
        frames=np.zeros((len(items), 0), np.float32),
        numbers={name: column(name, np.float64) for name in ("length_seconds", "uploaded")},
        categories={name: column(name, np.str_) for name in ("language", "topic")},
    )


def joined(trained: Documents, shelf: Shelf) -> tuple[Documents, Ints]:
    """-> the documents there are, by ascending id, and [n] which of them are copies of each other. One of training that was put anew keeps its
    views; who may see it is as it is said, else as it was, and never less limited than a copy of it: the law is of what is seen and heard."""
    put = shelf.documents
    at = np.minimum(np.searchsorted(trained.doc_id, put.doc_id), len(trained.doc_id) - 1)
    was = trained.doc_id[at] == put.doc_id
    columns: dict[str, Any] = {"views": np.where(was, trained.views[at], 0.0)}
    for name in LAW:
        before = np.where(was, getattr(trained, name)[at], 0)
        columns[name] = np.where(getattr(put, name) == UNSAID, before, getattr(put, name))
    put = Documents(**vars(put) | columns)
    left = ~np.isin(trained.doc_id, np.concatenate([put.doc_id, shelf.gone]))
    documents = _stacked(_taken(trained, left), put)
    groups = copies(documents.fingerprint)
    return _limited(documents, groups, np.searchsorted(documents.doc_id, put.doc_id)), groups


def _limited(documents: Documents, groups: Ints, put: Ints) -> Documents:
    """Those at the indices `put` made as limited as the strictest of their copies."""
    law = {name: getattr(documents, name).copy() for name in LAW}
    for group in np.unique(groups[put][groups[put] >= 0]):
        these, mine = np.flatnonzero(groups == group), put[groups[put] == group]
        for name, strictest in LAW.items():
            law[name][mine] = strictest.reduce(getattr(documents, name)[these])
    return Documents(**vars(documents) | law)


def _taken(documents: Documents, which: Any) -> Documents:
    return Documents(**{name: column[which] for name, column in vars(documents).items()})


def _stacked(first: Documents, second: Documents) -> Documents:
    """By ascending id."""
    order = np.argsort(np.concatenate([first.doc_id, second.doc_id]), kind="stable")
    return Documents(
        **{name: np.concatenate([column, getattr(second, name)])[order] for name, column in vars(first).items()}
    )
