"""Errors a person can act on: the thing, the value received, what was expected, the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake. Printed as one paragraph, never as a traceback (unless --debug); HTTP answers it with a 4xx."""


class NotReady(InputError):
    """The thing asked for exists but cannot answer yet; the message says what to do first. HTTP answers it with a 503."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ends an error message with a hint generated from what exists: ``Did you mean 'x'? Known: x, y, z.``"""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names) if names else 'none'}."
