"""Posts known by their ids, reviewers who err as planted, authors who object, and drifts that do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.contract import Errand
from harmful_content import simulate
from harmful_content.config import Config
from harmful_content.schema import POLICIES
from harmful_content.simulate import desk, visits
from harmful_content.world import START, make
from harmful_content.world.posts import FRIENDLY, truth
from harmful_content.world.reach import FRIENDLY_ERROR, REVIEW_ERROR
from tests.harmful_content.test_pipeline import answer

DAY = 86_400
SINCE = START + 30 * DAY


def test_a_post_is_known_by_its_id_alone_once_it_is_written(tiny: Config) -> None:
    visit = next(visits(tiny, SINCE, SINCE + DAY))
    post_id, text = visit.request().post_id, visit.request().text
    again = desk.written_as(tiny, post_id, visit.event_time)
    assert again is not None and (again.text[0], again.user_id[0]) == (text, visit.request().user_id)
    assert desk.written_as(tiny, post_id, visit.event_time - 1) is None
    logged = make(tiny).posts
    for at in (0, 700):
        known = desk.written_as(tiny, at, SINCE)
        assert known is not None and known.text[0] == logged.text[at] and (known.chance[0] == logged.chance[at]).all()


def test_reviewers_say_what_the_panel_says_but_for_the_planted_error(tiny: Config) -> None:
    """And err as often with what is fine as with what is not; with friendly words of a dialect much more often."""
    written = SINCE + np.arange(4_000) * 20
    posts = desk.posts(tiny, written)
    said, suspected, rng = truth(tiny, posts) > 0, np.arange(4_000) % len(POLICIES), np.random.default_rng(0)
    cases = [
        {"post_id": int(post_id), "policy": POLICIES[at]} for post_id, at in zip(posts.post_id, suspected, strict=True)
    ]
    found = np.array([desk.verdict(tiny, case, int(written[-1]), rng) for case in cases])
    upheld, harmful, friendly = found != "", said.any(axis=1), posts.form == FRIENDLY
    for group, error in ((harmful & ~friendly, REVIEW_ERROR), (~harmful & ~friendly, REVIEW_ERROR), (friendly, FRIENDLY_ERROR)):  # fmt: skip
        n = int(group.sum())
        assert n > 80
        assert (upheld != harmful)[group].mean() == pytest.approx(error, abs=4 * np.sqrt(error * (1 - error) / n))
    right = np.flatnonzero(upheld & harmful)
    named = np.array([POLICIES.index(policy) for policy in found[right]])
    assert said[right, named].all(), "a policy that is violated"
    both = said[right, suspected[right]]
    assert (named[both] == suspected[right][both]).all() and both.any(), "the suspected one, if it is"


def test_nothing_is_said_against_a_post_that_nobody_wrote(tiny: Config) -> None:
    rng = np.random.default_rng(0)
    assert {desk.verdict(tiny, {"post_id": 2_000_000_000, "policy": "spam"}, SINCE, rng) for _ in range(200)} == {""}


def test_authors_object_where_they_are_wronged_and_only_if_they_may(tiny: Config) -> None:
    some = [(visit, _errands(visit, "remove")) for visit in visits(tiny, SINCE, SINCE + 20 * DAY)]
    looks = {harmful: np.mean([any(_looks(one) for one in errands) for visit, errands in some if desk.is_harmful(tiny, visit.post) == harmful]) for harmful in (False, True)}  # fmt: skip
    assert looks[False] == pytest.approx(desk.OBJECTS_WRONGED, abs=0.06)
    assert looks[True] == pytest.approx(desk.OBJECTS_CAUGHT, abs=0.06)
    notice = next(one for _, errands in some for one in errands if _looks(one))
    assert not notice.react({"appeal_until": 0})
    (appeal,) = notice.react({"appeal_until": SINCE + 90 * DAY})
    assert isinstance(appeal, Errand) and appeal.route.endswith("appeal") and appeal.body == notice.body
    (heard,) = appeal.react({})
    assert isinstance(heard, Errand) and heard.route.endswith("review/next") and heard.event_time > appeal.event_time


def test_a_reviewer_who_finds_nothing_waiting_decides_nothing(tiny: Config) -> None:
    asked = desk.review(tiny, SINCE, 7)
    assert asked.react({"post_id": -1}) == []
    visit = next(visits(tiny, SINCE - DAY, SINCE))
    (said,) = asked.react({"post_id": visit.request().post_id, "policy": "spam"})
    assert isinstance(said, Errand)
    assert said.body["reviewer_id"] == asked.body["reviewer_id"] and said.event_time > asked.event_time


def test_nobody_comes_back_for_a_post_that_was_never_logged(tiny: Config) -> None:
    lost = replace(answer("remove"), degraded=["log"])
    errands = [one for visit in visits(tiny, SINCE, SINCE + 5 * DAY) for one in visit.react(lost)]
    assert errands and not any(_looks(one) for one in errands)


def test_each_drift_does_what_it_says(tiny: Config) -> None:
    weeks = {
        name: list(visits(replace(tiny, drift=name), SINCE, SINCE + 7 * DAY))
        for name in ("none", "dialect_mix", "new_harm")
    }
    share = {
        name: (np.mean([v.post.dialect[0] for v in week]), np.mean([v.post.is_new[0] for v in week]))
        for name, week in weeks.items()
    }
    assert share["none"][0] < 0.3 and share["none"][1] < 0.06
    assert share["dialect_mix"][0] == pytest.approx(0.6, abs=0.05) and share["new_harm"][1] == pytest.approx(1 / 3, abs=0.1)  # fmt: skip
    usual = weeks["none"]
    assert [len(week) for week in weeks.values()] == [len(usual)] * 3
    lost = [replace_drift(visit, "pictures_lost") for visit in usual]
    assert any(visit.request().image for visit in usual)
    assert not any(visit.request().image for visit in lost if visit.request().text)
    bombed = [replace_drift(visit, "report_bombing") for visit in usual]
    more = np.array([_reports(after) - _reports(before) for before, after in zip(usual, bombed, strict=True)])
    assert (more >= 0).all() and (more >= 5).mean() == pytest.approx(simulate.BOMBED, abs=0.06)


def test_an_unknown_drift_is_refused(tiny: Config) -> None:
    with pytest.raises(ValueError, match="Did you mean 'new_harm'"):
        next(visits(replace(tiny, drift="new_ham"), SINCE, SINCE + DAY))


def replace_drift(visit: simulate.Visit, drift: str) -> simulate.Visit:
    return replace(visit, config=replace(visit.config, drift=drift))


def _errands(visit: simulate.Visit, action: str) -> list[Errand]:
    return [one for one in visit.react(answer(action)) if isinstance(one, Errand)]


def _looks(one: object) -> bool:
    return isinstance(one, Errand) and one.route.endswith("notice")


def _reports(visit: simulate.Visit) -> int:
    return sum(getattr(one, "kind", "") == "report" for one in visit.react(answer("allow")))
