"""What a log becomes: impressions and the clicks that followed them, told apart from clicks nobody could know of yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.contract import Events
from common.errors import InputError
from visual_search import data
from visual_search.config import SMOKE
from visual_search.data import labels, planted
from visual_search.schema import EVENTS, Dataset
from visual_search.world import KINDS, START, TEST_FROM, make

HOUR, DAY = 3_600, 86_400
LOG: list[tuple[str, int, int, int, dict[str, int]]] = [  # kind, request, image, seconds, values
    ("impression", 2, 10, 0, {"slot": 1}),
    ("impression", 2, 11, 0, {"slot": 0}),
    ("impression", 1, 10, 5, {"slot": 0}),
    ("click", 2, 10, 40, {"dwell_seconds": 35}),
    ("click", 2, 10, 60, {"dwell_seconds": 2}),  # the same again: nothing new
    ("click", 3, 10, 61, {"dwell_seconds": 9}),  # of a page this log does not hold
    ("impression", 9, 12, 2 * HOUR, {"slot": 0, "cold": 1, "degraded": 1, "score_ppm": 500_000}),
    ("impression", 9, 13, 2 * HOUR, {"slot": 1, "moment": -1}),  # its features were never read
]


def events(rows: list[tuple[str, int, int, int, dict[str, int]]]) -> Events:
    names = dict.fromkeys(name for kind in EVENTS.values() for name in kind.values)
    keys: dict[str, Any] = {"request_id": [row[1] for row in rows], "image_id": [row[2] for row in rows]}
    return Events(
        position=np.arange(len(rows)), kind=np.array([row[0] for row in rows]),
        event_time=np.array([row[3] for row in rows]),
        moment=np.array([row[4].get("moment", at) for at, row in enumerate(rows)]),
        keys={name: np.array(keys.get(name, [7] * len(rows))) for name in EVENTS["impression"].keys},
        values={name: np.array([row[4].get(name, 0) for row in rows]) for name in names},
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load(SMOKE)


def test_a_row_is_an_impression_and_whether_it_was_clicked() -> None:
    rows = labels.join(events(LOG))
    assert list(zip(rows.image_id.tolist(), rows.slot.tolist(), strict=True)) == [(10, 0), (11, 0), (10, 1), (12, 0)]
    assert rows.label.tolist() == [0, 0, 1, 0] and rows.moment.tolist() == [2, 1, 0, 6]
    assert (rows.photo == -1).all() and len(rows.photos) == 0, "the log holds no pictures"


def test_without_clicks_nothing_was_clicked() -> None:
    assert not labels.join(events(LOG[:3])).label.any()


def test_what_may_still_be_clicked_has_no_label_yet() -> None:
    live = data.live(events(LOG), SMOKE)
    assert live.rows.label[:3].tolist() == [0, 0, 1] and np.isnan(live.rows.label[3])
    assert live.cold.tolist() == live.degraded.tolist() == [False, False, False, True]
    assert live.predictions == pytest.approx([0, 0, 0, 0.5])


def test_the_split_is_by_time_and_the_test_requests_carry_no_labels(dataset: Dataset) -> None:
    assert dataset.train.event_time.max() < dataset.valid.event_time.min()
    assert dataset.valid.event_time.max() < dataset.test.event_time.min()
    assert "label" not in vars(dataset.test)
    assert (np.diff(np.flatnonzero(dataset.train.slot == 0)) == 10).all(), "a page stands together, from the top"


def test_the_log_arrives_in_order_and_some_of_it_late() -> None:
    log, arrival = planted.arrived(make(SMOKE))
    assert (np.diff(arrival) >= 0).all() and (log.event_time <= arrival).all()
    assert (arrival - log.event_time > HOUR).any(), "no late event: windows would never be tested"
    assert (log.moment <= log.position).all()
    shown = log.kind == "impression"
    assert (arrival[log.moment[shown]] == log.event_time[shown]).all(), "what had arrived when it was shown, all of it"


def test_a_judged_request_sees_what_had_arrived_by_then(dataset: Dataset) -> None:
    _, arrival = planted.arrived(make(SMOKE))
    moment, time = dataset.test.moment, dataset.test.event_time
    assert (arrival[moment - 1] < time).all() and (
        arrival[np.minimum(moment, len(arrival) - 1)][moment < len(arrival)] >= time[moment < len(arrival)]
    ).all()
    assert len(np.unique(moment)) > 20 and (moment < len(arrival)).any(), "the log goes on while they ask"


def test_rows_carry_what_was_asked(dataset: Dataset) -> None:
    truth = make(SMOKE)
    asked = truth.log_searches
    request = dict(
        zip(zip(asked.user_id.tolist(), asked.event_time.tolist(), strict=True), range(len(asked)), strict=True)
    )
    for row in range(0, len(dataset.train), 97):
        at = request[int(dataset.train.user_id[row]), int(dataset.train.event_time[row])]
        assert dataset.train.photo[row] == asked.photo[at] and dataset.train.text[row] == asked.text[at]
        assert np.array_equal(dataset.train.crop[row], asked.crop[at], equal_nan=True)


def test_photos_of_a_request_are_those_of_its_kind(dataset: Dataset) -> None:
    test, kind = dataset.test, data.judgments(SMOKE).slices["kind"]
    assert set(kind.tolist()) == set(KINDS)
    assert ((test.photo < 0) == (kind == "words")).all() and (
        (test.text != "") == np.isin(kind, ["words", "photo and words"])
    ).all()
    assert (np.isfinite(test.crop).all(axis=1) == (kind == "photo and crop")).all()
    assert ((test.query_id >= 0) == (kind == "gallery image")).all()
    crop = test.crop[kind == "photo and crop"]
    assert (crop[:, 0] < crop[:, 2]).all() and (crop[:, 1] < crop[:, 3]).all() and crop.min() >= 0 and crop.max() <= 1
    for at in np.flatnonzero(test.query_id >= 0):
        place = np.searchsorted(dataset.catalog.image_id, test.query_id[at])
        assert np.array_equal(test.photos.pixels[test.photo[at]], dataset.catalog.images.pixels[place])


def test_the_key_fits_its_requests(dataset: Dataset) -> None:
    key = data.judgments(SMOKE)
    gain = key.gain(key.requests, key.relevant)
    assert ((gain >= 0.75) == (key.relevant >= 0)).all() and (np.diff(gain, axis=1) <= 1e-12).all()
    assert all(len(column) == len(dataset.test) for column in key.slices.values())
    assert {"seen", "unseen"} <= set(key.slices["combination"].tolist())
    assert {"alone", "cluttered", "no photo"} == set(key.slices["clutter"].tolist())
    assert {"normal", "cast", "no photo"} == set(key.slices["light"].tolist())
    assert {"head", "tail"} == set(key.slices["traffic"].tolist())
    assert key.requests.event_time.min() >= START + TEST_FROM * SMOKE.days * DAY


def test_rated_pairs_are_of_photos_asked_with_in_training(dataset: Dataset) -> None:
    asked = make(SMOKE).log_searches
    test_photos = set(dataset.test.photo.tolist())
    assert not set(dataset.judged.photo.tolist()) & test_photos
    late = set(dataset.judged.photo.tolist()) - set(
        asked.photo[asked.event_time < START + 0.71 * SMOKE.days * DAY].tolist()
    )
    assert len(late) < 0.2 * len(set(dataset.judged.photo.tolist())), "a few were never asked with, none only later"


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(InputError, match="no such data set"):
        data.load(replace(SMOKE, data="wordl:x"))
