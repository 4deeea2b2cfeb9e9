"""Every knob of the case, and its presets.

In:     nothing.
Out:    Config and SMOKE, DEMO, DEFAULT, LARGE; OVERRIDES per real data set.
Choice: one flat frozen dataclass, so a preset is a diff against the defaults and --set reaches everything.
Else:   nested or file-based configs, once several teams own the parts.
Breaks: a typo in --set (refused with the nearest name).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Config:
    preset: str = "default"
    seed: int = 0
    data: str = "world"  # or csv:FOLDER, parquet:FOLDER
    num_users: int = 500
    num_books: int = 200
    num_impressions: int = 40_000
    days: int = 7
    read_after_seconds: int = 600  # a book is read this long after it was shown
    num_candidates: int = 50
    page: int = 5
    deadline_ms: float = 100.0


DEFAULT = Config()
SMOKE = replace(DEFAULT, preset="smoke", num_users=200, num_books=100, num_impressions=8_000)
DEMO = replace(DEFAULT, preset="demo")
LARGE = replace(DEFAULT, preset="large", num_users=10_000, num_books=1_000, num_impressions=500_000)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {"csv": {}, "parquet": {}}
