"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the stages whose loss looks different: the store, the candidates, the features, the model; each in three ways.
Else:   a drill per store and per shard, once there are several.
Breaks: a drill nobody notices: every one shows in `degraded` and in /metrics, and in the alert that its `notices` names (tests/contract).
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_COUNTED = "`degraded` in the answer, mlsd_degraded_total in /metrics"
_NOTICES = f"{_COUNTED}, the alert `degraded` of monitor.py"
_BLIND = f"{_COUNTED}; not the monitor: an answer without ads logs no impression"
_LOOKS = {
    "items": "as always: what this server put and deleted it knows without looking; what another process changed meanwhile, it does not",
    "model": "ads and prices by the baseline; log loss as in its row of the report",
    "features": "every ad gets the same probability, so the highest bid wins",
    "candidates": "no ads: whose budget is spent and what was hidden is unknown, and nobody is shown on a guess",
    "store": "as without the candidates, which have nothing to read",
}
_EMPTY = ("candidates", "store")
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_BLIND if stage in _EMPTY else _NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
