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
    num_users: int = 400
    num_letters: int = 40
    num_mails: int = 20_000
    days: int = 7
    open_after_seconds: int = 600  # an opened letter is opened this long after it arrived
    announce_share: float = 0.5  # the policy announces the most promising half
    deadline_ms: float = 100.0


DEFAULT = Config()
SMOKE = replace(DEFAULT, preset="smoke", num_users=200, num_mails=8_000)
DEMO = replace(DEFAULT, preset="demo")
LARGE = replace(DEFAULT, preset="large", num_users=10_000, num_mails=500_000)

OVERRIDES: Mapping[str, Mapping[str, Any]] = {"csv": {}, "parquet": {}}
