"""What is measured online: a planted log, a loop over random logs in plain Python, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contract import Bools, Events
from common.errors import InputError
from common.eval import report
from harmful_content import data, world
from harmful_content.config import SMOKE
from harmful_content.data import moderated
from harmful_content.evaluate import online
from harmful_content.schema import ACTIONS, POLICIES

ALLOW, DEMOTE, QUEUE, REMOVE = range(len(ACTIONS))
Line = tuple[str, int, int]  # kind, post, and the one value that matters: action, views, policy or upheld
VALUE = {"impression": "action", "reactions": "views", "report": "policy", "review": "upheld"}


def log(*lines: Line) -> Events:
    """The author of a post is ten times its id."""
    post = np.array([post for _, post, _ in lines], np.int64)
    names = sorted(set(VALUE.values()))
    return Events(
        position=np.arange(len(lines)) * 3,
        kind=np.array([kind for kind, _, _ in lines], str),
        event_time=np.zeros(len(lines), np.int64),
        moment=np.full(len(lines), -1),
        keys={"post_id": post, "user_id": post * 10},
        values={
            name: np.array([value * (VALUE[kind] == name) for kind, _, value in lines], np.int64) for name in names
        },
    )


PLANTED = log(
    ("impression", 1, REMOVE),  # harmful, removed before anybody saw it
    ("impression", 2, ALLOW),  # harmful, reported, then removed: the users found it
    ("impression", 3, QUEUE),  # harmful, queued, reported later: the system found it, and prevented nothing
    ("impression", 4, REMOVE),  # fine, removed, given back
    ("impression", 5, ALLOW),  # fine, reported by a grudge
    ("impression", 6, ALLOW),  # harmful, and nobody noticed
    ("reactions", 2, 30),
    ("reactions", 3, 10),
    ("report", 2, 0),
    ("reactions", 2, 10),
    ("impression", 2, REMOVE),
    ("report", 3, 3),
    ("review", 3, 0),  # not enforced, so nothing is reversed
    ("review", 4, 0),
    ("reactions", 5, 40),
    ("report", 5, 3),
    ("reactions", 6, 10),
    ("report", 99, 6),  # of a post that was never judged
)
HARMFUL = np.array([True, True, True, False, False, True])


def test_the_four_rates_of_a_planted_log() -> None:
    found = online.measured(moderated.read(PLANTED), HARMFUL)
    assert {key: interval.value for key, interval in found.items()} == pytest.approx(
        {"prevalence_posts": 3 / 6, "prevalence_views": 60 / 100, "proactive_rate": 2 / 3, "valid_appeal_rate": 1 / 3}
    )
    for key, interval in found.items():
        assert report.metric(key) and interval.low is not None and interval.high is not None
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_reach_is_what_tells_the_two_prevalences_apart() -> None:
    quiet, loud = (online.measured(moderated.read(log(("impression", 1, ALLOW), ("impression", 2, ALLOW), ("reactions", 1, views), ("reactions", 2, 50))), np.array([True, False])) for views in (1, 1_000))  # fmt: skip
    assert quiet["prevalence_posts"].value == loud["prevalence_posts"].value == 0.5
    assert quiet["prevalence_views"].value == pytest.approx(1 / 51) and loud["prevalence_views"].value > 0.9


def test_reports_are_counted_under_their_policy() -> None:
    found = online.reports_by_policy(data.live(PLANTED, SMOKE))
    assert {key: interval.value for key, interval in found.items()} == {
        f"reports:{name}": {0: 1, 3: 2, 6: 1}.get(at, 0) / 4 for at, name in enumerate(POLICIES)
    }
    one_author = data.live(log(("impression", 1, ALLOW), ("report", 1, 0), ("report", 1, 3)), SMOKE)
    assert online.reports_by_policy(one_author) == {}, "of one author's posts no interval is had"


def test_a_rate_of_nothing_is_left_out_and_refused_when_asked_for() -> None:
    quiet = moderated.read(log(("impression", 1, ALLOW), ("impression", 2, ALLOW)))
    assert set(online.measured(quiet, np.array([False, False]))) == {"prevalence_posts"}
    with pytest.raises(InputError, match="nothing was counted"):
        online.rate(np.zeros(2), np.zeros(2), np.arange(2))


@given(st.lists(st.tuples(st.sampled_from(sorted(VALUE)), st.integers(1, 5), st.integers(0, 3)), max_size=40))
def test_the_log_is_read_as_a_loop_reads_it(lines: list[Line]) -> None:
    lines = [(kind, post, value % 2 if kind == "review" else value) for kind, post, value in lines]
    found = moderated.read(log(*lines))
    expected = _loop(lines)
    assert found.post_id.tolist() == sorted(expected) and (found.user_id == 10 * found.post_id).all()
    for at, post in enumerate(found.post_id.tolist()):
        assert {name: getattr(found, name)[at] for name in expected[post]} == expected[post]


def _loop(lines: list[Line]) -> dict[int, dict[str, Any]]:
    """Event by event; what is said of a post before its first impression counts as well, for the log is read whole."""
    posts = {post for kind, post, _ in lines if kind == "impression"}
    state: dict[int, dict[str, Any]] = {
        post: {"views": 0, "reports": 0, "prevented": None, "found": False, "reported": False, "enforced": False, "reversed": False} for post in posts}  # fmt: skip
    for kind, post, value in lines:
        if post not in posts:
            continue
        known = state[post]
        if kind == "impression":
            known["prevented"] = value == REMOVE if known["prevented"] is None else known["prevented"]
            known["found"] |= value != ALLOW and not known["reported"]
            known["enforced"] |= value in (DEMOTE, REMOVE)
        elif kind == "report":
            known["reported"] |= not known["found"]
            known["reports"] += 1
        elif kind == "reactions":
            known["views"] += value
        elif value == 0:
            known["reversed"] |= known["enforced"]
        else:
            known["found"] |= not known["reported"]
            known["enforced"] = True
    return state


def test_the_interval_is_over_authors_and_holds_the_truth() -> None:
    """Authors post alike: an interval over posts would be too narrow, and is the control."""
    held = {"authors": 0, "posts": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        author = np.repeat(np.arange(60), 10)
        part = (rng.random(60) < 0.3)[author].astype(float)
        for name, clusters in (("authors", author), ("posts", np.arange(600))):
            found = online.rate(part, np.ones(600), clusters)
            assert found.low is not None and found.high is not None
            held[name] += found.low <= 0.3 <= found.high
    assert held["authors"] >= 180 and held["posts"] < 120


def test_the_four_are_measured_on_the_log_of_the_case() -> None:
    """Views expected of the planted posts are the oracle of views counted; the incumbent's keyword list finds little and prevents nothing."""
    planted = world.make(SMOKE)
    events = data.load(SMOKE).history.events
    posts = moderated.read(events)
    assert len(posts) > 0.99 * len(planted.views)  # some were written, and not yet judged, when the log ends
    harmful: Bools = np.any(planted.truth[posts.post_id] > 0, axis=1)
    found = online.measured(posts, harmful)
    assert found["prevalence_posts"].value == pytest.approx((harmful & ~posts.prevented).mean())
    views = planted.views[posts.post_id]
    expected = (harmful * views).sum() / views.sum()
    assert found["prevalence_views"].value == pytest.approx(expected, rel=0.35)
    assert set(found) == {"prevalence_posts", "prevalence_views", "proactive_rate", "valid_appeal_rate"}
    shares = online.reports_by_policy(data.live(events, SMOKE))
    assert len(shares) == len(POLICIES) and sum(one.value for one in shares.values()) == pytest.approx(1)
