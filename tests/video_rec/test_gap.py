"""The offline-online gap: the fast simulator is the slow one, propensities are frequencies, and the winner on the log loses."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import cast

import numpy as np
import pytest

from common.contract import Floats, Ints, Table
from common.eval.chart import flips
from common.eval.ranking import judge
from common.population import Population
from video_rec.config import SMOKE, Config
from video_rec.experiments import gap, light, loop, objectives, off_policy, online, policies
from video_rec.experiments.online import DAY, Crowd, Seen, Visits
from video_rec.experiments.policies import Exploring, Incumbent, Lab, Ranked
from video_rec.schema import Answer
from video_rec.simulate import Memory, Visit
from video_rec.world import START, make
from video_rec.world.nature import DRAWS

TINY = replace(SMOKE, num_users=60, num_videos=200, num_impressions=6_000, num_judged=20)
FEED = 8


@pytest.fixture(scope="module")
def lab() -> Lab:
    return policies.opened(TINY)


def checked(table: Table) -> Table:
    """Finite numbers, the same columns in every row, intervals the right way round."""
    assert all(math.isfinite(value) for found in table for value in found.values() if isinstance(value, int | float))
    assert len(table) > 1 and all(set(found) == set(table[0]) for found in table)
    assert all(found["low"] <= found["high"] for found in table)
    return table


class Fixed:
    """Shows each viewer what the hour says: the same to the fast and to the slow simulator."""

    def feed(self, seen: Seen, users: Ints, times: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
        ids = (users[:, None] * 7 + times[:, None] // 3_600 * 11 + np.arange(FEED) * 3) % TINY.num_videos
        return ids, np.ones(ids.shape)


def visits() -> Visits:
    """Five viewers, an hour apart: they tire, and the last ones come when bored or not at all."""
    rng = np.random.default_rng(3)
    time = START + 15 * DAY + np.arange(60) * 1_200
    return Visits(np.arange(60) % 5, time, rng.random(60), rng.integers(0, 2**62, 60))


def seeded(keys: Ints, width: int) -> Floats:
    """The numbers that simulate.Visit draws from its seed."""
    return np.stack([np.random.default_rng(key).random((width, DRAWS)) for key in keys.tolist()])


def one_by_one(config: Config, asked: Visits) -> tuple[Memory, Counter[str], int]:
    """simulate.Visit, visit by visit -> what viewers remember, what they did, how many came."""
    memory, did, came = Memory(), Counter[str](), 0
    for user, time, chance, key in zip(*(column.tolist() for column in vars(asked).values()), strict=True):
        if chance >= memory.comes_back(user):
            continue
        came += 1
        ids = Fixed().feed(online.fresh(5, 1).seen, np.array([user]), np.array([time]), np.random.default_rng(0))[0][0]
        shown = [SimpleNamespace(video_id=i, creator_id=i // 20, slot=slot) for slot, i in enumerate(ids.tolist())]
        answer = cast(Answer, SimpleNamespace(request_id=1, videos=shown))
        for event in Visit(time, user, key, config, memory).react(answer):
            did[event.kind] += 1
            for name, value in event.values.items():
                did[name] += value
    return memory, did, came


def together(lab: Lab, asked: Visits) -> tuple[Crowd, dict[str, int], int]:
    state = online.fresh(5, TINY.num_videos)
    log = online.play(lab.world, Fixed(), asked, state, np.random.default_rng(0), seeded)
    names = {
        "watch": "clicked",
        "like": "liked",
        "hide": "hidden",
        "watch_seconds": "watch_seconds",
        "completed": "completed",
    }
    return state.crowd, {ours: int(getattr(log, theirs).sum()) for ours, theirs in names.items()}, len(np.unique(log.visit))  # fmt: skip


def test_many_at_once_react_tire_and_stay_away_as_they_do_one_by_one(lab: Lab) -> None:
    memory, did, came = one_by_one(TINY, visits())
    crowd, did_together, came_together = together(lab, visits())
    assert (did_together, came_together) == ({name: did[name] for name in did_together}, came)
    assert 20 < came < 60 and did["watch"] > 20
    for user in range(5):
        time, tired = memory.tired[user]
        assert crowd.since[user] == time
        np.testing.assert_allclose(crowd.tired[user], tired)
        assert crowd.satisfied[user] == pytest.approx(memory.satisfied[user])


def test_a_simulator_whose_viewers_do_not_tire_is_told_apart(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the comparison above."""
    memory, _, _ = one_by_one(TINY, visits())
    monkeypatch.setattr(Crowd, "tiredness", lambda self, users, times: 0 * self.tired[users])
    crowd, _, _ = together(lab, visits())
    assert any(abs(crowd.satisfied[user] - memory.satisfied[user]) > 1e-3 for user in range(5))


def test_what_is_known_grows_visit_by_visit_as_it_stands_in_the_log(lab: Lab) -> None:
    log, state = policies.logged(lab, 0.2)
    told = Seen.of(log.take(np.random.default_rng(0).permutation(len(log.user))), TINY.num_users, TINY.num_videos)
    np.testing.assert_array_equal(told.watched, state.seen.watched)
    np.testing.assert_array_equal(told.recent, state.seen.recent)
    np.testing.assert_array_equal(told.pleased, state.seen.pleased)


def test_satisfaction_is_the_mean_gain_of_each_feed_summed(lab: Lab) -> None:
    log, _ = policies.logged(lab, 0.2)
    by_hand = np.zeros(TINY.num_users)
    for visit in np.unique(log.visit):
        rows = log.visit == visit
        by_hand[log.user[rows][0]] += log.gain[rows].mean() / 14
    np.testing.assert_allclose(online.satisfaction(log, TINY.num_users, 14), by_hand)


def test_the_best_under_a_cap_are_those_of_a_greedy_walk() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        scores, creators = rng.normal(size=(3, 40)), rng.integers(0, 12, 40)
        scores[rng.random(scores.shape) < 0.3] = -np.inf
        found = online.best(scores, creators, 5, cap=2)
        for row in range(3):
            greedy: list[int] = []
            for video in np.argsort(-scores[row]).tolist():
                fits = sum(creators[other] == creators[video] for other in greedy) < 2
                if fits and np.isfinite(scores[row, video]) and len(greedy) < 5:
                    greedy.append(video)
            assert found[row].tolist() == greedy + [-1] * (5 - len(greedy))


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_propensity_is_how_often_a_video_is_drawn(lab: Lab, share: float) -> None:
    """The first slot of many feeds for one viewer (later slots also lose what an earlier one has). The control is a share told wrongly."""
    seen = online.fresh(1, TINY.num_videos).seen
    seen.recent[0, 0] = 30
    users, times = np.zeros(12_000, np.int64), np.full(12_000, START + 10 * DAY)
    incumbent = Incumbent(lab, share)
    incumbent.watches[:50] = np.arange(50) ** 2
    popular = Ranked(lab, lambda seen, users: np.tile(np.arange(TINY.num_videos), (len(users), 1)), cap=2, size=3)
    few = np.arange(TINY.num_videos) % 3 == 0
    for policy in (incumbent, Exploring(lab, popular, share), Exploring(lab, popular, share, few)):
        ids, told = policy.feed(seen, users, times, np.random.default_rng(1))
        drawn = np.bincount(ids[ids[:, 0] >= 0, 0], minlength=TINY.num_videos) / len(users)
        expected = np.zeros(TINY.num_videos)
        expected[ids[ids[:, 0] >= 0, 0]] = told[ids[:, 0] >= 0, 0]
        np.testing.assert_allclose(
            told[ids[:, 0] >= 0, 0], expected[ids[ids[:, 0] >= 0, 0]]
        )  # the same whenever it is drawn
        error = 5 * np.sqrt(expected * (1 - expected) / len(users)) + 1e-4
        assert (np.abs(drawn - expected) < error).all()
        assert expected.max() < 1 or share == 0
    if 0 < share < 1:
        assert (np.abs(drawn - np.roll(expected, 1)) > error).any()


def test_the_incumbent_is_that_of_the_world(lab: Lab) -> None:
    """Two logs of one platform, the world's own and ours: as much is watched, at the same propensities. The control is an incumbent at random."""
    theirs = make(lab.config).shown
    ours, _ = policies.logged(lab, 0.2)
    wanted = {"clicks": theirs.outcomes.clicked.mean(), "propensity": theirs.propensity.mean()}
    found = {"clicks": ours.clicked.mean(), "propensity": ours.propensity.mean()}
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=0.1), name
    chance, _ = policies.logged(lab, 1.0)
    assert chance.propensity.mean() != pytest.approx(wanted["propensity"], rel=0.1)


def test_nobody_is_shown_what_age_or_country_forbids(lab: Lab) -> None:
    users = np.arange(TINY.num_users)
    may = online.allowed(lab.world, online.fresh(60, 200).seen, users, np.full(60, lab.end))
    people, catalog = Population(lab.world.seed), lab.world.catalog
    for user, age, country in zip(users, people.age(users), people.country(users), strict=True):
        for video in range(TINY.num_videos):
            barred = catalog.min_age[video] > age or catalog.barred_in[video] & (1 << int(country))
            assert may[user, video] == (not barred and not catalog.explicit[video])
    log, _ = policies.logged(lab, 0.2)
    assert may[log.user, log.video].all()


def test_nothing_of_the_watches_left_out_or_later_is_learnt_from(lab: Lab) -> None:
    log, _ = policies.logged(lab, 0.2)
    before, held = gap.hold_out(log, TINY.num_users)
    for user, time, relevant in zip(held.users, held.times, held.relevant, strict=True):
        own, watched = before.user == user, log.video[(log.user == user) & (log.clicked > 0)]
        assert relevant[relevant >= 0].tolist() == watched[::-1][: gap.HELD].tolist()
        assert before.time[own].max(initial=0) < time
        assert not np.isin(relevant[relevant >= 0], before.video[own & (before.clicked > 0)]).any()
    assert ((held.pleased == held.relevant) | (held.pleased == -1)).all()


def test_the_weighted_share_is_plain_recall_when_every_propensity_is_the_same(lab: Lab) -> None:
    log, _ = policies.logged(lab, 0.2)
    before, held = gap.hold_out(log, TINY.num_users)
    seen = Seen.of(before, TINY.num_users, TINY.num_videos)
    held = replace(held, weight=np.full(held.weight.shape, 7.0))
    policy = Ranked(lab, light.cowatch(lab, before), cap=20)
    ids, _ = policy.feed(seen, held.users, held.times, np.random.default_rng(0))
    hits = judge(ids, held.relevant, ["recall@20"])["recall@20"] * (held.relevant >= 0).sum(axis=1)
    found = gap.offline(policy, seen, held)["watched, by 1 / propensity"].mean()
    assert found == pytest.approx(hits.sum() / (held.relevant >= 0).sum())


def test_the_sign_test_is_that_of_scipy() -> None:
    from scipy.stats import binomtest

    for k in range(21):
        assert gap.sign_test(k, 20) == pytest.approx(binomtest(k, 20).pvalue)


def test_the_light_ranker_finds_a_planted_line_and_describes_rows_by_what_came_before(lab: Lab) -> None:
    log, state = policies.logged(lab, 1.0)
    since = START + 8 * DAY
    before = log.take(log.time < since)
    seen = Seen.of(before, TINY.num_users, TINY.num_videos)
    x = light.known(lab, before).compare(seen, log.user, log.video)
    planted = np.random.default_rng(0).normal(size=x.shape[1]) / np.maximum(x.std(axis=0), 1e-9)
    label = np.where(log.time >= since, x @ planted, 1e6)  # what came before is never asked
    found = light.fit(lab, log, label, since)
    predicted = x @ found.weights + found.constant
    after = log.time >= since
    assert np.corrcoef(predicted[after], label[after])[0, 1] > 0.999
    users = np.arange(10)
    whole = found.known.table(state.seen, users) @ found.weights
    np.testing.assert_allclose(found(state.seen, users), whole, atol=1e-3 * np.abs(whole).max())


def test_a_blend_goes_from_taste_to_popularity(lab: Lab) -> None:
    log, state = policies.logged(lab, 0.2)
    taste, users = light.fit(lab, log, log.pleased, START + 8 * DAY), np.arange(9)
    watches = np.bincount(log.video, log.clicked, TINY.num_videos)
    alone, popular = (objectives.blended(taste, log, share)(state.seen, users) for share in (0.0, 1.0))
    np.testing.assert_array_equal(alone.argmax(axis=1), taste(state.seen, users).argmax(axis=1))
    assert (watches[popular.argmax(axis=1)] == watches.max()).all()


@pytest.mark.slow
def test_the_winner_on_the_log_loses_and_a_random_log_names_the_winner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap, "WORLDS", 2)
    for name, size in {"USERS": 300, "VIDEOS": 600, "IMPRESSIONS": 30_000}.items():
        monkeypatch.setattr(policies, name, size)
    rows = {(row["first"], row["incumbent"], row["judged_by"]): row for row in checked(gap.offline_winner(SMOKE))}
    for first, _ in gap.PAIRS:
        row = rows[first, "as planted", "watched"]
        assert (row["worlds_offline"], row["worlds_online"], row["flips"]) == (2, 0, 2)
    assert rows["co-watch", "random", "pleased"]["flips"] == 0


@pytest.mark.slow
def test_weighting_is_right_where_propensities_are_and_the_log_gives_them_away_where_not(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(off_policy, "LOGS", 6)
    rows = {(row["world"], row["target"], row["estimator"]): row for row in checked(off_policy.off_policy(SMOKE))}
    right = rows["propensities right", "personal", "snips"]
    assert abs(right["bias_percent"]) < 15 and right["refuted"] <= 2
    assert rows["propensities right", "personal", "mean of the log"]["bias_percent"] < -30
    wrong = rows["a new ranker logs the old propensities", "personal", "ips"]
    assert wrong["refuted"] == 6 and wrong["bias_percent"] > 100
    tired = rows["viewers tire", "personal", "doubly robust"]
    assert tired["bias_percent"] > 5 > abs(rows["propensities right", "personal", "doubly robust"]["bias_percent"])


@pytest.mark.slow
def test_each_objective_wins_its_own_figure_and_minutes_cost_satisfaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "WORLDS", 4)
    rows = {row["objective"]: row for row in checked(objectives.objectives(SMOKE))}
    for objective, figure in (("clicks", "ctr"), ("watch time", "watch_seconds")):
        assert rows[objective][figure] == max(row[figure] for row in rows.values())
    assert rows["watch time"]["high"] < 0 and rows["nothing: a label by chance"]["high"] < 0


@pytest.mark.slow
def test_co_watch_on_its_own_log_narrows_beside_one_taught_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "WORLDS", 4)
    monkeypatch.setattr(loop, "WEEKS", 3)
    kept = ("co-watch", "co-watch, 10 % explored", "co-watch, from a random log")
    monkeypatch.setattr(loop, "ARMS", {name: loop.ARMS[name] for name in kept})
    last = {row["arm"]: row for row in checked(loop.feedback_loop(SMOKE)) if row["week"] == 3}
    own, explored, control = (last[name] for name in kept)
    assert own["gini"] > explored["gini"] and own["gini"] > control["gini"]
    assert own["coverage"] < explored["coverage"] and control["low"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"), [(gap, "exposure"), (off_policy, "sharpness"), (objectives, "popularity_share")]
)
def test_what_is_drawn_is_a_chart(module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"USERS": 150, "VIDEOS": 300, "IMPRESSIONS": 9_000}
    few = {"WORLDS": 2, "LOGS": 2, "CHANCES": (0.2, 1.0), "SHARPNESS": (0.0, 10.0), "SHARES": (0.0, 1.0)}
    for where, values in ((policies, sizes), (module, {key: few[key] for key in few if hasattr(module, key)})):
        for key, value in values.items():
            monkeypatch.setattr(where, key, value)
    flips(checked(module.EXPERIMENTS[name](SMOKE)), module.CHARTS[name])
