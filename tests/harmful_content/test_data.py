"""Labels from events, the log from the world, the files and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common import events as columns
from common.contract import Event, Events
from common.errors import InputError
from harmful_content import data
from harmful_content.config import Config
from harmful_content.data.labels import natural

HOUR = 3600


Happened = tuple[str, int, int, dict[str, int]]


def log(*happened: Happened) -> Events:
    """(kind, post, hour, values) each."""
    events = [
        Event(event_id=str(at), kind=kind, event_time=hour * HOUR, keys={"request_id": post, "post_id": post, "user_id": 1}, values=values, moment=at)
        for at, (kind, post, hour, values) in enumerate(happened)
    ]  # fmt: skip
    return columns.of(events, keys=("request_id", "post_id", "user_id"), values=("policy", "upheld"))


def labels(events: Events) -> list[list[float]]:
    shown = np.flatnonzero(events.kind == "impression")
    found: list[list[float]] = natural(events, shown, window=10 * HOUR, enough=2, num_policies=3).tolist()
    return found


def test_two_reports_of_one_policy_are_a_label_and_two_of_two_are_none() -> None:
    posted: list[Happened] = [("impression", post, 0, {}) for post in (1, 2, 3)]
    told = [
        ("report", 1, 1, {"policy": 2}),
        ("report", 1, 2, {"policy": 2}),
        ("report", 2, 1, {"policy": 0}),
        ("report", 2, 1, {"policy": 1}),
    ]
    assert labels(log(*posted, *told)) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_reports_after_the_window_and_of_other_posts_are_none() -> None:
    late = [("report", 1, 11, {"policy": 0}), ("report", 1, 12, {"policy": 0}), ("report", 9, 1, {"policy": 0})]
    assert labels(log(("impression", 1, 0, {}), *late)) == [[0, 0, 0]]


def test_what_was_served_under_more_policies_than_ours_is_read_back() -> None:
    """Data of one's own may name sixteen: the label stands at its place, and the seven of ours are there when nobody named any."""
    posted: list[Happened] = [("impression", post, 0, {"policy": 3}) for post in (1, 2)]
    told: list[Happened] = [("review", 1, 1, {"policy": 15, "upheld": 1}), ("report", 2, 2_000, {"policy": 0})]
    events = log(*posted, *told)
    reviewer_id = np.where(events.kind == "review", 5, -1)
    rows = data.live(replace(events, keys={**events.keys, "reviewer_id": reviewer_id}), Config()).rows
    for label in (rows.natural_label, rows.hand_label):
        assert label.shape == (2, 16) and np.argwhere(label == 1).tolist() == [[0, 15]]
    assert data.live(log(*posted, ("report", 1, 2_000, {"policy": 0})), Config()).rows.natural_label.shape == (2, 7)


def test_a_reviewer_who_upholds_is_a_label_and_one_who_clears_outweighs_a_campaign() -> None:
    posted: list[Happened] = [("impression", post, 0, {}) for post in (1, 2)]
    bombed = [("report", 2, 1, {"policy": 1})] * 9
    looked = [("review", 1, 2, {"policy": 0, "upheld": 1}), ("review", 2, 2, {"policy": 1, "upheld": 0})]
    assert labels(log(*posted, *bombed, *looked)) == [[1, 0, 0], [0, 0, 0]]


def test_the_last_review_counts_so_a_granted_appeal_takes_the_label_back() -> None:
    posted: list[Happened] = [("impression", post, 0, {}) for post in (1, 2)]
    removed = [("review", post, 2, {"policy": post, "upheld": 1}) for post in (1, 2)]
    heard = [("review", 1, 4, {"policy": 1, "upheld": 0}), ("review", 2, 11, {"policy": 2, "upheld": 0})]
    assert labels(log(*posted, *removed)) == [[0, 1, 0], [0, 0, 1]]
    assert labels(log(*posted, *removed, *heard)) == [[0, 0, 0], [0, 0, 1]], "the second came after the window"


def test_the_log_holds_every_post_once_and_nothing_of_the_future(tiny: Config) -> None:
    dataset = data.load(tiny)
    events = dataset.history.events
    shown = events.kind == "impression"
    assert (np.diff(events.event_time) >= 0).all()
    assert len(np.unique(events.keys["post_id"][shown])) == shown.sum() > 0.95 * tiny.num_posts
    rows = [dataset.train, dataset.valid, dataset.test]
    assert sum(map(len, rows)) == shown.sum()
    for part in rows:
        assert np.array_equal(events.keys["post_id"][part.moment], part.post_id)


def test_a_second_look_sees_reactions_and_a_first_look_sees_none(tiny: Config) -> None:
    from harmful_content.features import POST

    dataset = data.load(tiny)
    rows = dataset.train
    views = dataset.history.read(POST, rows.post_id, rows.moment)[:, 0]
    again = rows.numbers["age_hours"] > 0
    assert (views[again] > 0).mean() > 0.9 and not views[~again].any()


def test_the_key_and_the_test_rows_are_the_same_posts(tiny: Config) -> None:
    dataset, key = data.load(tiny), data.judgments(tiny)
    assert np.array_equal(key.user_id, dataset.test.user_id)
    assert key.label.shape == (len(dataset.test), len(key.policies)) and set(np.unique(key.label)) == {0.0, 1.0}
    assert np.isnan(dataset.test.natural_label).all() and np.isnan(dataset.test.hand_label).all()
    assert set(np.unique(key.slices["modality"])) == {"none", "text", "image", "both"}


def test_own_files_give_back_rows_pictures_labels_and_key(tiny: Config, tmp_path: Path) -> None:
    dataset, key = data.load(tiny), data.judgments(tiny)
    data.write(dataset, key, tmp_path)
    own = replace(tiny, data=f"csv:{tmp_path}")
    back, back_key = data.load(own), data.judgments(own)
    for part in ("train", "valid", "test"):
        ours, theirs = getattr(dataset, part), getattr(back, part)
        assert ours.text.tolist() == theirs.text.tolist()
        assert np.array_equal(ours.natural_label, theirs.natural_label, equal_nan=True)
        assert np.array_equal(ours.hand_label, theirs.hand_label, equal_nan=True)
        shown = ours.image >= 0
        assert np.array_equal(shown, theirs.image >= 0)
        assert np.array_equal(ours.images.pixels[ours.image[shown]], theirs.images.pixels[theirs.image[shown]])
    assert np.array_equal(key.label, back_key.label) and np.array_equal(key.views, back_key.views)
    assert {name: column.tolist() for name, column in key.slices.items()} == {
        name: column.tolist() for name, column in back_key.slices.items()
    }


SCHEMA = """[roles]
post_id = "post"
user_id = "who"
event_time = "when"
text = "said"
label = "bad"
"""


@pytest.mark.parametrize("broken", [False, True])
def test_a_table_with_one_label_column_is_a_case_of_one_policy(tiny: Config, tmp_path: Path, broken: bool) -> None:
    rows = [f"{at},{at % 7},{1_000 + (0 if broken and at == 5 else at)},word{at},{at % 2}" for at in range(40)]
    (tmp_path / "posts.csv").write_text("post,who,when,said,bad\n" + "\n".join(rows) + "\n")
    (tmp_path / "schema.toml").write_text(SCHEMA)
    own = replace(tiny, data=f"csv:{tmp_path / 'posts.csv'}")
    if broken:
        with pytest.raises(InputError, match="earlier than the row before"):
            data.load(own)
        return
    dataset, key = data.load(own), data.judgments(own)
    assert key.policies == ("label",) and key.origin == "real"
    assert dataset.train.hand_label[:4, 0].tolist() == [0, 1, 0, 1]
    assert (dataset.train.image == -1).all()


def test_a_table_without_a_label_says_what_to_add(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("post,who,when,said\n1,1,1000,hello\n")
    (tmp_path / "schema.toml").write_text(SCHEMA.replace('label = "bad"\n', ""))
    with pytest.raises(InputError, match=r"hand\.POLICY"):
        data.load(replace(tiny, data=f"csv:{tmp_path / 'posts.csv'}"))
