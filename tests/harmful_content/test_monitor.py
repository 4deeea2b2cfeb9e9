"""Quiet on what it was fitted on; fires when scores move, reactions stop, inputs are missing or a stage fails; and not on a handful of posts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contract import Floats
from common.monitoring.reference import References
from harmful_content.config import SMOKE
from harmful_content.monitor import FEWEST, check, reference
from harmful_content.schema import ACTIONS, NO_IMAGES, Live, Rows


def scored(n: int, seed: int) -> Floats:
    scores: Floats = np.random.default_rng(seed).beta(0.4, 8, (n, 7))
    return scores


def rows(n: int) -> Rows:
    ints, unknown = np.arange(n), np.full((n, 7), np.nan)
    return Rows(
        post_id=ints, user_id=ints // 2, event_time=ints, moment=ints, text=np.full(n, ""), image=np.full(n, -1),
        images=NO_IMAGES, natural_label=unknown, hand_label=unknown,
    )  # fmt: skip


def live(n: int, seed: int) -> Live:
    zeros = np.zeros(n, dtype=np.int64)
    return Live(
        rows=rows(n), predictions=scored(n, seed).max(axis=1), policy=zeros, action=zeros, reacted=np.ones(n), num_missing=zeros,
        num_unknown=zeros, degraded=zeros > 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def healthy() -> References:
    return reference(scored(2_000, 0), rows(2_000), SMOKE)


def test_it_is_quiet_on_nineteen_of_twenty_healthy_weeks(healthy: References) -> None:
    assert sum(bool(check(healthy, live(600, seed), SMOKE)) for seed in range(1, 21)) <= 1


@pytest.mark.parametrize("name", ["missing", "unknown", "degraded", "reacted", "drift.prediction"])
def test_each_failure_fires_its_own_alert(healthy: References, name: str) -> None:
    week = live(600, 1)
    third = np.arange(600) % 3 == 0
    broken = {
        "missing": replace(week, num_missing=third.astype(np.int64)),
        "unknown": replace(week, num_unknown=third.astype(np.int64)),
        "degraded": replace(week, degraded=third),
        "reacted": replace(week, reacted=(~third).astype(float)),
        "drift.prediction": replace(week, predictions=np.sqrt(week.predictions)),
    }
    assert [alert.name for alert in check(healthy, broken[name], SMOKE)] == [name]


def test_a_removed_post_is_not_asked_who_reacted(healthy: References) -> None:
    gone = np.arange(600) % 3 == 0
    week = replace(live(600, 2), reacted=(~gone).astype(float), action=np.where(gone, ACTIONS.index("remove"), 0))
    assert not check(healthy, week, SMOKE)


def test_a_handful_of_posts_says_nothing(healthy: References) -> None:
    few = live(FEWEST - 1, 3)
    assert not check(healthy, replace(few, degraded=np.ones(len(few.rows), dtype=bool)), SMOKE)
