"""The event log: nothing acknowledged is lost, nothing is kept twice, a damaged log is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.contract import Event, Events
from common.errors import InputError
from common.events import concat, of, take
from common.lifecycle.log import HISTORY, TAIL, EventLog

KILLS = 4


def event(i: int, **changes: object) -> Event:
    base = Event(event_id=f"e{i}", kind="click", event_time=1_000 + i, keys={"user_id": i % 7}, values={"seconds": i})
    return replace(base, **changes)  # type: ignore[arg-type]


def same(a: Events, b: Events) -> bool:
    columns = zip((*_columns(a),), (*_columns(b),), strict=True)
    return (
        a.keys.keys() == b.keys.keys()
        and a.values.keys() == b.values.keys()
        and all(np.array_equal(x, y) for x, y in columns)
    )


def _columns(e: Events) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return [
        e.position,
        e.kind,
        e.event_time,
        e.moment,
        *(e.keys[k] for k in sorted(e.keys)),
        *(e.values[v] for v in sorted(e.values)),
    ]


def everything(log: EventLog) -> Events:
    return concat(list(log.scan()))


def test_scan_gives_back_history_and_tail_in_order_with_all_columns(tmp_path: Path) -> None:
    old = [event(i) for i in range(20)]
    new = [event(i, kind="hide", keys={"item_id": 3}, values={}, moment=i) for i in range(20, 30)]
    log = EventLog.create(tmp_path / "log", of(old))
    assert log.append(new).positions.tolist() == list(range(20, 30))
    assert same(everything(log), of([*old, *new]))
    for since, until in ((0, 5), (3, 25), (20, 20), (22, None), (40, None)):
        part = list(log.scan(since, until))
        assert (
            same(concat(part), take(of([*old, *new]), slice(since, until))) if part else since >= min(until or 30, 30)
        )
    assert all(set(stretch.keys) == {"user_id", "item_id"} for stretch in log.scan())
    assert log.end == 30


def test_reopening_goes_on_where_it_stopped(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log", of([event(0)]))
    log.append([event(1)])
    log.close()
    log = EventLog.open(tmp_path / "log")
    assert log.append([event(2), event(1)]).positions.tolist() == [2, 1]
    assert same(everything(log), of([event(0), event(1), event(2)]))


def test_an_event_id_is_kept_once_and_told_apart_from_a_new_one(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    first = log.append([event(0), event(1), event(0)])
    assert (first.positions.tolist(), first.is_new.tolist()) == ([0, 1, 0], [True, True, False])
    second = log.append([event(1, event_time=9_999), event(2)])
    assert (second.positions.tolist(), second.is_new.tolist()) == ([1, 2], [False, True])
    assert everything(log).event_time.tolist() == [1_000, 1_001, 1_002]


def test_find_gives_back_what_was_appended_in_the_order_asked(tmp_path: Path) -> None:
    """The history has no event_ids, so what stands there is not found, even under the id it came from."""
    log = EventLog.create(tmp_path / "log", of([event(0)]))
    odd = event(3, event_id='o"dd, \u00e9\u2028', keys={}, values={}, moment=2)
    log.append([event(1), event(2, moment=1), odd])
    assert log.find([odd.event_id, "e2", "e0", "", "e1", "e2"]) == [
        odd, event(2, moment=1), None, None, event(1), event(2, moment=1),
    ]  # fmt: skip
    assert log.find([]) == []
    reader = EventLog.open(tmp_path / "log", read_only=True)
    log.append([event(4)])
    assert reader.find(["e4", "e5"]) == [event(4), None]


def test_find_takes_more_ids_than_a_statement_has_parameters_and_asks_once(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    log.append([event(i) for i in range(100)])
    asked: list[str] = []
    log._tail._reader.set_trace_callback(asked.append)
    found = log.find([f"e{i}" for i in range(300_000)])
    assert len(asked) == 1
    assert [one for one in found if one is not None] == [event(i) for i in range(100)]


def test_of_many_that_append_the_same_event_at_once_one_is_told_it_was_new(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    begin = threading.Barrier(8)

    def append(_: int) -> list[list[bool]]:
        begin.wait(60)
        return [log.append([event(i), event(i)]).is_new.tolist() for i in range(20)]

    with ThreadPoolExecutor(8) as pool:
        told = np.array(list(pool.map(append, range(8))))  # [thread, event, first or second in its batch]
    assert told[:, :, 0].sum(axis=0).tolist() == [1] * 20
    assert not told[:, :, 1].any()
    assert log.end == 20


def test_an_event_id_with_other_content_is_refused_and_nothing_of_the_call_is_kept(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    log.append([event(0)])
    with pytest.raises(InputError, match="'e0' is in the log already with other content"):
        log.append([event(1), event(0, values={"seconds": 5})])
    with pytest.raises(InputError, match="'e3' is in the log already"):
        log.append([event(3), event(3, kind="hide")])
    assert log.end == 1
    assert log.append([event(1)]).positions.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event_time": -1}, "event_time is -1"),
        ({"keys": {"user_id": 2**63}}, "user_id is 9223372036854775808"),
        ({"values": {"seconds": 0.5}}, "seconds is 0.5"),
        ({"values": {"seconds": True}}, "seconds is True"),
        ({"event_id": ""}, "needs an event_id"),
    ],
)
def test_an_event_that_could_not_be_read_back_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    log = EventLog.create(tmp_path / "log")
    with pytest.raises(InputError, match=message):
        log.append([event(0, **changes)])
    assert log.end == 0


def test_appends_from_many_threads_share_commits_and_all_stand(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    begun: list[str] = []
    log._tail._writer.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
    with log._commit, ThreadPoolExecutor(16) as pool:  # held back, so that they do arrive together
        waiting = [pool.submit(log.append, [event(i), event(i + 1_000)]) for i in range(16)]
        while len(log._pending) < 16:
            pass
        log._commit.release()
        positions = [future.result().positions for future in waiting]
        log._commit.acquire()
    assert sorted(np.concatenate(positions).tolist()) == list(range(32))
    assert all(second == first + 1 for first, second in positions)
    assert len(begun) == 1
    assert everything(log).values["seconds"].tolist().count(3) == 1


def test_one_contradiction_does_not_fail_the_appends_it_shares_a_commit_with(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    log.append([event(0)])

    def outcome(batch: list[Event]) -> object:
        try:
            return log.append(batch).positions.tolist()
        except InputError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        batches = [[event(0, kind="hide")] if i % 2 else [event(i + 10)] for i in range(8)]
        outcomes = list(pool.map(outcome, batches))
    assert outcomes[1::2] == ["refused"] * 4
    assert sorted(position for (position,) in outcomes[::2]) == [1, 2, 3, 4]  # type: ignore[misc, has-type]


def test_one_writer_many_readers(tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log")
    with pytest.raises(InputError, match=f"being written by process {os.getpid()}"):
        EventLog.open(tmp_path / "log")
    reader = EventLog.open(tmp_path / "log", read_only=True)
    log.append([event(0)])
    assert reader.end == 1
    assert same(everything(reader), of([event(0)]))
    with pytest.raises(InputError, match="read_only"):
        reader.append([event(1)])
    log.close()
    EventLog.open(tmp_path / "log").close()


def test_a_log_is_never_created_over_another(tmp_path: Path) -> None:
    EventLog.create(tmp_path / "log", of([event(0)])).close()
    with pytest.raises(InputError, match="There is a log at"):
        EventLog.create(tmp_path / "log")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_history_with_holes_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="positions 0, 1, 2"):
        EventLog.create(tmp_path / "log", of([event(0)], start=5))
    assert list(tmp_path.iterdir()) == []


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(bytes(content))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", [HISTORY, TAIL])
@pytest.mark.parametrize("damage", [_tear, _empty, Path.unlink])
def test_a_damaged_or_missing_file_is_refused(name: str, damage: object, tmp_path: Path) -> None:
    log = EventLog.create(tmp_path / "log", of([event(i) for i in range(200)]))
    log.append([event(500)])
    log.close()
    damage(tmp_path / "log" / name)  # type: ignore[operator]
    with pytest.raises(InputError, match=str(tmp_path)):
        everything(EventLog.open(tmp_path / "log"))


def test_a_flipped_bit_in_the_history_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    EventLog.create(tmp_path / "log", of([event(i) for i in range(200)])).close()
    _flip(tmp_path / "log" / HISTORY)
    with pytest.raises(InputError, match=r"damaged|torn"):
        everything(EventLog.open(tmp_path / "log"))


def test_a_history_of_another_log_is_refused(tmp_path: Path) -> None:
    for name, length in (("a", 3), ("b", 4)):
        EventLog.create(tmp_path / name, of([event(i) for i in range(length)])).close()
    (tmp_path / "a" / HISTORY).write_bytes((tmp_path / "b" / HISTORY).read_bytes())
    with pytest.raises(InputError, match="do not belong together"):
        EventLog.open(tmp_path / "a")


WRITER = """
import sys
from pathlib import Path
from common.contract import Event
from common.lifecycle.log import EventLog
log = EventLog.open(Path(sys.argv[1]))
i = log.end
while True:
    batch = [Event(event_id=f"e{i + j}", kind="click", event_time=i, keys={"user_id": i + j}) for j in range(3)]
    i = int(log.append(batch).positions[-1]) + 1
    print(i, flush=True)
"""


@pytest.mark.slow
def test_kill_9_loses_no_acknowledged_event(tmp_path: Path) -> None:
    EventLog.create(tmp_path / "log").close()
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        acknowledged = 0
        for _ in range(10 + 30 * kill):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        acknowledged = int(rest[-1]) if rest else acknowledged
        log = EventLog.open(tmp_path / "log")
        assert log.end >= acknowledged
        assert everything(log).keys["user_id"].tolist() == list(range(log.end))
        log.close()
