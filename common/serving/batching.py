"""Dynamic batching: requests that would wait for each other anyway are answered together.

Nobody waits where nobody is being answered. Who comes while a batch is on its way waits for its end, a few ms at most, and then goes with all who
have come meanwhile: under no load a batch is one request and costs nothing, under load it grows by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """`answer`: requests -> as many answers, in their order. What it raises is raised to each who asked, so what a single request did wrong must be
    found before. Its own thread is the first who came: there is none to start or to end. A batch grows no further than `most` before it leaves."""

    def __init__(self, answer: Callable[[Sequence[Q]], Sequence[A]], *, most: int, wait_ms: float) -> None:
        self._answer, self._most, self._wait_seconds = answer, most, wait_ms / 1e3
        self._turn = threading.Condition()
        self._coming: list[_Asked[Q, A]] = []  # the first of them leads
        self._under_way = 0

    def ask(self, request: Q) -> A:
        mine = _Asked[Q, A](request)
        with self._turn:
            self._coming.append(mine)
            leads = len(self._coming) == 1
            if leads:
                self._turn.wait_for(lambda: not self._under_way or len(self._coming) >= self._most, self._wait_seconds)
                batch, self._coming = self._coming, []
                self._under_way += 1
            elif len(self._coming) >= self._most:
                self._turn.notify_all()
        if leads:
            self._go(batch)
        else:
            mine.done.acquire()
        if mine.error is not None:
            raise mine.error
        return mine.answer

    def _go(self, batch: Sequence[_Asked[Q, A]]) -> None:
        try:
            answers = self._answer([one.request for one in batch])
            for one, answer in zip(batch, answers, strict=True):
                one.answer = answer
        except BaseException as error:
            for one in batch:
                one.error = error
        finally:
            with self._turn:
                self._under_way -= 1
                self._turn.notify_all()
            for one in batch:
                one.done.release()


class _Asked(Generic[Q, A]):
    """One who asked: the answer is there when `done` is released."""

    def __init__(self, request: Q) -> None:
        self.request = request
        self.answer: A
        self.error: BaseException | None = None
        self.done = threading.Lock()  # a bare lock costs a fifth of an Event
        self.done.acquire()
