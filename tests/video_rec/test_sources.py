"""The light sources: a planted burst, new videos, creators followed; who has no history; what comes back from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common.checks import Trial
from common.contract import Ints, Ranking
from tests.video_rec.test_factorisation import catalogue
from video_rec import model
from video_rec.experiments import sources as experiment
from video_rec.features import HISTORY, TITLE_DIM, Features
from video_rec.model import factorisation, index, retrieval, sources, towers
from video_rec.schema import Rows

HOUR = 3_600


def known(num: int = 40) -> Features:
    """Videos 0, 10, 20 ...; four a creator, the last four by nobody knows whom; uploaded a day apart, every seventh at a time nobody knows."""
    place = np.arange(num)
    return replace(
        catalogue(num),
        creator_id=np.where(place < num - 4, 100 + place // 4, -1),
        uploaded=np.where(place % 7 == 6, np.nan, place * 86_400.0),
        title=np.random.default_rng(0).normal(size=(num, TITLE_DIM)).astype(np.float32),
    )


def towers_of(features: Features) -> retrieval.Retrieval:
    torch.manual_seed(0)
    made = towers.Towers(*towers.described(features), dim=8)
    vectors = made.every_video().detach().numpy()
    return retrieval.Retrieval(features, made, index.build_index(vectors))


def light_of(rows: Rows, features: Features | None = None) -> sources.Light:
    features = features or known()
    return sources.fit(features, [rows], towers_of(features))


def watches(video_id: Ints, time: Ints, completed: float = 0.0) -> Rows:
    labels = {"clicked": np.ones(len(time)), "completed": np.full(len(time), completed)}
    return Rows(
        user_id=np.arange(len(time)), video_id=video_id, event_time=time, moment=np.arange(len(time)), labels=labels
    )


def recent(*rows: tuple[int, ...]) -> Ints:
    return np.array([[*row, *[-1] * (HISTORY - len(row))] for row in rows])


def test_a_burst_is_trending_and_a_hit_is_not() -> None:
    """Video 0 is watched every quarter of an hour for ten days, 10 hourly; 20 twelve times in the last six hours, 30 as often a week ago."""
    end = 10 * 24 * HOUR
    times = [
        np.arange(0, end, 900),
        np.arange(0, end, HOUR),
        end - np.arange(12) * 1_800,
        end // 3 + np.arange(12) * 1_800,
    ]
    video = np.repeat([0, 10, 20, 30], [len(time) for time in times])
    rows = watches(video, np.concatenate(times))
    light = light_of(rows)
    assert light.as_of == end
    assert light.trend[2] > 3 and abs(light.trend[:2]).max() < 1.0 and light.trend[3] < 0
    found = light.trending(recent((1,), ()), 5)
    assert (found.ids[:, 0] == 20).all() and not np.isin([30, -1], found.ids[found.ids >= 0]).any()
    by_count = np.bincount(video[rows.event_time > end - 24 * HOUR] // 10)
    assert by_count.argmax() == 0, "the foil: the last day's counts alone call the hit a trend"


def test_older_watches_of_the_day_say_less_and_many_say_more() -> None:
    end = 5 * 24 * HOUR
    base = np.arange(0, end, HOUR)
    lists = {10: [end] * 6, 20: [end - 20 * HOUR] * 6, 30: [end]}
    video = np.concatenate([np.zeros(len(base), int), *(np.full(len(at), name) for name, at in lists.items())])
    light = light_of(watches(video, np.concatenate([base, *lists.values()])))
    assert light.trend[1] > light.trend[2] > 0 and light.trend[1] > light.trend[3] > 0


def test_without_a_clock_or_a_watch_nothing_trends() -> None:
    for rows in (
        watches(np.array([0, 10, 10]), np.zeros(3, np.int64)),
        watches(np.zeros(0, np.int64), np.zeros(0, np.int64)),
    ):
        found = light_of(rows).trending(recent((1,)), 5)
        assert (found.ids == -1).all() and np.isneginf(found.scores).all()


def test_fresh_are_the_newest_in_order_of_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "NEWEST", 10)
    as_of = 30 * 86_400
    light = light_of(watches(np.array([0, 10]), np.array([0, as_of])))
    seen = recent((3, 5), ())
    found = light.fresh(seen, 40)
    newest = sorted((place for place in range(31) if place % 7 != 6), reverse=True)[
        :10
    ]  # nothing uploaded after as_of, or nobody knows when
    assert all(sorted(row[row >= 0] // 10) == sorted(newest) for row in found.ids)
    towers = light.towers.towers
    with torch.no_grad():
        viewer = towers.viewer(torch.from_numpy(seen))
        by_content = viewer @ torch.nn.functional.normalize(towers.described(torch.tensor(newest)), dim=-1).T
        towers.of_id.weight.normal_()  # ids say nothing of what is new
    order = np.argsort(-by_content.numpy(), axis=1)
    assert (found.ids[:, :10] == 10 * np.array(newest)[order]).all()
    assert (light.fresh(seen, 3).ids == found.ids[:, :3]).all()
    again = replace(light, as_of=light.as_of)
    assert (again.fresh(seen, 40).ids == found.ids).all()


def test_nothing_is_fresh_where_no_time_of_upload_is_known() -> None:
    features = replace(known(), uploaded=np.full(40, np.nan))
    found = light_of(watches(np.array([0, 10]), np.array([0, 9])), features).fresh(recent((1,), ()), 5)
    assert (found.ids == -1).all() and len(found.ids) == 2


def test_followed_are_the_unwatched_videos_of_the_creators_watched_most_and_last() -> None:
    rows = watches(np.array([10, 10, 20, 30, 30]), np.arange(5), completed=0.0)
    rows = replace(rows, labels={**rows.labels, "completed": np.array([0.0, 0, 1, 1, 1])})
    light = light_of(rows)
    # creator 100 made 0..3: 3 was liked twice, 2 once, 1 never; creator 102 made 8..11, creator 101 4..7; 38 is by nobody knows whom
    found = light.followed(recent((0, 38, 8, 0, 4), (38,), ()), 50)
    mine = found.ids[0][found.ids[0] >= 0] // 10
    assert set(mine.tolist()) == {1, 2, 3, 5, 6, 7, 9, 10, 11}, (
        "of each creator what was not watched, of the unknown one nothing"
    )
    assert mine[:2].tolist() == [3, 2], "most followed creator first, what is liked most first"
    assert mine.tolist().index(9) < mine.tolist().index(5), "watched later, followed more"
    assert (found.ids[1:] == -1).all()
    assert light.followed(recent((0, 8)), 2).ids.shape == (1, 2)


def test_what_is_saved_answers_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = watches(rng.integers(0, 40, 300) * 10, np.sort(rng.integers(0, 40 * 86_400, 300)))
    light = light_of(rows)
    light.save(tmp_path)
    again = sources.load(tmp_path, light.features, light.towers)
    asked = recent((1, 2, 3), (9,))
    for name in ("trending", "fresh", "followed"):
        before, after = getattr(light, name)(asked, 7), getattr(again, name)(asked, 7)
        assert np.array_equal(before.ids, after.ids) and np.array_equal(before.scores, after.scores)
        assert (np.diff(np.where(before.ids >= 0, before.scores, -1e9), axis=1) <= 0).all()


def test_the_experiment_counts_what_of_the_best_is_among_the_candidates() -> None:
    key = experiment.Key(
        best=np.array([[10, 20, 30, 40], [50, -1, -1, -1]]),
        users=np.arange(2),
        times=np.full(2, 6 * 86_400),
        fitted=known(),
        unwatched=np.array([30]),
    )
    assert key.recall(np.array([[20, 30, 390, -1], [10, 50, 60, 70]])).tolist() == [0.5, 1.0]
    assert key.new(np.array([[0, 30, 40, -1], [50, 60, 20, -1]])) == 2 / 6, (
        "uploaded on days 4 and 5, less than three days before"
    )
    rows = key.table({"a": Ranking(ids=key.best, scores=np.zeros((2, 4))), "b": nothing(2)}, "a")
    assert rows["a"]["recall_of_best_100"] == 1.0 and rows["b"]["recall_against"] == -1.0
    assert rows["a"]["unwatched_candidates"] == 1 / 5 and rows["b"]["unwatched_candidates"] == 0.0


def nothing(num: int) -> Ranking:
    return Ranking(ids=np.full((num, 1), -1), scores=np.full((num, 1), -np.inf))


def test_one_ranking_of_everything_answers_for_each_source() -> None:
    ranked = Ranking(ids=np.array([[5, 3, 9, 7, -1]]), scores=np.array([[4.0, 3, 2, 1, -np.inf]]))
    found = experiment._among(ranked, np.array([[7, 3, -1]]))
    assert found.ids.tolist() == [[3, 7, -1, -1, -1]] and found.scores[0, :2].tolist() == [3.0, 1.0]


def test_a_positive_that_was_rarely_shown_weighs_more_in_any_unit() -> None:
    rows = watches(np.array([0, 10, 20, 30]), np.arange(4))
    assert experiment._inverse_propensity(rows).tolist() == [1.0] * 4, "an old log knows none"
    for unit in (1.0, 1e-6):
        known_ = replace(rows, numbers={"propensity": np.array([1e5, 2e5, 4e5, 0.0]) * unit})
        weight = experiment._inverse_propensity(known_)
        assert weight.mean() == pytest.approx(1.0) and weight[3] == 0
        assert weight[1] / weight[2] == pytest.approx(2.0) and 1.9 < weight[0] / weight[1] <= 2.0


@pytest.mark.slow
def test_a_viewer_without_a_history_is_asked_of_the_cold_sources_alone(trial: Trial) -> None:
    """And the same offline and one request at a time, as serving asks."""
    dataset, found_by = trial.dataset, trial.part("model").sources
    histories = found_by.features.recent(dataset.test.take(slice(0, 30)), dataset.history)
    histories[::3] = -1
    together = found_by.calls(histories, 40)
    assert list(together) == list(model.QUOTAS) and set(model.COLD) < set(model.QUOTAS)
    for name, found in together.items():
        cold = found.ids[::3]
        assert (cold[:, :10] >= 0).all() if name in model.COLD else (cold == -1).all(), name
        for row in range(0, 30, 7):
            alone = found_by.call(name, histories[[row]], 40).ids[0]
            mine = found.ids[row]
            assert np.array_equal(alone[alone >= 0], mine[mine >= 0]), name
    merged = model.merge(together, 40).ids
    assert (merged >= 0).all()


@pytest.mark.slow
def test_factors_and_light_come_back_with_the_artifact(trial: Trial) -> None:
    folder = trial.artifact.folder / "model"
    again = model.load(folder)
    loaded = factorisation.load(folder, again.sources.features)
    assert np.array_equal(loaded.videos, again.sources.factors.videos) and again.sources.light.as_of > 0
