"""Finds the cases by entry point (group "mlsd.cases"), so a sixth can live outside this repository."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError, did_you_mean

GROUP = "mlsd.cases"


@dataclass(frozen=True)
class Case:
    """A case by name. `replaced` swaps single stages for other objects: how the checks make broken twins."""

    name: str
    package: str
    replaced: Mapping[str, Any] = field(default_factory=dict)

    def stage(self, name: str) -> Any:
        """The stage's module, imported on first use; a missing verb is named here and not where it would have been called."""
        from common.contract import STAGES  # with numpy: `mlsd --help` does without

        module = self.replaced.get(name) or importlib.import_module(f"{self.package}.{name}")
        missing = [verb for verb in STAGES[name] if not hasattr(module, verb)]
        if missing:
            raise InputError(
                f"{self.package}/{name}.py lacks {', '.join(missing)}. The contract (common/contract.py: STAGES) wants {', '.join(STAGES[name])}. "
                f"Add what is missing; tests/toy/ holds the smallest case that keeps the contract."
            )
        return module

    def preset(self, name: str) -> Any:
        """The Config of a preset: smoke, demo, default or large."""
        config = self.stage("config")
        known = [key.lower() for key in ("SMOKE", "DEMO", "DEFAULT", "LARGE")]
        if name.lower() not in known:
            raise InputError(f"There is no preset {name!r} in {self.name}. {did_you_mean(name, known)}")
        return getattr(config, name.upper())


def find() -> dict[str, Case]:
    """Every installed case by name, in alphabetical order."""
    points = importlib.metadata.entry_points(group=GROUP)
    return {point.name: Case(point.name, point.value) for point in sorted(points, key=lambda point: point.name)}


def get(name: str) -> Case:
    known = find()
    if name not in known:
        raise InputError(
            f"There is no case {name!r}. {did_you_mean(name, known)} "
            f'A new case is listed in pyproject.toml under [project.entry-points."{GROUP}"] and visible after `make install`.'
        )
    return known[name]
