"""The registry: immutable versions with a sha256 for every file, atomic aliases, an append-only history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.contract import Saves


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One published version. `folder` holds manifest.json, config.json and one folder a part (catalog/ features/ baseline/ model/ ...)."""

    case: str
    version: str
    folder: Path
    manifest: Mapping[str, Any]


class Registry:
    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, case: str, *, parts: Mapping[str, Saves], config: Any, reports: Mapping[str, Any]) -> Artifact:
        """Writes every part into a hidden folder, checksums it, makes it durable, then renames it into place. Visible whole or not at all.
        The version is dated and content-addressed; the alias "latest" moves to it, and "live" too if there was none."""
        raise NotImplementedError

    def open(self, case: str, version: str = "live") -> Artifact:
        """By version or alias. Every file is checked against the manifest before anything is loaded; a torn artifact is an InputError."""
        raise NotImplementedError

    def point(self, case: str, alias: str, version: str, reason: str) -> None:
        """Moves an alias atomically and writes the move into the history."""
        raise NotImplementedError

    def versions(self, case: str) -> list[str]: ...  # type: ignore[empty-body]
    def aliases(self, case: str) -> dict[str, str]: ...  # type: ignore[empty-body]
    def history(self, case: str) -> list[dict[str, Any]]: ...  # type: ignore[empty-body]
