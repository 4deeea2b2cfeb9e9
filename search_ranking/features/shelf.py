"""Documents put while the case is served, beside those of training: read once each, and joined to the catalogue at every change.

Always joined to the catalogue as it was in training, so that what is known is a function of what was put last of each document, and the same
after a restart. One change copies every column: a tenth of a second at fifty thousand documents and some seconds at a million, beside the
answers and never under one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from common.contract import Ints
from common.features.copies import regrouped
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
        documents = _stacked(self.documents, np.flatnonzero(left), encoded(put, names))
        return Shelf(documents, title, gone.astype(np.int64))


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


def joined(trained: Documents, group: Ints, shelf: Shelf) -> tuple[Documents, Ints]:
    """`group` = copies(trained.fingerprint) -> the documents there are, by ascending id, and [n] which of them are copies of each other. One of
    training that was put anew keeps its views; who may see it is as it is said, else as it was, and never less limited than a copy of it: the
    law is of what is seen and heard."""
    put = shelf.documents
    at = np.minimum(np.searchsorted(trained.doc_id, put.doc_id), len(trained.doc_id) - 1)
    was = np.where(trained.doc_id[at] == put.doc_id, at, -1)
    put = _as_it_was(put, trained, was)
    left = np.flatnonzero(~np.isin(trained.doc_id, np.concatenate([put.doc_id, shelf.gone])))
    documents = _stacked(trained, left, put)
    groups = _one(*regrouped(group, trained.fingerprint, put.fingerprint, was), _order(trained, left, put))
    return _limited(documents, groups, np.searchsorted(documents.doc_id, put.doc_id)), groups


def _as_it_was(put: Documents, trained: Documents, was: Ints) -> Documents:
    columns: dict[str, Any] = {"views": np.where(was >= 0, trained.views[was], 0.0)}
    for name in LAW:
        before = np.where(was >= 0, getattr(trained, name)[was], 0)
        columns[name] = np.where(getattr(put, name) == UNSAID, before, getattr(put, name))
    return Documents(**vars(put) | columns)


def _limited(documents: Documents, groups: Ints, put: Ints) -> Documents:
    """Those at the indices `put` made as limited as the strictest of their copies."""
    law = {name: getattr(documents, name).copy() for name in LAW}
    for group in np.unique(groups[put][groups[put] >= 0]):
        these, mine = np.flatnonzero(groups == group), put[groups[put] == group]
        for name, strictest in LAW.items():
            law[name][mine] = strictest.reduce(getattr(documents, name)[these])
    return Documents(**vars(documents) | law)


def _stacked(first: Documents, left: Ints, second: Documents) -> Documents:
    """Those of the first at the indices `left`, and all of the second, by ascending id."""
    order = _order(first, left, second)
    return Documents(**{name: _one(column, getattr(second, name), order) for name, column in vars(first).items()})


def _order(first: Documents, left: Ints, second: Documents) -> Ints:
    """Where each comes from: an index of the first or, counted on from there, of the second."""
    came = np.concatenate([left, len(first.doc_id) + np.arange(len(second.doc_id))])
    return came[np.argsort(np.concatenate([first.doc_id[left], second.doc_id]), kind="stable")]


def _one(first: Any, second: Any, order: Ints) -> Any:
    """Each row is copied once: of a million documents the columns are half a gigabyte."""
    late = order >= len(first)
    if not len(first):
        return second[order]
    rows = first[np.where(late, 0, order)]
    rows[late] = second[order[late] - len(first)]
    return rows
