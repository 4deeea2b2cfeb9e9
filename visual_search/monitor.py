"""What is watched: whether people still click what they are shown, whether it is still like what they ask for, and what would explain a change.

In:     the model's answers to the validation requests, and their labelled rows, at training time; later, served traffic.
Out:    alerts, each with what it means and the next step.
Choice: the score of the first result is watched as a distribution: darker photos, new things and another way of asking all move it before a click is missed;
        how people ask (words alone, photos in which nothing stands out) is watched beside it, to tell which.
        A change has to be surely there and large enough to matter; people, not impressions, are the independent units.
Else:   drift of the embeddings themselves (a test in the vectors' space), where photos may be kept.
Breaks: the model shows other images than the incumbent did and is clicked on more: until there is an earlier served week to compare with
        (`served=True`), a rise of the click rate is no alert, and only a deep fall below the incumbent's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Bools, Floats, Ranking
from common.monitoring.alerts import DATA_DRIFT, PIPELINE_FAILED, Alert
from common.monitoring.reference import NumberReference, RateReference, Reference, References
from visual_search.config import Config
from visual_search.schema import Live, Rows

FEWEST = 300  # impressions; below it every number is noise
RATE_CHANGE = 0.25  # of a rate, against a served week
FAR_CHANGE = 0.75  # of a rate, below the incumbent's: the model is there to raise it
FLOOR = "click_rate_floor"
SHARE_CHANGE = 0.02
COLD_CHANGE = 0.15
HOW_CHANGE = 0.2  # of the share of searches with words alone, and of photos in which nothing stands out
HOW = ("words", "whole")


def reference(
    predictions: Ranking | Floats,
    rows: Rows,
    config: Config,
    how: Mapping[str, Bools] | None = None,
    *,
    served: bool = False,
) -> References:
    """What health looked like. predictions: the model's pages for the first row of each page of `rows`, or the scores rows were served with (`served`).
    `how`: by name of HOW, which rows [n] were asked for so."""
    ones, nothing = np.ones(max(len(rows), 1)), np.zeros(max(len(rows), 1))
    parts: dict[str, Reference] = {
        name: RateReference.of(name, nothing, ones, means=means, min_change=change, absolute=True)
        for name, means, change in (("degraded", PIPELINE_FAILED, SHARE_CHANGE), ("cold", DATA_DRIFT, COLD_CHANGE))
    }
    for name, column in (how or {}).items():
        if len(rows):
            parts[name] = RateReference.of(
                name, column.astype(float), ones, rows.user_id, means=DATA_DRIFT, min_change=HOW_CHANGE, absolute=True
            )
    first = rows.slot == 0
    best = predictions.scores[:, 0] if isinstance(predictions, Ranking) else predictions[first]
    if len(best):
        parts["first_score"] = NumberReference.of("first_score", best, rows.user_id[first])
    if (rows.label == 0).any():
        name, change = ("click_rate", RATE_CHANGE) if served else (FLOOR, FAR_CHANGE)
        parts[name] = RateReference.of(name, *_clicks(rows), rows.user_id, min_change=change)
    return References(parts)


def load(folder: Path) -> References:
    return References.load(folder)


def check(reference: References, live: Live, config: Config) -> list[Alert]:
    """Quiet below FEWEST impressions; the click rate, below FEWEST whose click window is closed."""
    rows = live.rows
    if len(rows) < FEWEST:
        return []
    ones, first = np.ones(len(rows)), rows.slot == 0
    columns: dict[str, Any] = {
        "degraded": (live.degraded.astype(float), ones),
        "cold": (live.cold.astype(float), ones),
        **{name: (getattr(live, name).astype(float), ones) for name in HOW},
    }
    if np.isfinite(rows.label).sum() >= FEWEST:
        columns |= dict.fromkeys(("click_rate", FLOOR), _clicks(rows))
    shares, likeness = (
        References({name: part for name, part in reference.parts.items() if (name == "first_score") is of_pages})
        for of_pages in (False, True)
    )
    alerts = shares.check({name: columns[name] for name in columns if name in shares.parts}, rows.user_id)
    alerts += likeness.check(dict.fromkeys(likeness.parts, live.predictions[first]), rows.user_id[first])
    return [alert for alert in alerts if not (alert.name == FLOOR and alert.value > _value(reference.parts[FLOOR]))]


def _value(part: Reference) -> float:
    assert isinstance(part, RateReference)
    return part.value


def _clicks(rows: Rows) -> tuple[Floats, Floats]:
    """Rows whose clicks are not known yet count neither above nor below the line."""
    return np.nan_to_num(rows.label), np.isfinite(rows.label).astype(float)
