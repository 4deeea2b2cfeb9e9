"""What is watched: whether posts arrive whole, look as they did, and are heard of again; and what people say of them.

In:     scores and validation rows at training time; later, served posts.
Out:    alerts, each with what it means and the next step; the four rates of the platform and its reports (`measured`).
Choice: posts come whatever we decide, so scores and lengths of text may be compared; what people did is compared with an earlier served week alone
        (`served=True`), as nothing else had this platform's actions. Authors are the independent units.
Else:   every word's share, where texts are logged; the log here holds none, so a change of wording shows in lengths and unknown words.
Breaks: a policy too rare to be seen in a week; a dialect of the same length and known words. With validation rows, whose wording training shared, scores
        are compared only by far (FAR_PSI).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Floats, Ints
from common.eval.report import Interval
from common.monitoring.alerts import CONCEPT_DRIFT, DATA_DRIFT, PIPELINE_FAILED, Alert
from common.monitoring.reference import (
    ALPHA,
    CategoryReference,
    NumberReference,
    RateReference,
    Reference,
    References,
)
from harmful_content.config import Config
from harmful_content.evaluate import online
from harmful_content.schema import ACTIONS, POLICIES, Live, Rows

FEWEST = 100  # posts; below it every number is noise
FEWEST_COUNTED = 30  # of them that a rate counts, or that people call violating
SHARE_CHANGE, REACTED_CHANGE, PICTURE_CHANGE = 0.02, 0.1, 0.15
PSI, FAR_PSI = (
    0.15,
    0.6,
)  # against a served week; against validation, where health runs to 0.4 by sentences and authors that training did not have
CROWD, OF_VIEWS = 5, 0.2  # reports of a campaign: so many, and more of its viewers than report the worst post
BOMBED_CHANGE, RATE_CHANGE = 0.03, 0.15
WORD_CHANGE = 0.5  # of the share of unknown words
POLICY = "violated"  # the policies of what violates

Rate = tuple[Floats, Floats]


def reference(predictions: Floats, rows: Rows, config: Config, *, served: bool = False) -> References:
    """predictions [n, num_policies], or [n] the greatest. What health looks like. `served`: the rows are served posts, so what people did counts."""
    ones, nothing = np.ones(len(rows)), np.zeros(len(rows))
    never = {"missing": PIPELINE_FAILED, "unknown": DATA_DRIFT, "degraded": PIPELINE_FAILED}
    parts: dict[str, Reference] = {
        name: RateReference.of(name, nothing, ones, means=means, min_change=SHARE_CHANGE, absolute=True)
        for name, means in never.items()
    }
    parts["reacted"] = RateReference.of(
        "reacted", ones, ones, means=PIPELINE_FAILED, min_change=REACTED_CHANGE, absolute=True
    )
    parts["has_picture"] = RateReference.of(
        "has_picture", _pictures(rows), ones, rows.user_id, means=PIPELINE_FAILED, min_change=PICTURE_CHANGE, absolute=True
    )  # fmt: skip
    score = predictions if predictions.ndim == 1 else predictions.max(axis=1)
    parts["prediction"] = NumberReference.of("prediction", score, rows.user_id)
    return References(parts | (_of_served(rows) if served else {}))


def _of_served(rows: Rows) -> dict[str, Reference]:
    changes = {"unknown_words": (DATA_DRIFT, WORD_CHANGE, False), "bombed": (CONCEPT_DRIFT, BOMBED_CHANGE, True)}
    parts: dict[str, Reference] = {
        "num_words": NumberReference.of("num_words", rows.numbers["num_words"], rows.user_id)
    }
    for name, (part, whole) in _rates(rows).items():
        means, change, absolute = changes.get(name, (CONCEPT_DRIFT, RATE_CHANGE, True))
        if whole.any():
            parts[name] = RateReference.of(
                name, part, whole, rows.user_id, means=means, min_change=change, absolute=absolute
            )
    policy, at = _violated(rows)
    if len(at) >= FEWEST_COUNTED:
        parts[POLICY] = CategoryReference.of(POLICY, policy, rows.user_id[at])
    return parts


def load(folder: Path) -> References:
    return References.load(folder)


def check(reference: References, live: Live, config: Config) -> list[Alert]:
    """Quiet below FEWEST posts. Whether anybody reacted is asked of posts that were left up long enough ago."""
    n = len(live.rows)
    if n < FEWEST:
        return []
    ones = np.ones(n)
    up = (live.action < ACTIONS.index("remove")) & ~np.isnan(live.reacted)
    rates: dict[str, Rate] = {
        "missing": ((live.num_missing > 0).astype(float), ones),
        "unknown": ((live.num_unknown > 0).astype(float), ones),
        "degraded": (live.degraded.astype(float), ones),
        "reacted": (np.where(up, live.reacted, 0.0), up.astype(float)),
        "has_picture": (_pictures(live.rows), ones),
        **_rates(live.rows),
    }
    columns: dict[str, Any] = {name: rate for name, rate in rates.items() if (rate[1] > 0).sum() >= FEWEST_COUNTED}
    columns |= {"prediction": live.predictions, "num_words": live.rows.numbers["num_words"]}
    parts = {name: part for name, part in reference.parts.items() if name in columns}
    num_parts, is_served = len(reference.parts), "num_words" in reference.parts
    found: list[Alert] = References(parts).check(
        {name: columns[name] for name in parts}, live.rows.user_id, alpha=ALPHA * len(parts) / num_parts,
        min_psi=PSI if is_served else FAR_PSI,
    )  # fmt: skip
    policy, at = _violated(live.rows)
    if POLICY in reference.parts and len(at) >= FEWEST_COUNTED:
        alone = References({POLICY: reference.parts[POLICY]})
        found += alone.check({POLICY: policy}, live.rows.user_id[at], alpha=ALPHA / num_parts, min_psi=PSI)
    return found


def measured(live: Live) -> Mapping[str, Interval]:
    """The four rates, as far as reviewers have said, and what reports are about; no alarm hangs on them: prevalence from a week's lots is known to a few
    points at best."""
    return {**online.by_hand(live), **online.reports_by_policy(live)}


def _pictures(rows: Rows) -> Floats:
    """[n] 1 where a post has one; of served rows the log says so."""
    found: Floats = rows.numbers.get("has_picture", (rows.image >= 0).astype(float))
    return found


def _rates(rows: Rows) -> dict[str, Rate]:
    """[n] each, what is counted and of how many; rows of which a rate knows nothing (yet) count neither above nor below the line."""
    numbers, by_hand = rows.numbers, ~np.isnan(rows.hand_label[:, 0])
    closed = ~np.isnan(numbers["reports"])
    reports, views = np.nan_to_num(numbers["reports"]), np.nan_to_num(numbers["views"])
    bombed = (reports >= CROWD) & (reports > OF_VIEWS * views)
    violates = np.nansum(rows.hand_label, axis=1) > 0
    known = {name: ~np.isnan(numbers[name]) for name in ("found", "reversed")}
    counted = {
        "bombed": (bombed, closed),
        "complained_of": (np.nansum(rows.natural_label, axis=1) > 0, closed),
        "upheld": (violates, by_hand),
        "proactive": (violates & (numbers["found"] == 1), violates & known["found"]),
        "reversed": (numbers["reversed"] == 1, known["reversed"]),
    }
    found = {name: ((part & whole).astype(float), whole.astype(float)) for name, (part, whole) in counted.items()}
    return found | {"unknown_words": (numbers["unknown_words"], numbers["num_words"])}


def _violated(rows: Rows) -> tuple[Any, Ints]:
    """-> (the policy that each violates, which rows those are): by the reviewer, else by enough reports."""
    label, _ = rows.targets(1.0)
    at = np.flatnonzero(label.any(axis=1))
    return np.array(POLICIES)[label[at].argmax(axis=1)], at
