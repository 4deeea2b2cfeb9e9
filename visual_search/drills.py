"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the stages whose loss looks different: the proposal, the encoder, the index, both rungs of the ladder, the features, the ranker; each in three ways.
Else:   a drill per shard of the index, once there are several.
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
    "propose": "the whole photo is searched with, whatever stands around the thing that is meant",
    "encode": "images of the same colours, and with the same words: the baseline's page",
    "neighbours": "images of the same colours, and with the same words: the baseline's page",
    "features": "the order of likeness alone: colours, words and clicks are not weighed",
    "rerank": "the order of likeness alone: colours, words and clicks are not weighed",
    "store": "the order of likeness alone; no clicks are known",
}
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_BLIND if stage == "store" else _NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
