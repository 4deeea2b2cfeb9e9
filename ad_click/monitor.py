"""What is watched: calibration first, as money depends on it; then what would explain a change.

In:     predictions and labelled validation rows at training time; later, served traffic.
Out:    alerts, each with what it means and the next step.
Choice: a change has to be surely there and large enough to matter; people, not impressions, are the independent units.
Else:   a test per feature, where a team stands behind each; sequential tests, where minutes count.
Breaks: an auction shows what was predicted too high (the winner's curse): served traffic is compared with validation rows only where that
        does not matter, with an earlier served week (`served=True`) in everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.schema import Live, Rows
from common.contract import Bools, Floats
from common.monitoring.alerts import DATA_DRIFT, PIPELINE_FAILED, Alert
from common.monitoring.reference import NumberReference, RateReference, Reference, References

FEWEST = 300  # impressions; below it every number is noise
CALIBRATION_CHANGE = 0.4  # of a ratio or rate, against a served week
CTR_CHANGE = 0.6  # trends move the click rate of whole topics; calibration says whether the model followed
FAR_CHANGE = 1.0  # of the ratio, against the incumbent's rows: served traffic runs up to a half high in health
SHARE_CHANGE = 0.02
NEW_AD_CHANGE = 0.1


def reference(predictions: Floats, rows: Rows, config: Config, *, served: bool = False) -> AdReference:
    """What health looked like. `served`: the rows are served traffic, so what the auction picks may be compared too."""
    ones, nothing = np.ones(len(rows)), np.zeros(len(rows))
    change = CALIBRATION_CHANGE if served else FAR_CHANGE
    parts: dict[str, Reference] = {
        "calibration_ratio": RateReference.of(
            "calibration_ratio", predictions, rows.label, rows.user_id, min_change=change
        ),
        **{
            name: RateReference.of(name, nothing, ones, means=means, min_change=SHARE_CHANGE, absolute=True)
            for name, means in (
                ("missing", PIPELINE_FAILED),
                ("unknown", DATA_DRIFT),
                ("degraded", PIPELINE_FAILED),
            )
        },
    }
    if served:
        parts["new_ads"] = RateReference.of(
            "new_ads", nothing, ones, means=DATA_DRIFT, min_change=NEW_AD_CHANGE, absolute=True
        )
        parts["ctr"] = RateReference.of("ctr", rows.label, ones, rows.user_id, min_change=CTR_CHANGE)
        parts["prediction"] = NumberReference.of("prediction", predictions, rows.user_id)
    return AdReference(References(parts), frozenset(np.unique(rows.ad_id).tolist()))


def load(folder: Path) -> AdReference:
    ads = np.array((folder / "ads.txt").read_text().split(), dtype=np.int64)
    return AdReference(References.load(folder), frozenset(ads.tolist()))


def check(reference: AdReference, live: Live, config: Config) -> list[Alert]:
    """Quiet below FEWEST impressions. Click rates look only at impressions whose window has closed."""
    n = len(live.rows)
    if n < FEWEST:
        return []
    parts, ones = reference.parts.parts, np.ones(n)
    new = ~np.isin(live.rows.ad_id, list(reference.ads))
    columns: dict[str, Any] = {
        "missing": ((live.num_missing > 0).astype(float), ones),
        "unknown": ((live.num_unknown > 0).astype(float), ones),
        "degraded": (live.degraded.astype(float), ones),
        "new_ads": (new.astype(float), ones),
        "prediction": live.predictions,
    }
    watched = References({name: part for name, part in parts.items() if name in columns})
    return [
        *watched.check({name: columns[name] for name in watched.parts}, live.rows.user_id),
        *_outcomes(reference.parts, live, ~np.isnan(live.rows.label)),
    ]


class AdReference:
    """The references by name, and the ads there were."""

    def __init__(self, parts: References, ads: frozenset[int]) -> None:
        self.parts, self.ads = parts, ads

    def save(self, folder: Path) -> None:
        self.parts.save(folder)
        (folder / "ads.txt").write_text("\n".join(map(str, sorted(self.ads))))


def _outcomes(references: References, live: Live, closed: Bools) -> list[Alert]:
    if closed.sum() < FEWEST:
        return []
    label, user_id = live.rows.label[closed], live.rows.user_id[closed]
    columns: Mapping[str, Any] = {
        "calibration_ratio": (live.predictions[closed], label),
        "ctr": (label, np.ones(len(label))),
    }
    rates = {name: part for name, part in references.parts.items() if name in columns}
    return References(rates).check({name: columns[name] for name in rates}, user_id)
