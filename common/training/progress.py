"""Progress on stderr: a bar on a terminal, a line now and then in a log, nothing when quiet. stdout belongs to results."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

LINE_EVERY = 10.0  # seconds between the lines of a bar in a log
_switch = {"quiet": False}


def quiet(on: bool = True) -> None:
    """Silences this process; the environment variable MLSD_QUIET=1 does it from outside."""
    _switch["quiet"] = on


def is_quiet() -> bool:
    return _switch["quiet"] or os.environ.get("MLSD_QUIET", "") not in ("", "0")


@contextmanager
def step(name: str) -> Iterator[None]:
    """`with step("train lightgbm"):` says what is going on and, when it ends, how long it took."""
    started = time.perf_counter()
    say(f"{name} ...")
    try:
        yield
    except BaseException:
        say(f"{name} failed after {time.perf_counter() - started:.1f} s")
        raise
    say(f"{name} {time.perf_counter() - started:.1f} s")


def bar(items: Iterable[T], total: int | None = None, name: str = "") -> Iterator[T]:
    """Yields `items`, showing how far it is: a bar on a terminal, a line every ten seconds in a log."""
    if is_quiet():
        yield from items
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description=name, total=total, console=Console(stderr=True), transient=True)
    else:
        yield from _lines(items, total, name)


def _lines(items: Iterable[T], total: int | None, name: str) -> Iterator[T]:
    said = time.perf_counter()
    for count, item in enumerate(items):
        if time.perf_counter() - said >= LINE_EVERY:
            said = time.perf_counter()
            say(f"{name} {count:,}" + (f" of {total:,}" if total else ""))
        yield item


def say(text: str) -> None:
    """One line on stderr, unless quiet."""
    if not is_quiet():
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
