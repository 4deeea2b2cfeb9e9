"""Configs from the command line: presets, --data, --set; a typo is answered with the nearest name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

C = TypeVar("C")


def override(config: C, settings: Sequence[str]) -> C:
    """["num_trees=50", "seed=1"] -> a changed copy; values are parsed by the field's type, an unknown key gets a did-you-mean."""
    raise NotImplementedError


def with_data(config: C, data: str, overrides: Mapping[str, Mapping[str, Any]]) -> C:
    """data "NAME:PATH" -> config.data filled in and that data set's overrides applied; an unknown NAME or missing PATH is an InputError."""
    raise NotImplementedError


def split_data(data: str) -> tuple[str, str]:
    """ "frappe:some/dir" -> ("frappe", "some/dir"); "world" -> ("world", "")."""
    raise NotImplementedError


def fingerprint(config: Any) -> str:
    """12 hex digits over every field: two runs with the same fingerprint have the same inputs."""
    raise NotImplementedError
