"""What one answer knows of the items: a change bars at once, what it brings comes when it is built, and failures bring nothing back."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydantic import ConfigDict

from common.lifecycle.items import ItemStore
from common.serving.current import ITEMS, Current, Held
from common.serving.deadline import Deadline, Fault, Stages

Books = Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class Item:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    book_id: int
    title: str


def body(book_id: int, title: str = "new") -> bytes:
    return f'{{"book_id": {book_id}, "title": "{title}"}}'.encode()


def changed(books: Books, changes: Mapping[int, Item | None]) -> Books:
    put = {book: item.title for book, item in changes.items() if item is not None}
    return {book: title for book, title in books.items() if book not in changes} | put


class Shop:
    """A Current whose builder can be held, and a door to it."""

    def __init__(self, path: Path, trained: Books) -> None:
        self.store, self.go, self.calls = ItemStore(path), threading.Event(), 0
        self.error: Exception | None = None
        self.go.set()
        self.stages = Stages({ITEMS: 10_000.0})
        self.current = Current(self.store, Item, trained, self.follow)

    def follow(self, books: Books, changes: Mapping[int, Item | None]) -> Books:
        self.go.wait(30)
        self.calls += 1
        if self.error:
            raise self.error
        return changed(books, changes)

    def now(self) -> Held[Books]:
        self.deadline = Deadline(20_000.0)
        return self.current.now(self.stages, self.deadline)

    def shown(self) -> dict[int, str]:
        held = self.now()
        ids = np.array(sorted(held.known), dtype=np.int64)
        return {book: held.known[book] for book in ids[~held.gone(ids)].tolist()}

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.005)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "items.sqlite", {1: "old", 2: "old"})
    yield made
    made.go.set()
    made.store.close()
    made.stages.close()


def test_a_change_bars_at_once_and_brings_what_it_brings_when_it_is_built(shop: Shop) -> None:
    shop.go.clear()
    shop.store.delete([1], 0)
    assert shop.shown() == {2: "old"}
    shop.store.put({2: body(2), 3: body(3)}, 0)
    assert shop.shown() == {}, "an item is never shown as it was before its change"
    shop.store.put({1: body(1)}, 0)
    assert shop.shown() == {}, "put again is not shown as it was before the delete"
    before = shop.now()
    shop.go.set()
    shop.until(lambda: shop.shown() == {1: "new", 2: "new", 3: "new"})
    assert before.known == {1: "old", 2: "old"} and before.barred.tolist() == [1, 2, 3], "what an answer holds stays"


def test_another_process_is_heard_at_the_next_answer_and_its_puts_without_one(shop: Shop, tmp_path: Path) -> None:
    other = ItemStore(tmp_path / "items.sqlite")
    other.delete([1], 0)
    assert shop.shown() == {2: "old"}
    calls = shop.calls
    other.put({4: body(4)}, 0)
    shop.until(lambda: shop.calls > calls)
    shop.until(lambda: shop.current._built.version == 2)
    assert shop.shown() == {2: "old", 4: "new"}
    other.close()


@pytest.mark.parametrize("kind", ["fail", "hang"])
def test_items_that_cannot_be_looked_up_leave_gone_what_this_process_deleted(shop: Shop, kind: str) -> None:
    shop.stages.limits_ms[ITEMS] = 50.0
    shop.stages.faults[ITEMS] = Fault(kind)
    shop.store.delete([1], 0)
    assert shop.shown() == {2: "old"} and shop.deadline.degraded == [ITEMS]
    del shop.stages.faults[ITEMS]


def test_what_cannot_be_taken_in_is_said_and_stays_barred_until_it_can(shop: Shop) -> None:
    shop.error = RuntimeError("planted")
    shop.store.put({2: body(2)}, 0)
    shop.until(lambda: shop.current._failed)
    assert shop.shown() == {1: "old"} and shop.deadline.degraded == [ITEMS]
    shop.error = None
    shop.until(lambda: shop.shown() == {1: "old", 2: "new"})
    assert shop.now() and shop.deadline.degraded == []


def test_a_body_of_other_code_is_left_out_and_what_it_replaced_with_it(shop: Shop) -> None:
    shop.store.put({1: b'{"book_id": 1, "colour": 7}', 3: body(3)}, 0)
    shop.until(lambda: 3 in shop.shown())
    assert shop.shown() == {2: "old", 3: "new"} and shop.now().barred.tolist() == [1]
    shop.store.put({1: body(1)}, 0)
    shop.until(lambda: shop.shown() == {1: "new", 2: "old", 3: "new"})


def test_who_starts_later_knows_everything_from_its_first_answer(shop: Shop, tmp_path: Path) -> None:
    shop.store.delete([1], 0)
    shop.store.put({3: body(3)}, 0)
    later = Shop(tmp_path / "items.sqlite", {1: "trained again", 2: "trained again"})
    assert later.shown() == {2: "trained again", 3: "new"}
    later.store.close()


@pytest.mark.parametrize("seed", range(5))
def test_any_history_shows_what_a_dict_would_show(tmp_path: Path, seed: int) -> None:
    """Between changes some are taken in; nothing older than the last change of an item is ever shown, and all of it in the end."""
    rng, truth = np.random.default_rng(seed), dict.fromkeys(range(3), "old")
    shop = Shop(tmp_path / "items.sqlite", dict(truth))
    for step in range(60):
        ids = rng.permutation(6)[:2].tolist()
        if rng.random() < 0.5:
            shop.store.delete(ids, 0)
            truth = {book: title for book, title in truth.items() if book not in ids}
        else:
            shop.store.put({book: body(book, f"t{step}") for book in ids}, 0)
            truth |= dict.fromkeys(ids, f"t{step}")
        assert shop.shown().items() <= truth.items()
        if rng.random() < 0.3:
            shop.current.catch_up()
            assert shop.shown() == truth
    shop.store.close()


def test_gone_asks_of_any_shape_and_never_of_padding() -> None:
    held = Held(None, np.array([3, 7]))
    assert held.gone(np.array([[7, -1], [4, 3]])).tolist() == [[True, False], [False, True]]
    assert not Held(None, np.empty(0, dtype=np.int64)).gone(np.array([1, -1])).any()


def test_a_service_that_is_swapped_out_takes_its_thread_along(tmp_path: Path) -> None:
    store = ItemStore(tmp_path / "items.sqlite")
    others = set(threading.enumerate())
    nothing: Books = {}
    current = Current(store, Item, nothing, changed)
    (thread,) = (thread for thread in set(threading.enumerate()) - others if thread.name == ITEMS)
    seen = weakref.ref(current)
    del current
    gc.collect()
    thread.join(20)
    assert not thread.is_alive() and seen() is None
    store.close()
