"""Simulated authors, readers and reviewers drive the served case: what they leave in the log, what is measured of it, what comes back as labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from common.checks import Trial
from common.checks.trial import TOKEN, Running
from common.contract import Events
from common.events import take
from common.lifecycle.traffic import Played, play
from harmful_content import data, monitor, simulate
from harmful_content.evaluate import online
from harmful_content.schema import POLICIES, Live
from harmful_content.simulate import desk
from harmful_content.world.posts import truth
from tests.harmful_content.test_serve_desk import Desk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WEEK = 7 * 86_400
FOUR = {"prevalence_posts", "prevalence_views", "proactive_rate", "valid_appeal_rate"}


class Week:
    def __init__(self, trial: Trial, served: Running) -> None:
        since, start = served.clock.now(), served.platform.log.end
        self.trial, self.served = trial, served
        self.played: Played = play(
            trial.case, simulate.visits(trial.config, since, since + WEEK), served.client, served.clock, token=TOKEN
        )
        self.events: Events = served.logged(start)
        self.live: Live = data.live(self.events, trial.config)

    def of(self, kind: str) -> Events:
        return take(self.events, np.flatnonzero(self.events.kind == kind))


@pytest.fixture(scope="module")
def week(trial: Trial) -> Iterator[Week]:
    with trial.apart("played") as served:
        yield Week(trial, served)


def test_nobody_meets_an_error_and_the_log_holds_reviews_removals_and_appeals(week: Week) -> None:
    assert not week.played.errors and week.played.errands > week.played.visits / 2
    review, appeal, handed = (week.of(kind) for kind in ("review", "appeal", "assignment"))
    assert len(handed) == len(review) > 100 and len(appeal) > 3
    assert 0.1 < review.values["upheld"].mean() < 0.9
    assert len(np.unique(review.values["chosen"])) > 2, "by priority, by age, by lot"


def test_reviews_move_posts_and_granted_appeals_restore_them(week: Week) -> None:
    """The state of each post after its last review; a post that was given back is told so."""
    review, appealed = week.of("review"), set(week.of("appeal").keys["post_id"].tolist())
    last = dict(zip(review.keys["post_id"].tolist(), review.values["upheld"].tolist(), strict=True))
    post_of = week.served.service.docket.find
    moved = {post_id: post_of(post_id).state for post_id in last}
    waiting = {post_id for post_id in appealed if post_of(post_id).state == "appealed"}
    for post_id in last.keys() - waiting:
        states = ("reversed", "upheld") if post_id in appealed else ("cleared", "removed")
        assert moved[post_id] == states[last[post_id]]
    back = [post_id for post_id, state in moved.items() if state == "reversed"]
    assert back, "no appeal of the week was granted"
    told = week.served.client.post("/harmful_content/notice", json={"post_id": back[0], "user_id": post_of(back[0]).user_id})  # fmt: skip
    assert (told.json()["state"], told.json()["policy"]) == ("reversed", "")


def test_reviewers_are_mostly_right_by_the_panel(week: Week) -> None:
    """And without them the log would not know: what was suspected is right much less often."""
    review = week.of("review")
    known = [desk.written_as(week.trial.config, post_id, week.served.clock.now()) for post_id in review.keys["post_id"].tolist()]  # fmt: skip
    harmful = np.array([post is not None and truth(week.trial.config, post).any() for post in known])
    assert (harmful == (review.values["upheld"] == 1)).mean() > 0.85
    assert harmful.mean() < 0.75


def test_the_four_rates_are_measured_by_the_key_and_by_hand(week: Week) -> None:
    posts, config = week.live.posts, week.trial.config
    written = [desk.written_as(config, post_id, week.served.clock.now()) for post_id in posts.post_id.tolist()]
    harmful = np.array([post is not None and bool(truth(config, post).any()) for post in written])
    key, by_hand = online.measured(posts, harmful), monitor.measured(week.live)
    assert set(key) == FOUR and set(by_hand) == FOUR | {f"reports:{policy}" for policy in POLICIES}
    stands = harmful[posts.post_id.searchsorted(week.live.rows.post_id)][week.live.weight > 0]
    assert by_hand["prevalence_posts"].n <= len(stands) and key["prevalence_posts"].n > 5 * len(stands)
    for name in ("prevalence_posts", "proactive_rate"):
        low, high = by_hand[name].low, by_hand[name].high
        assert low is not None and high is not None and low <= key[name].value <= high, (name, key[name], by_hand[name])


def test_a_review_over_http_is_a_hand_label_and_a_granted_appeal_corrects_it(trial: Trial) -> None:
    """The next load of the log has them; who trains on it counts them as labels by hand."""
    with trial.apart("labels") as served:
        people, start = Desk(served), served.platform.log.end

        def label(post_id: int) -> list[float]:
            rows = data.live(served.logged(start), trial.config).rows
            found: list[float] = rows.hand_label[rows.post_id.tolist().index(post_id)].tolist()
            target, weight = rows.targets(trial.config.hand_weight)
            row = rows.post_id.tolist().index(post_id)
            assert np.isnan(found).all() or (target[row].tolist(), set(weight[row])) == (found, {trial.config.hand_weight})  # fmt: skip
            return found

        people.held(5_100_001, "nobody has read this one yet, so who can tell", 7_100_001)
        assert np.isnan(label(5_100_001)).all()
        people.until(5_100_001)
        people.verdict(5_100_001, "hate")
        assert label(5_100_001) == [float(policy == "hate") for policy in POLICIES]
        assert people.author("appeal", 5_100_001, 7_100_001).status_code == 200
        assert label(5_100_001)[POLICIES.index("hate")] == 1, "an appeal says nothing until it is heard"
        people.until(5_100_001, reviewer=2)
        people.verdict(5_100_001, "", reviewer=2)
        assert label(5_100_001) == [0.0] * len(POLICIES)
