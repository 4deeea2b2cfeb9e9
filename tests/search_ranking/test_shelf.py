"""Documents put and deleted while the case is served: what is joined is what a catalogue made anew would say, however it came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from common.contract import Ints
from common.features.copies import copies
from search_ranking.features import shelf
from search_ranking.features.documents import Documents, Names, described, encoded
from search_ranking.schema import Catalog, Item

WORDS = ("lamp", "lamps", "oak", "tea", "pot", "red", "old", "how", "to", "fix")


def drawn(rng: np.random.Generator, doc_id: int, **changed: Any) -> Item:
    def text(n: int) -> str:
        return " ".join(rng.choice(WORDS, n))

    said: dict[str, Any] = {
        "doc_id": doc_id, "title": text(4), "description": text(9), "tags": text(2), "topic": str(rng.choice(["home", "food"])),
        "language": str(rng.choice(["en", "de"])), "channel_id": int(rng.integers(9)), "uploaded": int(rng.integers(10**9)),
        "length_seconds": int(rng.integers(1_000)), "explicit": False, "min_age": int(rng.choice([0, 18])), "barred_in": 0,
    }  # fmt: skip
    return Item(**said | changed)


def trained(rng: np.random.Generator, n: int, **changed: Any) -> tuple[list[Item], Documents, Names]:
    items = [drawn(rng, 2 * at, **changed) for at in range(n)]
    return items, *described(shelf.listed(items))


def joined(documents: Documents, kept: shelf.Shelf) -> tuple[Documents, Ints]:
    return shelf.joined(documents, copies(documents.fingerprint), kept)


def same(one: Documents, other: Documents, *but: str) -> bool:
    return all(np.array_equal(column, getattr(other, name)) for name, column in vars(one).items() if name not in but)


@pytest.mark.slow
def test_joined_is_a_catalogue_made_anew_whatever_came_in_whatever_order() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        items, documents, names = trained(rng, 30)
        there: dict[int, Item] = {item.doc_id: item for item in items}
        kept = shelf.empty(names)
        for _ in range(12):
            changes: dict[int, Item | None] = {
                doc_id: drawn(rng, doc_id) if rng.random() < 0.6 else None
                for doc_id in rng.choice(80, 3, replace=False).tolist()
            }
            kept = kept.after(changes, names)
            there = {doc_id: item for doc_id, item in (there | changes).items() if item is not None}
            now, _ = joined(documents, kept)
            assert same(now, encoded(shelf.listed(list(there.values())), names))
        late = {doc_id: item.title for doc_id, item in there.items() if item not in items}
        assert kept.title == late


def test_what_is_known_does_not_depend_on_how_it_came() -> None:
    """After a restart only the last of each document is read."""
    rng = np.random.default_rng(3)
    _, documents, names = trained(rng, 10, explicit=True)
    first, last = drawn(rng, 4, explicit=False), drawn(rng, 4, explicit=None)
    twice = shelf.empty(names).after({4: first}, names).after({4: last}, names)
    once = shelf.empty(names).after({4: last}, names)
    assert same(joined(documents, twice)[0], joined(documents, once)[0])


def test_who_may_see_it_is_as_said_else_as_it_was() -> None:
    rng = np.random.default_rng(4)
    _, documents, names = trained(rng, 10, min_age=18)
    kept = shelf.empty(names)
    changes: Mapping[int, Item | None] = {
        2: drawn(rng, 2, min_age=None), 4: drawn(rng, 4, min_age=0), 5: drawn(rng, 5, min_age=None),
    }  # fmt: skip
    now, _ = joined(documents, kept.after(changes, names))
    assert limits(now, [2, 4, 5, 6]) == [18, 0, 0, 18]


def limits(documents: Documents, ids: list[int]) -> list[int]:
    return [int(age) for age in documents.min_age[np.searchsorted(documents.doc_id, ids)]]


def test_a_copy_is_never_less_limited_than_what_it_is_a_copy_of() -> None:
    rng, print_ = np.random.default_rng(5), 0b1011 << 30
    items, _, _ = trained(rng, 10)
    items[3] = drawn(rng, 6, min_age=18, explicit=True, barred_in=5, fingerprint=print_)
    documents, names = described(shelf.listed(items))
    changes: Mapping[int, Item | None] = {
        101: drawn(rng, 101, min_age=0, barred_in=2, fingerprint=print_ ^ 1),  # one bit apart: a copy
        103: drawn(rng, 103, min_age=0, fingerprint=1 << 20),
    }
    now, groups = joined(documents, shelf.empty(names).after(changes, names))
    at = np.searchsorted(now.doc_id, [6, 101, 103])
    assert now.min_age[at].tolist() == [18, 18, 0] and now.explicit[at].tolist() == [1, 1, 0]
    assert now.barred_in[at].tolist() == [5, 7, 0]
    assert groups[at[0]] == groups[at[1]] >= 0 and groups[at[2]] == -1


def near(rng: np.random.Generator, prints: list[int]) -> int:
    return prints[rng.integers(len(prints))] ^ (1 << int(rng.integers(52)))


def test_copies_are_those_of_all_compared_with_all() -> None:
    """As long as nothing that joined two of them was deleted: then they stay together."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        prints = [int(print_) for print_ in rng.integers(1, 2**52, 4)]

        items = [drawn(rng, 2 * at, fingerprint=near(rng, prints) if rng.random() < 0.5 else 0) for at in range(20)]
        documents, names = described(shelf.listed(items))
        changes: dict[int, Item | None] = {
            int(at): drawn(rng, int(at), fingerprint=near(rng, prints)) for at in rng.choice(80, 6, replace=False)
        }
        now, groups = joined(documents, shelf.empty(names).after(changes, names))
        expected = copies(now.fingerprint)
        pairs = [(name[:, None] == name) & (name >= 0)[:, None] for name in (groups, expected)]
        apart = ~np.eye(len(groups), dtype=bool)
        assert np.array_equal(pairs[0] & apart, pairs[1] & apart), "a copy alone has none"


def test_a_document_of_training_keeps_its_views() -> None:
    rng = np.random.default_rng(6)
    items, _, _ = trained(rng, 5)
    catalog = shelf.listed(items)
    views: Ints = np.arange(5) * 100
    catalog = Catalog(**vars(catalog) | {"numbers": {**catalog.numbers, "views": views.astype(float)}})
    documents, names = described(catalog)
    now, _ = joined(documents, shelf.empty(names).after({4: drawn(rng, 4), 5: drawn(rng, 5)}, names))
    assert np.allclose(np.expm1(now.views), [0, 100, 200, 0, 300, 400])
