"""An alert says what was seen, against what, how sure that is, what it means and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PIPELINE_FAILED = "feature pipeline failed"
LABELS_LATE = "labels are late"
DATA_DRIFT = "data drift"
CONCEPT_DRIFT = "concept drift"

ACTIONS = {
    PIPELINE_FAILED: "Find what stopped filling the column and mend that; do not retrain on what it writes now.",
    LABELS_LATE: "Wait for the labels' window to close, or look at the stream that brings them; a rate over half the labels is no rate.",
    DATA_DRIFT: "Look at who or what is new, judge the model on those rows, and retrain on data that holds them.",
    CONCEPT_DRIFT: "The same inputs lead to other outcomes: retrain on recent labels; until then recalibrate or step down to the baseline.",
}
"""In the order of suspicion: a broken pipe looks like every cause below it, a moved population like a moved concept."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    name: str  # calibration_ratio, feature_missing.user_rate, ...
    value: float
    expected: str  # "between 0.9 and 1.1"
    means: str  # feature pipeline failed | data drift | concept drift | ...
    action: str  # the next step, a command where there is one


def triage(alerts: Sequence[Alert]) -> Alert | None:
    """One diagnosis for everything that fired at once; None if nothing did.

    Inputs missing or stuck: the pipeline, whatever else moved. Labels late: no outcome can be judged yet. Inputs moved: the data, and a
    moved rate is its consequence until shown otherwise. Outcomes moved while inputs stood still: the concept.
    """
    for cause, action in ACTIONS.items():
        seen = [alert for alert in alerts if alert.means == cause]
        if seen:
            names = ", ".join(alert.name for alert in seen)
            others = sorted({alert.name for alert in alerts} - {alert.name for alert in seen})
            explained = f" It may explain {', '.join(others)} as well." if others else ""
            return Alert(
                name="triage",
                value=float(len(alerts)),
                expected="no alert",
                means=cause,
                action=f"Because of {names}: {action}{explained}",
            )
    return alerts[0] if alerts else None
