"""Tables, splits, labels: nothing from the future, nothing from the test."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import events as columns
from common.errors import InputError
from common.features.leave_one_out import LeaveOneOutStore
from video_rec import data, features, world
from video_rec.config import OVERRIDES, SMOKE
from video_rec.schema import Catalog, Rows, find

TINY = replace(SMOKE, num_users=200, num_videos=400, num_impressions=4_000, num_judged=100)


def microlens(folder: Path, lines: list[str]) -> str:
    (folder / "MicroLens-50k_pairs.tsv").write_text("\n".join(lines) + "\n")
    titles = [f'{item},"title {item}, with a comma"' for item in range(1, 9)]
    (folder / "MicroLens-50k_titles.csv").write_text("\n".join(["item,title", *titles]) + "\n")
    return f"microlens:{folder}"


def test_the_split_is_by_time_and_requests_carry_no_labels() -> None:
    dataset = data.load(TINY)
    assert dataset.train.event_time.max() <= dataset.valid.event_time.min()
    assert dataset.valid.moment.max() <= dataset.test.moment.min()
    assert not hasattr(dataset.test, "labels")
    assert len(np.unique(dataset.test.user_id)) == len(dataset.test)


def test_a_label_of_what_follows_a_watch_is_unknown_without_one() -> None:
    train = data.load(TINY).train
    shown = train.labels["clicked"] == 0
    assert np.isnan(train.labels["completed"][shown]).all()
    assert np.isfinite(train.labels["completed"][~shown]).all()


def test_relevant_is_what_was_liked_or_finished_afterwards() -> None:
    judged, shown = data.judgments(TINY), world.make(TINY).shown
    for row in np.flatnonzero((judged.relevant >= 0).any(axis=1))[:20]:
        user, time = judged.requests.user_id[row], judged.requests.event_time[row]
        for video in judged.relevant[row][judged.relevant[row] >= 0]:
            at = (shown.user_id == user) & (shown.video_id == video) & (shown.event_time >= time)
            assert ((shown.outcomes.completed + shown.outcomes.liked)[at] > 0).any()


def test_the_log_read_back_gives_the_rows_it_was_made_from() -> None:
    made = world.make(TINY)
    live, shown = data.live(made.events, replace(TINY, watch_window_hours=-24)), made.shown
    order = np.lexsort((shown.video_id, shown.request_id))
    read = np.flatnonzero(made.events.kind == "impression")
    again = np.lexsort((made.events.keys["video_id"][read], made.events.keys["request_id"][read]))
    for name in ("clicked", "hidden"):
        assert np.array_equal(live.rows.labels[name][again], getattr(shown.outcomes, name)[order])
    watched = shown.outcomes.clicked[order] > 0
    assert np.array_equal(live.rows.labels["completed"][again][watched], shown.outcomes.completed[order][watched])
    assert np.array_equal(live.rows.moment[again], shown.moment[order])


def test_live_survives_a_stretch_without_watches() -> None:
    events = world.make(TINY).events
    live = data.live(columns.take(events, np.flatnonzero(events.kind == "impression")[:50]), TINY)
    assert np.nansum(live.rows.labels["clicked"]) == 0


def test_microlens_leaves_the_last_out_and_shows_nothing_of_it(tmp_path: Path) -> None:
    config = replace(
        SMOKE, data=microlens(tmp_path, ["7\t1 2 3 4", "9\t4 3 2", "3\t5 6 7 8 1"]), **OVERRIDES["microlens"]
    )
    dataset, judged = data.load(config), data.judgments(config)
    assert dataset.test.user_id.tolist() == [3, 7, 9]
    assert judged.relevant.ravel().tolist() == [1, 4, 2]
    assert sorted(zip(dataset.valid.user_id.tolist(), dataset.valid.video_id.tolist(), strict=True)) == [
        (3, 8),
        (7, 3),
        (9, 3),
    ]
    assert judged.gain(dataset.test, np.array([[1, 5], [1, 4], [-1, 2]])).tolist() == [[1, 0], [0, 1], [0, 1]]
    assert isinstance(dataset.history, LeaveOneOutStore)
    fitted = features.fit(dataset, config)
    watched, _ = fitted.watched(dataset.test, dataset.history)
    assert [sorted(row[row >= 0].tolist()) for row in watched] == [[5, 6, 7, 8], [1, 2, 3], [3, 4]]
    assert dataset.catalog.title[0] == "title 1, with a comma"


def test_microlens_order_across_users_is_not_read(tmp_path: Path) -> None:
    """The file lists users in some order; listed backwards, every input is the same."""
    lines = ["7\t1 2 3 4", "9\t4 3 2", "3\t5 6 7 8 1"]
    inputs = []
    for name, some in (("one", lines), ("other", lines[::-1])):
        (tmp_path / name).mkdir()
        config = replace(SMOKE, data=microlens(tmp_path / name, some))
        dataset = data.load(config)
        rows = dataset.valid
        inputs.append(features.fit(dataset, config).inputs(rows.take(np.argsort(rows.user_id)), dataset.history).dense)
    assert np.array_equal(inputs[0], inputs[1])


@pytest.mark.parametrize(
    ("line", "says"),
    [("7 1 2 3", "line 1"), ("x\t1 2 3", "line 1"), ("7\t1 zebra 3", "line 1"), ("7\t1 2", "at least 3")],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        data.load(replace(SMOKE, data=microlens(tmp_path, [line])))


def test_a_missing_folder_and_an_unknown_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pairs"):
        data.load(replace(SMOKE, data=f"microlens:{tmp_path}"))
    with pytest.raises(InputError, match="microlens"):
        data.load(replace(SMOKE, data="mikrolens:x"))


@pytest.mark.parametrize("timed", [True, False])
def test_one_table_of_your_own_is_enough(tmp_path: Path, timed: bool) -> None:
    lines = ["who,what,clicked,at"] if timed else ["who,what"]
    timing = [f",{step % 2},{1_000_000 + 60 * step}" if timed else "" for step in range(6)]
    lines += [f"u{user},v{(user * step) % 11}{timing[step]}" for user in range(20) for step in range(6)]
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    roles = 'user_id = "who"\nvideo_id = "what"\n' + ('clicked = "clicked"\nevent_time = "at"\n' if timed else "")
    (tmp_path / "schema.toml").write_text(f"[roles]\n{roles}")
    config = replace(SMOKE, data=f"csv:{tmp_path / 'mine.csv'}")
    dataset, judged = data.load(config), data.judgments(config)
    assert isinstance(dataset.train, Rows) and len(dataset.train) and len(dataset.test)
    assert judged.origin == "real" and len(judged.relevant) == len(dataset.test)
    assert isinstance(dataset.history, LeaveOneOutStore) is not timed


def mine(folder: Path, lines: list[str], roles: str) -> str:
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    (folder / "schema.toml").write_text(f"[roles]\n{roles}")
    return f"csv:{folder / 'mine.csv'}"


def test_a_slate_of_your_own_does_not_see_what_became_of_it(tmp_path: Path) -> None:
    """Ten videos shown together: the same features with and without their own outcomes."""
    inputs = []
    for name, clicks in (("with", 1), ("without", 0)):
        lines = ["who,what,clicked,at"]
        for user in range(10):
            for slate in range(6):
                clicked = slate % 2 if slate != 2 else clicks
                lines += [f"{user},{10 * slate + i},{clicked},{1_000_000 + 3_600 * slate}" for i in range(10)]
        (tmp_path / name).mkdir()
        roles = 'user_id = "who"\nvideo_id = "what"\nclicked = "clicked"\nevent_time = "at"\n'
        config = replace(SMOKE, data=mine(tmp_path / name, lines, roles))
        dataset = data.load(config)
        rows = dataset.train.take(dataset.train.event_time == 1_000_000 + 2 * 3_600)
        assert len(rows) == 100
        inputs.append(features.fit(dataset, config).inputs(rows, dataset.history).dense)
    assert np.array_equal(inputs[0], inputs[1])


def test_a_split_that_would_not_be_kept_is_refused(tmp_path: Path) -> None:
    roles = 'user_id = "who"\nvideo_id = "what"\nsplit = "part"\n'
    lines = ["who,what,part", *(f"{user},{video},train" for user in range(3) for video in range(4))]
    with pytest.raises(InputError, match="split"):
        data.load(replace(SMOKE, data=mine(tmp_path, lines, roles)))


def test_gain_answers_for_any_requests_in_any_order(tmp_path: Path) -> None:
    config = replace(SMOKE, data=microlens(tmp_path, ["7\t1 2 3 4", "9\t4 3 2", "3\t5 6 7 8 1"]))
    (tmp_path / "own").mkdir()
    lines = ["who,what,at", *(f"{user},{(user * step) % 7},{100 * step}" for user in range(8) for step in range(9))]
    own = mine(tmp_path / "own", lines, 'user_id = "who"\nvideo_id = "what"\nevent_time = "at"\n')
    for one in (config, replace(SMOKE, data=own), TINY):
        judged = data.judgments(one)
        some = np.array([2, 0])
        ids = np.tile(np.arange(7), (len(judged.requests), 1))
        whole = judged.gain(judged.requests, ids)
        assert np.array_equal(judged.gain(judged.requests.take(some), ids[some]), whole[some])


def test_labels_are_unknown_while_the_watch_window_is_open_and_an_impression_without_a_moment_is_no_row() -> None:
    events = world.make(TINY).events
    first = int(np.flatnonzero(events.kind == "impression")[0])
    moment = events.moment.copy()
    moment[first] = -1
    live = data.live(replace(events, moment=moment), TINY)
    assert len(live.rows) == (events.kind == "impression").sum() - 1
    young = live.rows.event_time > events.event_time.max() - TINY.watch_window_hours * 3_600
    assert young.any() and np.array_equal(np.isnan(live.rows.labels["clicked"]), young)


def test_unequal_lengths_and_a_catalogue_out_of_order_are_refused() -> None:
    two, three = np.arange(2), np.arange(3)
    with pytest.raises(AssertionError, match="unequal"):
        Rows(user_id=three, video_id=two, event_time=three, moment=three)
    with pytest.raises(AssertionError, match="sorted"):
        Catalog(video_id=two[::-1], creator_id=two, title=np.array(["a", "b"]), explicit=two)


def test_microlens_itself() -> None:
    folder = os.environ.get("MLSD_DATA")
    if not folder:
        pytest.skip("MLSD_DATA is not set: no MicroLens-50K here")
    config = replace(SMOKE, data=f"microlens:{folder}/video_rec/microlens_50k")
    dataset = data.load(config)
    assert (len(dataset.test), len(dataset.catalog), len(dataset.train)) == (50_000, 19_220, 359_708 - 100_000)


@given(
    known=st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True).map(sorted),
    first=st.integers(0, 50),
    asked=st.lists(st.integers(-5, 120), max_size=30),
)
def test_a_video_is_found_where_it_stands_with_gaps_or_without(known: list[int], first: int, asked: list[int]) -> None:
    for ids in (known, list(range(first, first + len(known)))):
        expected = [ids.index(one) if one in ids else -1 for one in asked]
        assert find(np.array(ids), np.array(asked, dtype=np.int64)).tolist() == expected
