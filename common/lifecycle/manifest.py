"""The manifest of an artifact: what is in it, byte for byte, and what made it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from common.data.reading import sha256
from common.errors import InputError

PACKAGES = ("torch", "lightgbm", "transformers", "faiss-cpu", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow")


def describe(folder: Path) -> dict[str, Any]:
    """Every file below `folder` with its sha256 and size, and the packages that are installed."""
    files = {name: {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size} for name in _files(folder)}
    return {"files": files, "packages": packages()}


def content_hash(manifest: Mapping[str, Any]) -> str:
    """64 hex digits over the whole manifest but its version: the version carries the first eight, so a changed manifest is noticed too."""
    content = {key: value for key, value in manifest.items() if key != "version"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def verify(folder: Path) -> dict[str, Any]:
    """-> the manifest, once every file is the one it lists. InputError names the first that is missing, extra, changed, cut short, a link
    or outside the folder. Nothing is loaded here."""
    manifest = _read(folder)
    listed: dict[str, Any] = manifest["files"]
    found = set(_files(folder)) - {"manifest.json"}
    for name in listed:
        _inside(folder, name)
    if missing := sorted(set(listed) - found):
        _refuse(folder, missing[0], "is listed in manifest.json and not there")
    if extra := sorted(found - set(listed)):
        _refuse(folder, extra[0], "is there and not listed in manifest.json")
    for name, expected in listed.items():
        size = (folder / name).stat().st_size
        if size != expected["size"]:
            _refuse(folder, name, f"has {size:,} bytes, the manifest says {expected['size']:,}")
        if sha256(folder / name) != expected["sha256"]:
            _refuse(folder, name, "has another content than when it was published (sha256)")
    if folder.name != manifest["version"] or not folder.name.endswith("-" + content_hash(manifest)[:8]):
        _refuse(folder, "manifest.json", "was changed, or belongs to another version")
    return manifest


def plain(value: Any) -> Any:
    """`value` as JSON would hold it: as_json, dataclasses, mappings, sequences and numpy numbers unwrapped, NaN and infinity as None."""
    if hasattr(value, "as_json"):
        return plain(value.as_json())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    number = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if path.is_symlink() or not path.is_file():
        _refuse(folder, "manifest.json", "is missing")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        for name, expected in manifest["files"].items():
            assert isinstance(name, str) and isinstance(expected["size"], int) and isinstance(expected["sha256"], str)
        assert isinstance(manifest["version"], str)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        _refuse(folder, "manifest.json", "is not a manifest: cut short or damaged")
    return manifest


def _files(folder: Path) -> list[str]:
    """Relative paths of the plain files below; a link or anything else that is no plain file is refused."""
    names = []
    for base, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(base) / name
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                _refuse(
                    folder,
                    path.relative_to(folder).as_posix(),
                    "is a link or a special file; only plain files belong here",
                )
        names += [(Path(base) / name).relative_to(folder).as_posix() for name in files]
    return sorted(names)


def _inside(folder: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        _refuse(folder, name, "lies outside the artifact")


def _refuse(folder: Path, name: str, what: str) -> None:
    raise InputError(
        f"{folder}: {name} {what}. The artifact is not loaded; publish it again (mlsd run) or point the alias at another version."
    )


def packages() -> dict[str, str]:
    """The version of Python and of each package a result may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
