"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, and how it looks.
Choice: the one stage there is, in three ways.
Else:   a drill per store and per shard, in a case that has them.
Breaks: a drill nobody notices: every one must show in `degraded`.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_LOOKS, _NOTICES = (
    "the answer is the training share and names the stage in `degraded`",
    "mlsd_degraded_total in /metrics",
)
DRILLS: Mapping[str, Drill] = {
    f"{fault} model": Drill(stage="model", fault=fault, looks=_LOOKS, notices=_NOTICES)
    for fault in ("slow", "fail", "hang")
}
