"""The registry: immutable versions with a sha256 for every file, atomic aliases, an append-only history.

runs/CASE/versions/VERSION/   manifest.json  config.json  one folder a part
runs/CASE/aliases.json        where each alias points, and the moves that made it so; replaced atomically: this file is the truth
runs/CASE/history.jsonl       every move ever made; a move whose line was lost to a crash is written again from aliases.json
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common.config import fingerprint
from common.contract import Saves
from common.errors import InputError, NotReady, did_you_mean
from common.lifecycle import aliases
from common.lifecycle.locks import locked
from common.lifecycle.manifest import content_hash, describe, plain, verify
from common.lifecycle.staging import settle, staged

_STAMP = "%Y%m%d-%H%M%S-%f"
_VERSION = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


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

    def publish(
        self,
        case: str,
        *,
        parts: Mapping[str, Saves],
        config: Any,
        reports: Mapping[str, Any],
        paired: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Writes every part into a hidden folder, checksums it, makes it durable, then renames it into place. Visible whole or not at all.
        The version is dated and content-addressed; the alias "latest" moves to it, and "live" too if there was none.

        `reports` and `paired` (the intervals of the differences): anything that turns into JSON: objects with as_json, dataclasses, mappings, numbers. A NaN becomes null.
        """
        home = self._home(case)
        versions = home / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        with staged(versions) as folder:
            for name, part in parts.items():
                assert _NAME.fullmatch(name), f"a part's name becomes a folder: {name!r}"
                (folder / name).mkdir()
                part.save(folder / name)
            (folder / "config.json").write_text(json.dumps(asdict(config), indent=1), encoding="utf-8")
            manifest = describe(folder) | {
                "case": case,
                "config": asdict(config),
                "config_fingerprint": fingerprint(config),
                "reports": plain(reports),
                "paired": plain(paired or {}),
            }
            with locked(home):
                version = self._next_version(case, content_hash(manifest))
                text = json.dumps({"version": version, **manifest}, indent=1, allow_nan=False)
                (folder / "manifest.json").write_text(text, encoding="utf-8")
                settle(folder, versions / version)
                moved = {"latest": version} if "live" in aliases.read(home) else {"latest": version, "live": version}
                aliases.move(home, moved, "published")
        return Artifact(case=case, version=version, folder=versions / version, manifest=json.loads(text))

    def open(self, case: str, version: str = "live") -> Artifact:
        """By version or alias. Every file is checked against the manifest before anything is loaded; a torn artifact is an InputError."""
        known = self.versions(case)
        if not known:
            raise NotReady(
                f"Nothing is published for {case!r} in {self.root}. Train it into that folder first: mlsd run {case} --out {self.root}"
            )
        pointed = self.aliases(case)
        name = pointed.get(version, version)
        if name not in known and version in pointed:
            raise InputError(
                f"{case}: the alias {version!r} points at {name}, which is not in {self.root}. Point it at one of: {', '.join(known)}."
            )
        if name not in known:
            raise InputError(
                f"{case} has no version or alias {version!r} in {self.root}. {did_you_mean(version, [*pointed, *known])}"
            )
        folder = self._home(case) / "versions" / name
        return Artifact(case=case, version=name, folder=folder, manifest=verify(folder))

    def point(self, case: str, alias: str, version: str, reason: str) -> None:
        """Moves an alias atomically and writes the move into the history. A version that does not verify is never pointed at."""
        if not _NAME.fullmatch(alias):
            raise InputError(
                f"{alias!r} cannot be an alias. Expected lower-case letters, digits, - and _, for example 'live'."
            )
        if not reason.strip():
            raise InputError(f"Moving {alias!r} of {case} needs a reason: the history is read by whoever wonders why.")
        target = self.open(case, version).version
        with locked(self._home(case)):
            aliases.move(self._home(case), {alias: target}, reason)

    def versions(self, case: str) -> list[str]:
        """Oldest first."""
        folder = self._home(case) / "versions"
        return (
            sorted(entry.name for entry in folder.glob("*") if _VERSION.fullmatch(entry.name))
            if folder.is_dir()
            else []
        )

    def aliases(self, case: str) -> dict[str, str]:
        return aliases.read(self._home(case))

    def history(self, case: str) -> list[dict[str, Any]]:
        """Every move, oldest first: {"time", "alias", "from", "to", "reason"}."""
        home = self._home(case)
        if not home.is_dir():
            return []
        with locked(home):
            return aliases.history(home)

    def _home(self, case: str) -> Path:
        if not _NAME.fullmatch(case):
            raise InputError(f"{case!r} cannot be the name of a case. Expected lower-case letters, digits and _.")
        return self.root / case

    def _next_version(self, case: str, content: str) -> str:
        """Dated, and later than every version there is even where the clock was set back: sorted by name is sorted by age."""
        now = datetime.now(UTC)
        if known := self.versions(case):
            last = datetime.strptime(known[-1][:22], _STAMP).replace(tzinfo=UTC)
            now = max(now, last + timedelta(microseconds=1))
        return f"{now.strftime(_STAMP)}-{content[:8]}"
