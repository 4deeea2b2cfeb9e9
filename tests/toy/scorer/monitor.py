"""What is watched: do people open as often as was predicted?

In:     predictions and labelled rows at training time; later, served traffic.
Out:    alerts.
Choice: openings against the sum of predictions, in standard errors: one number that most failures move.
Else:   drift of single inputs, where many teams feed them.
Breaks: too few letters to tell: below a hundred it stays quiet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from common.contract import Floats
from common.monitoring.alerts import Alert
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Live, Rows


def reference(predictions: Floats, rows: Rows, config: Config) -> Reference:
    return Reference(float(rows.label.sum() / predictions.sum()))


def load(folder: Path) -> Reference:
    return Reference(json.loads((folder / "reference.json").read_text())["ratio"])


def check(reference: Reference, live: Live, config: Config) -> list[Alert]:
    expected = reference.ratio * live.predictions
    error = (expected * (1 - expected)).sum() ** 0.5
    if len(live.rows) < 100 or abs(live.rows.label.sum() - expected.sum()) < 4 * error:
        return []
    ratio = float(live.predictions.sum() / max(live.rows.label.sum(), 1.0))
    expects = f"within 4 standard errors of {1 / reference.ratio:.2f}"
    return [
        Alert(
            name="calibration_ratio",
            value=ratio,
            expected=expects,
            means="openings lost, or people changed",
            action="compare the log of openings with last week's",
        )
    ]


@dataclass(frozen=True)
class Reference:
    ratio: float

    def save(self, folder: Path) -> None:
        (folder / "reference.json").write_text(json.dumps({"ratio": self.ratio}))
