"""The failures that can be switched on here.

In:     nothing.
Out:    DRILLS: which stage breaks how, how it looks from outside, what notices.
Choice: the stages whose loss looks different: the store, the features, what people decided, the model; each in three ways. Whichever it is, the post
        is held for a reviewer.
Else:   a drill of pictures that are not unfolded in time: EXAMPLE has none, so tests/harmful_content/test_serve.py switches it on.
Breaks: a drill nobody notices: every one shows in `degraded` and in /metrics, and in the alert that its `notices` names (tests/contract).
"""

from __future__ import annotations

from collections.abc import Mapping

from common.contract import Drill

_COUNTED = "`degraded` in the answer, mlsd_degraded_total in /metrics"
_NOTICES = f"{_COUNTED}, the alert `degraded` of monitor.py"
_UNLOGGED = f"{_COUNTED}; not the monitor: what was judged without the store has no moment, and is no row"
_LOOKS = {
    "store": "all posts wait for a reviewer, ordered by words and pixels alone: nothing is known of authors and reactions",
    "features": "as without the store: what it would have read is left out",
    "match": "all posts wait for a reviewer, copies of what was removed and posts that were cleared among them",
    "model": "all posts wait for a reviewer, ordered by the TF-IDF lines: harm in pictures and memes comes late",
}
DRILLS: Mapping[str, Drill] = {
    f"{fault}_{stage}": Drill(stage=stage, fault=kind, looks=looks, notices=_UNLOGGED if stage == "store" else _NOTICES)
    for stage, looks in _LOOKS.items()
    for fault, kind in (("slow", "slow"), ("failing", "fail"), ("hanging", "hang"))
}
