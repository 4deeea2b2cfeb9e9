"""Home: the one folder a running project keeps its state in (default `runs/`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.contract import Clock, Events, Platform
from common.features.views import View
from common.lifecycle.registry import Artifact, Registry


class Home:
    """runs/CASE/versions/...  runs/CASE/aliases.json  runs/CASE/log-<config fingerprint>/  runs/CASE/live-<config fingerprint>.sqlite"""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = Registry(root)

    def seed(self, artifact: Artifact, history: Events) -> None:
        """Starts the log this artifact goes on from with the history it was trained on; a log that is already there is kept."""
        raise NotImplementedError

    def platform(self, artifact: Artifact, views: Sequence[View], clock: Clock) -> Platform:
        """Opens the log and the live store that belong to the artifact, backfills missing views, replays what the store has not seen."""
        raise NotImplementedError
