"""Progress on stderr: a bar on a terminal, a line now and then in a log, nothing when quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def step(name: str) -> Iterator[None]:
    """`with step("train lightgbm"):` says what is going on and, when it ends, how long it took."""
    raise NotImplementedError
    yield
