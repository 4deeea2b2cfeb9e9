"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the stages whose loss looks different: a source, the features, the ranker, the history, the rule's own reading; each in three ways.
Else:   a drill per store and per shard, once there are several.
Breaks: a drill nobody notices: every one must show in `degraded` and in the share of degraded answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_NOTICES = "`degraded` in the answer, mlsd_degraded_total in /metrics, the alert `degraded` of monitor.py"
_LOOKS = {
    "ranker": "candidates in the order of their sources: relevant, but not by how they would please",
    "features": "as without the ranker, which has nothing to look at",
    "towers": "fewer unheard-of videos: what others watched next, and what everybody watches",
    "history": "what everybody watches",
    "watched": "an empty feed: a rule that cannot be checked is not skipped",
}
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
