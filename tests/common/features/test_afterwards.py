"""Writes beside the answering thread: in order, waited for by who reads next, and by nobody for ever."""

from __future__ import annotations

import logging
import threading

import pytest

from common.features.afterwards import Afterwards


def test_calls_run_in_order_and_a_waiter_sees_all_that_were_asked_for_before() -> None:
    done: list[int] = []
    ours = Afterwards()
    gate = threading.Event()
    ours.do(gate.wait)
    for number in range(50):
        ours.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert not ours.wait(0.01) and done == [], "the first one hangs: nobody got past it"
    gate.set()
    assert ours.wait() and done == list(range(50))
    ours.close()


def test_who_waits_does_not_wait_for_what_comes_later() -> None:
    ours, gate = Afterwards(), threading.Event()
    ours.do(lambda: None)
    assert ours.wait(10)
    waited: list[bool] = []
    ours.do(lambda: None)
    thread = threading.Thread(target=lambda: waited.append(ours.wait(10)))
    thread.start()
    ours.do(gate.wait)
    thread.join(10)
    assert waited == [True]
    gate.set()
    ours.close()


def test_a_call_that_fails_is_logged_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    ours = Afterwards()
    with caplog.at_level(logging.ERROR):
        ours.do(lambda: 1 / 0)
        assert ours.wait(10)
    assert "nobody waited for failed" in caplog.text
    ours.close()


def test_after_the_end_nothing_is_done_and_nobody_waits() -> None:
    done: list[int] = []
    ours = Afterwards()
    ours.do(lambda: done.append(1))
    ours.close()
    ours.do(lambda: done.append(2))
    assert ours.wait(0) and done == [1]


def test_its_thread_goes_when_it_goes() -> None:
    ours = Afterwards()
    ours.do(lambda: None)
    ours.wait()
    thread = ours._state.thread
    assert thread is not None and thread.is_alive()
    del ours
    thread.join(10)
    assert not thread.is_alive()
