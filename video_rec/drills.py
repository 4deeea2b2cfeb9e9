"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the stages whose loss looks different: the store, a source, the features, the ranker, the history, the reading of the rule "never
        twice"; each in three ways.
Else:   a drill per store and per shard, once there are several.
Breaks: a drill nobody notices: every one shows in `degraded` and in /metrics, and in the alert that its `notices` names (tests/contract).
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_COUNTED = "`degraded` in the answer, mlsd_degraded_total in /metrics"
_NOTICES = f"{_COUNTED}, the alert `degraded` of monitor.py"
_BLIND = f"{_COUNTED}; not the monitor: an impression whose features were never read has no moment, and makes no row"
_LOOKS = {
    "items": "as always: what this server put and deleted it knows without looking; what another process changed meanwhile, it does not",
    "ranker": "candidates in the order of their sources: relevant, but not by how they would please",
    "features": "as without the ranker, which has nothing to look at",
    "towers": "fewer unheard-of videos: what others watched next, and what everybody watches",
    "history": "what everybody watches",
    "watched": "a feed checked against the last twenty watches alone: an older one may come twice; explicit and the creator cap hold",
    "store": "what everybody watches, in no order of one's own; what was watched is unknown, explicit and the creator cap hold",
}
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_BLIND if stage == "store" else _NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
