"""Who comes alone goes alone and at once; who comes while a batch is under way goes with all who came meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from common.serving.batching import Batcher
from common.serving.deadline import Deadline, Fault, Stages


def at_once(ask: Callable[[int], object], requests: Sequence[int]) -> dict[int, object]:
    """Asks in a thread each; -> what each got, an answer or its exception."""
    got: dict[int, object] = {}

    def one(request: int) -> None:
        try:
            got[request] = ask(request)
        except ValueError as error:
            got[request] = error

    threads = [threading.Thread(target=one, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return got


class Slow:
    """Doubles; the first batch waits for `gate`, and every batch is noted."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, requests: Sequence[int]) -> list[int]:
        self.batches.append(list(requests))
        self.gate.wait(20)
        return [2 * request for request in requests]


def test_alone_it_goes_at_once() -> None:
    batches: list[int] = []

    def negative(some: Sequence[int]) -> list[int]:
        batches.append(len(some))
        return [-one for one in some]

    batcher = Batcher[int, int](negative, most=8, wait_ms=10_000)
    begin = time.perf_counter()
    assert [batcher.ask(at) for at in range(5)] == [0, -1, -2, -3, -4]
    assert batches == [1] * 5 and time.perf_counter() - begin < 5


def test_who_comes_meanwhile_goes_together_when_the_batch_ends() -> None:
    slow = Slow()
    batcher = Batcher[int, int](slow, most=100, wait_ms=20_000)
    first = threading.Thread(target=batcher.ask, args=(0,))
    first.start()
    while not slow.batches:
        time.sleep(0.001)
    threading.Timer(0.2, slow.gate.set).start()
    assert at_once(batcher.ask, range(1, 9)) == {at: 2 * at for at in range(1, 9)}
    first.join(20)
    assert slow.batches[0] == [0] and sorted(slow.batches[1]) == list(range(1, 9)) and len(slow.batches) == 2


def test_a_batch_that_hangs_holds_the_next_up_for_its_wait_alone() -> None:
    slow = Slow()
    batcher = Batcher[int, int](slow, most=100, wait_ms=5)
    threads = [threading.Thread(target=batcher.ask, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    assert len(slow.batches) == 2, "the second did not wait for the first to end"
    slow.gate.set()
    for thread in threads:
        thread.join(20)


def test_a_full_batch_leaves_before_its_time() -> None:
    slow = Slow()
    batcher = Batcher[int, int](slow, most=3, wait_ms=20_000)
    threads = [threading.Thread(target=batcher.ask, args=(at,)) for at in range(4)]
    threads[0].start()
    while not slow.batches:
        time.sleep(0.001)
    for thread in threads[1:]:
        thread.start()
    end = time.monotonic() + 10
    while len(slow.batches) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    assert len(slow.batches[1]) == 3
    slow.gate.set()
    for thread in threads:
        thread.join(20)


def test_an_error_reaches_all_who_asked_and_the_next_are_answered() -> None:
    def fails(some: Sequence[int]) -> list[int]:
        if -1 in some:
            raise ValueError("no")
        return list(some)

    batcher = Batcher[int, int](fails, most=8, wait_ms=1)
    with pytest.raises(ValueError, match="no"):
        batcher.ask(-1)
    assert at_once(batcher.ask, range(30)) == {at: at for at in range(30)}
    with pytest.raises(ValueError, match="shorter"):
        Batcher[int, int](lambda some: [], most=1, wait_ms=1).ask(1)  # fewer answers than requests are no answer


def test_a_deadline_takes_what_happened_to_those_it_went_with() -> None:
    stages = Stages({"a": 1_000.0, "b": 1_000.0})
    stages.faults["b"] = Fault("fail")
    early = Deadline(10_000)
    time.sleep(0.03)
    shared = Deadline(10_000)
    stages.run("a", shared, int, int)
    stages.run("b", shared, int, int)
    early.take(shared)
    ours, theirs = early.timings().stages, shared.timings().stages
    assert [stage.name for stage in ours] == ["a", "b"] and early.degraded == ["b"]
    for mine, other in zip(ours, theirs, strict=True):
        assert (
            mine.start - other.start == pytest.approx(mine.end - other.end, abs=0.01) and mine.start - other.start >= 29
        )
    stages.close()
