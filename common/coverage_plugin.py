"""A pytest plugin that breaks one symbol before the tests are imported: how `mlsd coverage --prove` asks whether a test would notice.

A function is broken in place, by its code: whoever imported it by name calls the broken one too. A value is replaced wherever it is bound.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from types import CodeType, FunctionType
from typing import Any, NoReturn

from common.coverage import BREAK

_OUTCOMES: list[str] = []


def pytest_configure() -> None:
    if os.environ.get(BREAK):
        break_symbol(os.environ[BREAK])


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        _OUTCOMES.append(report.outcome)


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """A test that was skipped has shown nothing."""
    if exitstatus == 0 and "skipped" in _OUTCOMES:
        session.exitstatus = 1


def break_symbol(symbol: str) -> None:
    """`module:name` or `module:Class.method`; a class is broken in all its methods but __repr__, which pytest needs to report."""
    module, _, path = symbol.partition(":")
    *outer, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    found = inspect.getattr_static(owner, name)
    functions = list(_functions(found))
    for function in functions:
        function.__code__ = _raising(function, symbol)
    if hasattr(found, "cache_clear"):
        found.cache_clear()
    if not functions:
        _replace(owner, name, found, _Broken(symbol))


def _functions(found: Any) -> Iterator[FunctionType]:
    if isinstance(found, type):
        for key, value in vars(found).items():
            if key != "__repr__":
                yield from _functions(value) if not isinstance(value, type) else ()
    elif isinstance(found, property):
        yield from (part for part in (found.fget, found.fset) if isinstance(part, FunctionType))
    elif isinstance(found, cached_property):
        yield from _functions(found.func)
    elif isinstance(found, staticmethod | classmethod) or hasattr(found, "__wrapped__"):
        yield from _functions(found.__wrapped__)
    elif isinstance(found, FunctionType):
        yield found


def _raising(function: FunctionType, symbol: str) -> CodeType:
    """Code that takes anything and raises. It must close over as many variables as the code it stands in for."""
    cells = ", ".join(function.__code__.co_freevars)
    source = (
        f"def broken(*args, **kwargs):\n  if 0: ({cells})\n  raise RuntimeError({f'{symbol} is broken on purpose'!r})"
    )
    if cells:
        body = "\n".join(f" {line}" for line in source.splitlines())
        source = f"def around():\n {' = '.join(function.__code__.co_freevars)} = 0\n{body}\n return broken\nbroken = around()"
    scope: dict[str, Callable[..., NoReturn]] = {}
    exec(compile(source, "<broken>", "exec"), scope)  # noqa: S102  # the names come from our own function, nothing from outside
    code = scope["broken"].__code__
    return code.replace(co_name=function.__code__.co_name)


def _replace(owner: Any, name: str, found: Any, broken: Any) -> None:
    setattr(owner, name, broken)
    if isinstance(found, int | float | str | bytes | tuple | None):  # shared by chance: identity says nothing
        return
    for module in list(sys.modules.values()):
        for key, value in list(vars(module).items()) if hasattr(module, "__dict__") else ():
            if value is found:
                setattr(module, key, broken)


class _Broken:
    """Raises on whatever is done with it."""

    def __init__(self, symbol: str) -> None:
        self.__dict__["symbol"] = symbol

    def _fail(self, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(f"{self.__dict__['symbol']} is broken on purpose")

    __getattr__ = __getitem__ = __iter__ = __len__ = __contains__ = __call__ = __bool__ = __float__ = __int__ = _fail
    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __lt__ = __gt__ = _fail
