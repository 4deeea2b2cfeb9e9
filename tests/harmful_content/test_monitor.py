"""Quiet on what it was fitted on; each failure fires its own alert; a handful of posts says nothing. Made-up columns; served weeks: test_weeks.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.contract import Floats
from common.monitoring.reference import References
from harmful_content.config import SMOKE
from harmful_content.monitor import CROWD, FEWEST, check, reference
from harmful_content.schema import ACTIONS, NO_IMAGES, Live, Moderated, Rows

N = 600
THIRD = np.arange(N) % 3 == 0


def scored(n: int, seed: int) -> Floats:
    scores: Floats = np.random.default_rng(seed).beta(0.4, 8, (n, 7))
    return scores


def rows(n: int, seed: int = 0) -> Rows:
    """A tenth is reviewed, half of it upheld; another tenth is complained of; one in twenty is enforced, one in ten of those reversed."""
    rng, ints, unknown = np.random.default_rng([seed, 1]), np.arange(n), np.full((n, 7), np.nan)
    policy, part = np.eye(7)[rng.integers(7, size=n)], rng.random((n, 6))
    by_hand = np.where(part[:, :1] < 0.1, policy * (part[:, 1:2] < 0.5), unknown)
    words = rng.poisson(7, n).astype(float)
    numbers = {
        "num_words": words, "unknown_words": rng.binomial(words.astype(int), 0.15).astype(float),
        "has_picture": (part[:, 2] < 0.6).astype(float), "views": rng.poisson(80, n).astype(float), "reports": rng.poisson(0.3, n).astype(float),
        "found": np.where(part[:, 3] < 0.3, (part[:, 3] < 0.24).astype(float), np.nan),
        "reversed": np.where(part[:, 4] < 0.2, (part[:, 4] < 0.02).astype(float), np.nan),
    }  # fmt: skip
    return Rows(
        post_id=ints, user_id=ints // 2, event_time=ints, moment=ints, text=np.full(n, ""), image=np.full(n, -1),
        images=NO_IMAGES, natural_label=policy * (part[:, 5:] < 0.1), hand_label=by_hand, numbers=numbers,
    )  # fmt: skip


def live(n: int, seed: int) -> Live:
    zeros, no = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    posts = Moderated(
        post_id=np.arange(n), user_id=zeros, views=zeros, reports=zeros, prevented=no, found=no, reported=no,
        enforced=no, reversed=no,
    )  # fmt: skip
    return Live(
        rows=rows(n, seed), posts=posts, weight=np.zeros(n), predictions=scored(n, seed).max(axis=1), policy=zeros, action=zeros,
        reacted=np.ones(n), num_missing=zeros, num_unknown=zeros, degraded=no, report_policy=zeros, report_author=zeros,
    )  # fmt: skip


@pytest.fixture(scope="module")
def healthy() -> References:
    """As at training: of validation rows, of which nobody has told what people do."""
    return reference(scored(2_000, 0), rows(2_000), SMOKE)


@pytest.fixture(scope="module")
def served() -> References:
    week = live(2_000, 0)
    return reference(week.predictions, week.rows, SMOKE, served=True)


def test_it_is_quiet_on_nineteen_of_twenty_healthy_weeks(healthy: References, served: References) -> None:
    for expected in (healthy, served):
        assert sum(bool(check(expected, live(N, seed), SMOKE)) for seed in range(1, 21)) <= 1


def numbered(week: Live, **changed: Any) -> Live:
    return replace(week, rows=replace(week.rows, numbers={**week.rows.numbers, **changed}))


ARRIVES: dict[str, Callable[[Live], Live]] = {
    "missing": lambda week: replace(week, num_missing=THIRD.astype(np.int64)),
    "unknown": lambda week: replace(week, num_unknown=THIRD.astype(np.int64)),
    "degraded": lambda week: replace(week, degraded=THIRD),
    "reacted": lambda week: replace(week, reacted=(~THIRD).astype(float)),
    "has_picture": lambda week: numbered(week, has_picture=week.rows.numbers["has_picture"] * ~THIRD),
    "drift.prediction": lambda week: replace(week, predictions=np.sqrt(week.predictions)),
}
PEOPLE: dict[str, Callable[[Live], Live]] = {
    "drift.num_words": lambda week: numbered(week, num_words=week.rows.numbers["num_words"] + 2),
    "unknown_words": lambda week: numbered(week, unknown_words=2 * week.rows.numbers["unknown_words"]),
    "bombed": lambda week: numbered(
        week, reports=np.where(np.arange(N) % 8 == 0, 25.0 + CROWD, week.rows.numbers["reports"])
    ),
    "reversed": lambda week: numbered(week, reversed=np.where(THIRD, 1.0, week.rows.numbers["reversed"])),
    "proactive": lambda week: numbered(week, found=np.zeros(N)),
    "upheld": lambda week: replace(
        week, rows=replace(week.rows, hand_label=np.where(THIRD[:, None], 0.0, week.rows.hand_label))
    ),
    "drift.violated": lambda week: replace(
        week,
        rows=replace(
            week.rows, natural_label=np.eye(7)[np.full(N, 2)] * week.rows.natural_label.any(axis=1, keepdims=True)
        ),
    ),
}


@pytest.mark.parametrize("name", ARRIVES)
def test_each_failure_fires_its_own_alert(healthy: References, name: str) -> None:
    assert [alert.name for alert in check(healthy, ARRIVES[name](live(N, 1)), SMOKE)] == [name]


@pytest.mark.parametrize("name", [*ARRIVES, *PEOPLE])
def test_what_people_do_is_compared_with_a_served_week(served: References, name: str) -> None:
    week = (ARRIVES | PEOPLE)[name](live(N, 1))
    assert [alert.name for alert in check(served, week, SMOKE)] == [name]


@pytest.mark.parametrize("name", PEOPLE)
def test_and_not_with_validation_rows(healthy: References, name: str) -> None:
    """Negative control: what is not in the reference is not watched."""
    assert not check(healthy, PEOPLE[name](live(N, 1)), SMOKE)


def test_many_reports_of_a_post_that_many_see_are_no_campaign(served: References) -> None:
    popular = np.arange(N) % 8 == 0
    numbers = live(N, 1).rows.numbers
    week = numbered(live(N, 1), reports=np.where(popular, 30.0, numbers["reports"]), views=np.where(popular, 900.0, numbers["views"]))  # fmt: skip
    assert not check(served, week, SMOKE)


def test_a_removed_post_is_not_asked_who_reacted(healthy: References) -> None:
    week = replace(live(N, 2), reacted=(~THIRD).astype(float), action=np.where(THIRD, ACTIONS.index("remove"), 0))
    assert not check(healthy, week, SMOKE)


def test_a_handful_of_posts_says_nothing(healthy: References) -> None:
    few = live(FEWEST - 1, 3)
    assert not check(healthy, replace(few, degraded=np.ones(len(few.rows), dtype=bool)), SMOKE)
