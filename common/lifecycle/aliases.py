"""Aliases and their history, under one folder. Callers hold its lock to move one or to read the history; reading where one points needs none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.data.durable import sync, write_bytes
from common.errors import InputError


def move(home: Path, targets: Mapping[str, str], reason: str) -> None:
    """Points each alias at its version, all at once, and records it. The record is in both files; a crash between them loses nothing."""
    _repair(home)
    pointed = read(home)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    moves = [
        {"time": now, "alias": alias, "from": pointed.get(alias), "to": version, "reason": reason}
        for alias, version in targets.items()
    ]
    state = {"aliases": {**pointed, **targets}, "last": moves}
    write_bytes(home / "aliases.json", json.dumps(state, indent=1).encode())
    _repair(home)


def read(home: Path) -> dict[str, str]:
    pointed: dict[str, str] = _state(home)["aliases"]
    return pointed


def history(home: Path) -> list[dict[str, Any]]:
    """Every move, oldest first, with those a crash kept out of history.jsonl."""
    lines = _lines(home)
    return lines + _lost(_state(home)["last"], lines)


def _lost(last: list[dict[str, Any]], lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The part of the last moves that the history does not end with."""
    overlap = next(k for k in range(len(last), -1, -1) if lines[len(lines) - k :] == last[:k])
    return last[overlap:]


def _repair(home: Path) -> None:
    """Appends the moves that aliases.json knows and history.jsonl does not, after cutting off a line that was never finished."""
    path = home / "history.jsonl"
    finished = _whole_lines(path)
    lost = _lost(_state(home)["last"], _lines(home))
    with path.open("r+b" if path.exists() else "x+b") as file:
        file.truncate(len(finished))
        file.seek(len(finished))
        file.write("".join(json.dumps(line) + "\n" for line in lost).encode())
        file.flush()
        os.fsync(file.fileno())
    sync(home)


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _lines(home: Path) -> list[dict[str, Any]]:
    path = home / "history.jsonl"
    try:
        return [json.loads(line) for line in _whole_lines(path).splitlines()]
    except ValueError as error:
        raise InputError(
            f"{path}: a line is damaged ({error}). Remove that line; nothing else depends on it."
        ) from error


def _state(home: Path) -> dict[str, Any]:
    path = home / "aliases.json"
    if not path.exists():
        return {"aliases": {}, "last": []}
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
        return {"aliases": dict(state["aliases"]), "last": list(state["last"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: damaged ({error!r}). Remove it and point the aliases again: mlsd registry; history.jsonl beside it says where they were."
        ) from error
