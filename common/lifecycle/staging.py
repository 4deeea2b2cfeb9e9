"""Folders written whole or not at all: built under a hidden name, made durable, renamed into place."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.data.durable import sync
from common.lifecycle.locks import locked, try_hold

_PREFIX = ".staged-"


@contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """A hidden folder inside `parent` to build in; gone at the end of the block unless `settle` moved it. What killed builders left behind
    is swept away first: a builder holds its folder, and a folder that nobody holds has no builder."""
    folder = parent / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
    with locked(parent.parent):
        _sweep(parent)
        folder.mkdir()
        held = try_hold(folder)
    assert held is not None
    try:
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


def settle(folder: Path, target: Path) -> None:
    """Every file and folder to the disk, then the rename that makes it visible. The target must not be there."""
    assert not target.exists(), f"{target} is immutable"
    for base, folders, files in os.walk(folder, topdown=False):
        for name in files + folders:
            if not (Path(base) / name).is_symlink():
                sync(Path(base) / name)
    sync(folder)
    folder.rename(target)
    sync(target.parent)


def _sweep(parent: Path) -> None:
    for left in parent.glob(f"{_PREFIX}*"):
        held = try_hold(left)
        if held is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
