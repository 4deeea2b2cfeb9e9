"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the two stages that do the work, each in three ways.
Else:   a drill per store and per shard, once there are several.
Breaks: a drill nobody notices: every one must show in `degraded` and in the share of degraded answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_NOTICES = "`degraded` in the answer, mlsd_degraded_total in /metrics, the alert `degraded` of monitor.py"
_LOOKS = {
    "model": "ads and prices by the baseline; log loss as in its row of the report",
    "features": "every ad gets the same probability, so the highest bid wins",
}
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
