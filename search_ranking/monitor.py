"""What is watched: whether people still find what they look for, and what would explain a change.

In:     scores and labelled validation rows at training time; later, served traffic.
Out:    alerts, each with what it means and the next step.
Choice: a change has to be surely there and large enough to matter; people, not impressions, are the independent units.
Else:   a test per feature, where a team stands behind each; abandoned searches, where sessions are known.
Breaks: the ranker shows other documents than the old engine did: rates of served traffic are compared with an earlier served week
        (`served=True`); with validation rows, another engine's, only by far (FAR_CHANGE).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Floats, Ranking
from common.monitoring.alerts import DATA_DRIFT, PIPELINE_FAILED, Alert
from common.monitoring.reference import RateReference, Reference, References
from search_ranking.config import Config
from search_ranking.schema import Live, Rows

FEWEST = 300  # impressions; below it every number is noise
RATE_CHANGE = 0.25  # of a rate, against a served week
FAR_CHANGE = 0.75  # of a rate, against the old engine's rows: the ranker is there to change it
SHARE_CHANGE = 0.02
COLD_CHANGE = 0.4  # a healthy week brings a fifth of queries that training never met, one of new needs three fifths


def reference(predictions: Ranking | Floats, rows: Rows, config: Config, *, served: bool = False) -> References:
    """What health looked like. `served`: the rows are served traffic, so small changes of its rates count."""
    n = max(len(rows), 1)  # a test collection may hold no query back: then, too, nothing is degraded and nothing cold
    ones, nothing = np.ones(n), np.zeros(n)
    parts: dict[str, Reference] = {
        name: RateReference.of(name, nothing, ones, means=means, min_change=change, absolute=True)
        for name, means, change in (("degraded", PIPELINE_FAILED, SHARE_CHANGE), ("cold", DATA_DRIFT, COLD_CHANGE))
    }
    if "clicked" in rows.labels and (rows.labels["clicked"] == 0).any():  # a test collection has no rates
        for name, (numerator, denominator) in _outcomes(rows).items():
            change = RATE_CHANGE if served else FAR_CHANGE
            parts[name] = RateReference.of(name, numerator, denominator, rows.user_id, min_change=change)
    return References(parts)


def load(folder: Path) -> References:
    return References.load(folder)


def check(reference: References, live: Live, config: Config) -> list[Alert]:
    """Quiet below FEWEST impressions; rates, below FEWEST whose click window is closed."""
    if len(live.rows) < FEWEST:
        return []
    ones = np.ones(len(live.rows))
    columns: dict[str, Any] = {
        "degraded": (live.degraded.astype(float), ones),
        "cold": (live.cold.astype(float), ones),
    }
    if np.isfinite(live.rows.labels["clicked"]).sum() >= FEWEST:
        columns |= _outcomes(live.rows)
    return reference.check({name: columns[name] for name in columns if name in reference.parts}, live.rows.user_id)


def _outcomes(rows: Rows) -> dict[str, tuple[Floats, Floats]]:
    """Rows whose labels are not known yet count neither above nor below the line."""
    clicked = np.nan_to_num(rows.labels["clicked"])
    found = {"click_rate": (clicked, np.isfinite(rows.labels["clicked"]).astype(float))}
    if "satisfied" in rows.labels and clicked.any():
        found["satisfied_rate"] = (np.nan_to_num(rows.labels["satisfied"]), clicked)
    return found
