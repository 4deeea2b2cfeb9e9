"""What is watched: whether posts arrive whole, look as they did, and are heard of again.

In:     scores and validation rows at training time; later, served posts.
Out:    alerts, each with what it means and the next step.
Choice: posts come whatever we decide, so served scores may be compared with those of validation; authors are the independent units.
Else:   calibration against reports, once the reviews of what was removed make up for the reports it can no longer get.
Breaks: a campaign looks like a change of the world; a policy too rare to be seen in a week.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Floats
from common.monitoring.alerts import DATA_DRIFT, PIPELINE_FAILED, Alert
from common.monitoring.reference import NumberReference, RateReference, Reference, References
from harmful_content.config import Config
from harmful_content.schema import ACTIONS, Live, Rows

FEWEST = 100  # posts; below it every number is noise
SHARE_CHANGE, REACTED_CHANGE = 0.02, 0.1
FAR_PSI = 0.6  # of scores against validation: in health served posts run to 0.4, by sentences and authors that training did not have


def reference(predictions: Floats, rows: Rows, config: Config) -> References:
    """predictions [n, num_policies]. What health looks like."""
    ones, nothing = np.ones(len(rows)), np.zeros(len(rows))
    never = {"missing": PIPELINE_FAILED, "unknown": DATA_DRIFT, "degraded": PIPELINE_FAILED}
    parts: dict[str, Reference] = {
        name: RateReference.of(name, nothing, ones, means=means, min_change=SHARE_CHANGE, absolute=True)
        for name, means in never.items()
    }
    parts["reacted"] = RateReference.of(
        "reacted", ones, ones, means=PIPELINE_FAILED, min_change=REACTED_CHANGE, absolute=True
    )
    parts["prediction"] = NumberReference.of("prediction", predictions.max(axis=1), rows.user_id)
    return References(parts)


def load(folder: Path) -> References:
    return References.load(folder)


def check(reference: References, live: Live, config: Config) -> list[Alert]:
    """Quiet below FEWEST posts. Whether anybody reacted is asked of posts that were left up long enough ago."""
    n = len(live.rows)
    if n < FEWEST:
        return []
    ones = np.ones(n)
    columns: dict[str, Any] = {
        "missing": ((live.num_missing > 0).astype(float), ones),
        "unknown": ((live.num_unknown > 0).astype(float), ones),
        "degraded": (live.degraded.astype(float), ones),
        "prediction": live.predictions,
    }
    found = _checked(reference, columns, live)
    up = (live.action < ACTIONS.index("remove")) & ~np.isnan(live.reacted)
    if up.sum() >= FEWEST:
        watched = References({"reacted": reference.parts["reacted"]})
        found += watched.check({"reacted": (live.reacted[up], np.ones(int(up.sum())))}, live.rows.user_id[up])
    return found


def _checked(reference: References, columns: dict[str, Any], live: Live) -> list[Alert]:
    watched = References({name: reference.parts[name] for name in columns})
    return list(watched.check(columns, live.rows.user_id, min_psi=FAR_PSI))
