"""Finds the cases by entry point (group "mlsd.cases"), so a sixth can live outside this repository."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError, did_you_mean

GROUP = "mlsd.cases"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """A case by name, and the package its stages are imported from. `replaced` puts other objects in the place of single stages: tests of
    the platform make a case of two stages with it."""

    name: str
    package: str
    replaced: Mapping[str, Any] = field(default_factory=dict)

    def stage(self, name: str) -> Any:
        """The stage's module, imported on first use; a missing verb is named here and not where it would have been called."""
        from common.contract import STAGES  # with numpy, which `mlsd --help` does without

        module = self.replaced.get(name) or self._module(name)
        missing = [verb for verb in STAGES[name] if not hasattr(module, verb)]
        if missing:
            raise InputError(
                f"{self.package}/{name}.py lacks {', '.join(missing)}. The contract (common/contract.py: STAGES) wants {', '.join(STAGES[name])}. "
                f"Add what is missing; tests/toy/ holds the smallest case that keeps the contract."
            )
        return module

    def _module(self, name: str) -> Any:
        try:
            return importlib.import_module(f"{self.package}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{self.package}.{name}":  # the stage is there, something it needs is not
                raise
            raise InputError(f"{self.name} has no stage {name!r}: there is no {self.package}/{name}.py.") from None

    def preset(self, name: str) -> Any:
        """The Config of a preset: smoke, demo, default or large."""
        config = self.stage("config")
        known = [key.lower() for key in ("SMOKE", "DEMO", "DEFAULT", "LARGE")]
        if name.lower() not in known:
            raise InputError(f"There is no preset {name!r} in {self.name}. {did_you_mean(name, known)}")
        return getattr(config, name.upper())


def find() -> dict[str, Case]:
    """Every installed case by name, in alphabetical order.

    An entry point outlives a deleted folder until the next install, and one absent case must not take the others down: it is left out, and
    a line on stderr says so.
    """
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: Case(point.name, point.value) for point in points if _is_there(point)}


def get(name: str) -> Case:
    known = find()
    if name not in known:
        raise InputError(
            f"There is no case {name!r}. {did_you_mean(name, known)} "
            f'A new case is listed in pyproject.toml under [project.entry-points."{GROUP}"] and visible after `make install`.'
        )
    return known[name]


def _is_there(point: importlib.metadata.EntryPoint) -> bool:
    """Is its package importable? Looks without importing; a package that is there but broken is found, and says itself what is wrong."""
    try:
        there = importlib.util.find_spec(point.value) is not None
    except ModuleNotFoundError:  # of the parent, where the package is "outer.inner"
        there = False
    if not there:
        logger.warning(
            "case %s is installed, but there is no package %s: left out. Install again after deleting or moving a case.",
            point.name,
            point.value,
        )
    return there
