"""Every knob of the case, and its presets.

In:     nothing.
Out:    Config and SMOKE, DEMO, DEFAULT, LARGE; OVERRIDES per real data set.
Choice: one flat frozen dataclass, so a preset is a diff against the defaults and --set reaches everything.
Else:   nested or file-based configs, once several teams own the parts.
Breaks: a typo in --set (refused with the nearest name), a preset that outgrows its seconds (`make report` prints them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Config:
    preset: str = "default"
    seed: int = 0
    data: str = "world"  # or NAME:PATH, see data.py
    # the world
    num_users: int = 20_000
    num_videos: int = 50_000
    num_creators: int = 2_500
    num_impressions: int = 1_000_000
    days: int = 14
    # model
    dim: int = 32
    history: int = 20
    epochs: int = 3
    # serving
    deadline_ms: float = 150.0
    num_candidates: int = 500
    feed_size: int = 20
    creator_cap: int = 2


DEFAULT = Config()
SMOKE = replace(
    DEFAULT, preset="smoke", num_users=1_000, num_videos=2_000, num_creators=100, num_impressions=60_000, epochs=2
)
DEMO = replace(DEFAULT, preset="demo", num_users=6_000, num_videos=10_000, num_creators=500, num_impressions=300_000)
LARGE = replace(DEFAULT, preset="large", num_videos=2_000_000, num_creators=100_000)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {"microlens": {}, "csv": {}, "parquet": {}}
