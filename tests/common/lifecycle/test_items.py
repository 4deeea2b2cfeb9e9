"""Items on disk: what was acknowledged is there, whoever wrote it and however it ended; a reader is told exactly what it lacks."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError, NotReady
from common.lifecycle import items
from common.lifecycle.items import Change, ItemStore

KILLED = """
import os, signal, sys
from pathlib import Path
from common.lifecycle.items import ItemStore

store = ItemStore(Path(sys.argv[1]))
store.put({1: b"1", 2: b"2"}, 0)
store.delete([2, 3], 0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case" / "items.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[ItemStore]:
    made = ItemStore(path)
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(5))
def test_any_history_is_told_as_a_dict_would(path: Path, seed: int) -> None:
    """Random puts and deletes by two that share the file, opened anew now and then; the oracle keeps the last change of each item."""
    rng = np.random.default_rng(seed)
    stores, oracle, version = [ItemStore(path), ItemStore(path)], dict[int, Change](), 0
    for step in range(120):
        at = int(rng.integers(2))
        ids = rng.permutation(8)[: rng.integers(1, 4)].tolist()
        is_put = rng.random() < 0.5
        body = str(step).encode() if is_put else None
        wrote = stores[at].put(dict.fromkeys(ids, body), step) if body else stores[at].delete(ids, step)
        for item_id in ids:
            version += 1
            oracle[item_id] = Change(item_id=item_id, version=version, body=body)
        assert wrote == version
        if rng.random() < 0.1:
            stores[at].close()
            stores[at] = ItemStore(path)
        after = int(rng.integers(version + 1))
        due = sorted((one for one in oracle.values() if one.version > after), key=lambda one: one.version)
        for reader in stores:
            known = reader.look()
            assert reader.changes(after) == due and known.version == version
            barred = sorted(one.item_id for one in oracle.values() if one.body is None or one.version > after)
            assert known.barred(after).tolist() == barred
    for one in stores:
        one.close()


def test_own_changes_are_known_on_return_and_those_of_others_at_the_next_look(path: Path, store: ItemStore) -> None:
    other = ItemStore(path)
    store.delete([5], 0)
    assert store.known.barred(0).tolist() == [5]
    assert store.still() is store.known
    assert other.known.barred(0).tolist() == [] and other.still() is None  # the control: a look is needed
    assert other.look().barred(0).tolist() == [5]
    assert other.look() is other.look() is other.still()  # and reads nothing where nothing moved
    other.close()


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert ran.returncode == -signal.SIGKILL
    store = ItemStore(path)
    assert [(one.item_id, one.body) for one in store.changes(0)] == [(1, b"1"), (2, None), (3, None)]
    (synchronous,) = store._writer.execute("PRAGMA synchronous").fetchone()
    assert synchronous == 2, "FULL: a power cut too"
    store.close()


def test_a_batch_that_fails_in_its_middle_leaves_nothing(store: ItemStore) -> None:
    store.put({1: b"a"}, 0)
    bad: dict[int, bytes] = {2: b"b", 3: object()}  # type: ignore[dict-item]
    with pytest.raises(NotReady, match="could not be written"):
        store.put(bad, 0)
    assert [one.item_id for one in store.changes(0)] == [1] and store.look().version == 1
    assert store.put({4: b"d"}, 0) == 2  # and the next one goes on


def test_another_writer_is_waited_for_and_then_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "WAIT_SECONDS", 0.05)
    store, other = ItemStore(path), sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotReady, match="Send them again"):
        store.delete([1], 0)
    assert store.look().version == 0, "a delete that was not acknowledged is not half there"
    other.execute("ROLLBACK")
    assert store.delete([1], 0) == 1
    other.close()
    store.close()


@pytest.mark.parametrize("schema", [None, 99])
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, schema: int | None) -> None:
    path.parent.mkdir()
    if schema is None:
        path.write_bytes(b"these are no items" * 100)
    else:
        with sqlite3.connect(path) as made:
            made.execute(f"PRAGMA user_version = {schema}")
        made.close()
    before = path.read_bytes() if schema is None else None
    with pytest.raises(InputError, match="does not hold the items"):
        ItemStore(path)
    assert before is None or path.read_bytes() == before


def test_whether_there_is_more_is_not_waited_for(store: ItemStore) -> None:
    with store._looking:  # a look that hangs
        assert store.still() is None
    assert store.still() is store.known
    store.close()
    assert store.still() is None


def test_waiting_ends_with_a_change_or_with_the_store(store: ItemStore) -> None:
    store.put({1: b"a"}, 0)
    store.wait(0, 60)
    store.close()
    store.wait(10, 60)
