"""How often a post will still be seen, from how often it was seen so far and how long it has been there."""

from __future__ import annotations

import numpy as np

from common.contract import Floats


def to_come(seen: Floats, age_hours: Floats, expected: Floats, half_life: float, strength: float = 1.0) -> Floats:
    """[n] views still to come. seen [n] so far, age_hours [n], expected [n]: of such a post in all, before anything was seen.

    Views come as a Poisson process of which half have come after `half_life` hours; the total has a gamma prior with mean `expected` and shape
    `strength`, so its posterior mean after a share F of the time is (strength + seen) / (strength / expected + F), and 1 - F of it is to come."""
    share = -np.expm1(-np.log(2) * np.maximum(age_hours, 0.0) / half_life)
    total = (strength + seen) / (strength / np.maximum(expected, 1e-9) + share)
    left: Floats = total * (1 - share)
    return left
