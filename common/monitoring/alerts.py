"""An alert says what was seen, against what, how sure that is, what it means and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Alert:
    name: str  # calibration_ratio, feature_missing.user_rate, ...
    value: float
    expected: str  # "between 0.9 and 1.1"
    means: str  # feature pipeline failed | data drift | concept drift | ...
    action: str  # the next step, a command where there is one
