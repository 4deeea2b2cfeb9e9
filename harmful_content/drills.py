"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the stages whose loss looks different: the store, the features, the model; each in three ways.
Else:   a drill of the reviewers' queue, once it is served here.
Breaks: a drill nobody notices: every one shows in `degraded` and in /metrics, and in the alert that its `notices` names (tests/contract).
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_COUNTED = "`degraded` in the answer, mlsd_degraded_total in /metrics"
_NOTICES = f"{_COUNTED}, the alert `degraded` of monitor.py"
_UNLOGGED = f"{_COUNTED}; not the monitor: what was judged without the store has no moment, and is no row"
_LOOKS = {
    "store": "words and pixels alone are judged: nothing is known of the author, nor of how people reacted",
    "features": "as without the store: what it would have read is left out",
    "model": "the TF-IDF lines judge: harm in pictures and memes goes through",
}
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_UNLOGGED if stage == "store" else _NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
