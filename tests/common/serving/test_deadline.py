"""Slow, busy, failing and hanging stages: each a labelled loss of quality inside the deadline, and never an error.

Limits here are generous and structure is asserted, not speed: a stage that must miss never ends by itself within the test.
"""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from common.errors import InputError
from common.serving.deadline import FAULTS, Deadline, Fault, Stages
from common.serving.fallback import LAST, ladder
from common.serving.lanes import Call, Threads

LONG = 60_000.0  # ms: longer than any machine takes for nothing
SHORT = 150.0  # ms: longer than a thread takes to start, shorter than any fault here lasts


@pytest.fixture
def stages() -> Iterator[Stages]:
    made = Stages({"score": SHORT, "rules": LONG})
    yield made
    made.close()


def statuses(deadline: Deadline) -> list[str]:
    return [timing.status for timing in deadline.timings().stages]


def ask(stages: Stages, name: str = "score") -> tuple[str, str]:
    deadline = Deadline(LONG)
    answer = stages.run(name, deadline, lambda: "model", lambda: "fallback")
    return answer, statuses(deadline)[0]


def test_a_stage_in_time_is_ok_and_timed(stages: Stages) -> None:
    deadline = Deadline(LONG)
    assert stages.run("rules", deadline, lambda: 1, lambda: 2) == 1
    timings = deadline.timings()
    assert [(one.name, one.status) for one in timings.stages] == [("rules", "ok")]
    assert 0 <= timings.stages[0].start <= timings.stages[0].end <= timings.total
    assert deadline.degraded == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault("slow", LONG), "late"), (Fault("hang"), "late"), (Fault("busy", 1000), "late"), (Fault("fail"), "failed")],
)
def test_each_fault_is_a_labelled_fallback_inside_the_deadline(stages: Stages, fault: Fault, status: str) -> None:
    stages.faults["score"] = fault
    stages.limits_ms["score"] = LONG if fault.kind == "fail" else SHORT
    deadline = Deadline(20_000)
    assert stages.run("score", deadline, lambda: "model", lambda: "fallback") == "fallback"
    assert stages.run("rules", deadline, lambda: "rules", lambda: "none") == "rules", "the other stages go on"
    assert statuses(deadline) == [status, "ok"]
    assert deadline.degraded == ["score"]
    assert deadline.left_ms() > 0


def test_without_the_fault_nothing_is_degraded(stages: Stages) -> None:
    """Negative control of the test above."""
    assert ask(stages, "rules") == ("model", "ok")


def test_a_third_call_is_not_started_while_two_hang(stages: Stages) -> None:
    stages.faults["score"] = Fault("hang")
    assert [ask(stages)[1] for _ in range(4)] == ["late", "late", "busy", "busy"]
    assert sum(thread.name == "stage" for thread in threading.enumerate()) >= 2


def test_hanging_calls_are_let_go_when_the_drill_ends(stages: Stages) -> None:
    stages.faults["score"] = Fault("hang")
    assert [ask(stages)[1] for _ in range(3)] == ["late", "late", "busy"]
    stages.faults.clear()
    stages.limits_ms["score"] = LONG
    until = time.monotonic() + 30
    while (seen := ask(stages)[1]) == "busy" and time.monotonic() < until:
        time.sleep(0.01)
    assert seen == "ok"


def test_a_call_waits_its_turn_while_the_two_before_it_are_in_time(stages: Stages) -> None:
    go, both_in = threading.Event(), threading.Barrier(3)
    asked: list[tuple[str, str]] = []

    def wait() -> str:
        both_in.wait(30)
        go.wait(30)
        return "model"

    def run() -> None:
        deadline = Deadline(LONG)
        asked.append((stages.run("rules", deadline, wait, lambda: "fallback"), statuses(deadline)[0]))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    both_in.wait(30)
    third = threading.Thread(target=lambda: asked.append(ask(stages, "rules")))
    third.start()
    assert asked == []
    go.set()
    for thread in [*threads, third]:
        thread.join(30)
    assert asked == [("model", "ok")] * 3


def test_a_call_whose_turn_never_comes_is_busy_and_never_run() -> None:
    stages = Stages({"score": 500.0})
    go, started = threading.Event(), threading.Barrier(3)

    def block() -> None:
        started.wait(30)
        go.wait(30)

    for _ in range(2):
        threading.Thread(target=lambda: stages.run("score", Deadline(LONG), block, lambda: None), daemon=True).start()
    started.wait(30)
    ran: list[int] = []
    deadline = Deadline(100)
    stages.run("score", deadline, lambda: ran.append(1), lambda: None)
    assert statuses(deadline) == ["busy"]
    go.set()
    stages.limits_ms["score"] = LONG
    assert ask(stages)[1] == "ok"
    assert ran == []
    stages.close()


def test_five_misses_open_the_breaker_and_one_answer_after_a_second_closes_it(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("common.serving.deadline.time.monotonic", lambda: clock[0])
    stages.limits_ms["score"] = LONG
    stages.faults["score"] = Fault("fail")
    assert [ask(stages)[1] for _ in range(7)] == ["failed"] * 5 + ["open"] * 2
    clock[0] += 1.5
    assert [ask(stages)[1] for _ in range(2)] == ["failed", "open"], "half open: one more miss opens it again"
    clock[0] += 1.5
    stages.faults.clear()
    assert ask(stages) == ("model", "ok")
    stages.faults["score"] = Fault("fail")
    assert [ask(stages)[1] for _ in range(2)] == ["failed"] * 2, "closed: the count starts anew"


def test_no_time_left_is_cut_and_not_started(stages: Stages) -> None:
    ran: list[int] = []
    deadline = Deadline(0.0)
    stages.run("rules", deadline, lambda: ran.append(1), lambda: None)
    assert (statuses(deadline), ran) == (["cut"], [])


def test_the_deadline_cuts_a_stage_whose_own_limit_is_longer(stages: Stages) -> None:
    stages.faults["rules"] = Fault("hang")
    deadline = Deadline(50)
    assert stages.run("rules", deadline, lambda: 1, lambda: 0) == 0
    assert statuses(deadline) == ["late"]


def test_side_by_side_keeps_those_that_came(stages: Stages) -> None:
    stages = Stages({"follow": LONG, "tower": LONG, "trend": SHORT})
    stages.faults["trend"] = Fault("hang")
    met = threading.Barrier(2)  # both calls are in their threads at once, or it breaks

    def meet(name: str) -> str:
        met.wait(30)
        return name

    deadline = Deadline(LONG)
    came = stages.side_by_side(
        deadline, {"tower": lambda: meet("tower"), "trend": lambda: "trend", "follow": lambda: meet("follow")}
    )
    assert list(came.items()) == [("tower", "tower"), ("follow", "follow")]
    assert statuses(deadline) == ["ok", "late", "ok"]
    assert deadline.degraded == ["trend"]
    stages.close()


def test_quick_stages_share_a_thread_and_a_slow_one_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(dict.fromkeys("abc", LONG))
    monkeypatch.setattr("common.serving.deadline.QUICK_MS", LONG)
    who = stages.side_by_side(Deadline(LONG), dict.fromkeys("abc", threading.get_ident))
    assert len(set(who.values())) == 1
    monkeypatch.setattr("common.serving.deadline.QUICK_MS", 1.0)
    go = threading.Event()

    def waits() -> int:
        assert go.wait(30)  # for the last of those behind it
        return threading.get_ident()

    def opens() -> int:
        go.set()
        return 0

    who = stages.side_by_side(Deadline(LONG), {"a": waits, "b": threading.get_ident, "c": opens})
    assert len(who) == 3 and who["a"] != who["b"]
    stages.close()


def test_those_behind_a_stage_that_never_ends_are_in_time() -> None:
    stages = Stages({"hangs": LONG, **dict.fromkeys("abcdef", LONG)})
    stages.limits_ms["hangs"] = SHORT
    stages.faults["hangs"] = Fault("hang")
    for expected in ("late", "late", "busy"):
        deadline = Deadline(LONG)
        stages.side_by_side(deadline, dict.fromkeys(stages.limits_ms, lambda: 1))
        assert statuses(deadline) == [expected, *["ok"] * 6]
    stages.close()


def test_many_answers_at_once_get_what_is_theirs() -> None:
    stages = Stages(dict.fromkeys("abcd", LONG))
    wrong: list[object] = []

    def answer(number: int) -> None:
        for step in range(200):
            calls = {name: (lambda name=name, step=step: (number, step, name)) for name in "abcd"}
            came = stages.side_by_side(Deadline(LONG), calls)
            wrong.extend(got for name, got in came.items() if got != (number, step, name))
            wrong.extend([None] * (len(came) < 4))

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    stages.close()


def test_an_exception_is_logged_once_a_second_with_its_traceback(
    stages: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise KeyError("a mistake")

    stages.limits_ms["score"] = LONG
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert stages.run("score", Deadline(LONG), fail, lambda: "fallback") == "fallback"
    assert 1 <= len(caplog.records) < 3
    assert "a mistake" in caplog.text


def test_degraded_names_each_stage_once_in_order() -> None:
    deadline = Deadline(10)
    deadline.degrade("user", "cold")
    deadline.degrade("model", "fallback")
    deadline.degrade("user", "unknown")
    assert deadline.degraded == ["user", "model"]


def test_an_unknown_fault_and_an_unknown_stage_are_named(stages: Stages) -> None:
    with pytest.raises(InputError, match="Did you mean 'slow'"):
        Fault("slo")
    with pytest.raises(AssertionError, match="no limit"):
        ask(stages, "nowhere")
    assert set(FAULTS) == {"slow", "busy", "fail", "hang"}


def test_after_close_every_stage_is_open(stages: Stages) -> None:
    stages.close()
    assert ask(stages) == ("fallback", "open")


def test_stages_nobody_holds_any_more_end_their_threads() -> None:
    others = set(threading.enumerate())
    stages = Stages({"swapped_out": LONG})
    ask(stages, "swapped_out")
    threads = [thread for thread in set(threading.enumerate()) - others if thread.name == "stage"]
    assert len(threads) == 1
    del stages
    gc.collect()
    threads[0].join(30)
    assert not threads[0].is_alive()


def test_the_collector_may_close_the_threads_in_the_midst_of_their_work() -> None:
    """Services are swapped out as garbage: the collector closes their threads from whatever line allocates next, one of their own included."""

    def collected(frame: Any, event: str, _: Any) -> Any:
        threads.close()
        return collected

    threads = Threads()

    def work() -> None:
        box: SimpleQueue[deque[Call] | None] = SimpleQueue()
        box.put(deque())
        sys.settrace(collected)
        threads.work_on(deque())
        threads.close()
        threads._work(box)
        sys.settrace(None)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(30)
    assert not worker.is_alive()


def test_a_hanging_stage_does_not_keep_the_process_alive() -> None:
    code = (
        "import time; from common.serving.deadline import Deadline, Stages\n"
        "s = Stages({'a': 20.0}); s.run('a', Deadline(100), lambda: time.sleep(3600), lambda: None); print('ended')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "ended\n"


def test_the_ladder_takes_the_best_rung_that_answers(stages: Stages) -> None:
    rungs = {"score": lambda: "model", "rules": lambda: "baseline"}
    assert ladder(stages, Deadline(LONG), {"rules": lambda: "baseline"}, lambda: "rate") == ("rules", "baseline")
    stages.faults["score"] = Fault("fail")
    deadline = Deadline(LONG)
    assert ladder(stages, deadline, rungs, lambda: "rate") == ("rules", "baseline")
    assert deadline.degraded == ["score"]
    stages.faults["rules"] = Fault("fail")
    deadline = Deadline(LONG)
    assert ladder(stages, deadline, rungs, lambda: "rate") == (LAST, "rate")
    assert deadline.degraded == ["score", "rules"]
