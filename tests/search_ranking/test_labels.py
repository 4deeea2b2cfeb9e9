"""What a log becomes: impressions and the clicks that followed them, told apart from clicks nobody could know of yet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.contract import Events
from search_ranking import data
from search_ranking.config import SMOKE
from search_ranking.data import labels
from search_ranking.schema import EVENTS, SHOWN

HOUR = 3_600
LOG: list[tuple[str, int, int, int, dict[str, int]]] = [  # kind, request, document, seconds, values
    ("impression", 2, 10, 0, {"slot": 1}),
    ("impression", 2, 11, 0, {"slot": 0, "swapped": 1}),
    ("impression", 1, 10, 5, {"slot": 0}),
    ("click", 2, 10, 40, {"dwell_seconds": 35, "satisfied": 1}),
    ("click", 2, 10, 60, {"dwell_seconds": 2, "satisfied": 0}),  # the same again: nothing new
    ("click", 3, 10, 61, {"dwell_seconds": 9}),  # of a page this log does not hold
    ("impression", 9, 12, 2 * HOUR, {"slot": 0, "cold": 1, "degraded": 1, "score_ppm": 500_000}),
    ("impression", 9, 13, 2 * HOUR, {"slot": 1, "moment": -1}),  # its features were never read
]


def events(rows: list[tuple[str, int, int, int, dict[str, int]]]) -> Events:
    names = dict.fromkeys(name for kind in EVENTS.values() for name in kind.values)
    keys: dict[str, Any] = {"request_id": [row[1] for row in rows], "doc_id": [row[2] for row in rows]}
    return Events(
        position=np.arange(len(rows)), kind=np.array([row[0] for row in rows]),
        event_time=np.array([row[3] for row in rows]),
        moment=np.array([row[4].get("moment", at) for at, row in enumerate(rows)]),
        keys={name: np.array(keys.get(name, [7] * len(rows))) for name in SHOWN},
        values={name: np.array([row[4].get(name, 0) for row in rows]) for name in names},
    )  # fmt: skip


def test_a_row_is_an_impression_and_the_first_click_on_it() -> None:
    rows = labels.join(events(LOG))
    assert list(zip(rows.request_id.tolist(), rows.doc_id.tolist(), strict=True)) == [
        (1, 10),
        (2, 11),
        (2, 10),
        (9, 12),
    ]
    assert rows.labels["clicked"].tolist() == [0, 0, 1, 0]
    assert rows.labels["satisfied"][2] == 1 and rows.labels["dwell_seconds"][2] == 35
    assert np.isnan(rows.labels["satisfied"][[0, 1, 3]]).all()
    assert rows.numbers["swapped"].tolist() == [0, 1, 0, 0] and rows.moment.tolist() == [2, 1, 0, 6]


def test_without_clicks_nothing_was_clicked() -> None:
    rows = labels.join(events(LOG[:3]))
    assert not rows.labels["clicked"].any() and np.isnan(rows.labels["satisfied"]).all()


def test_what_may_still_be_clicked_has_no_label_yet() -> None:
    live = data.live(events(LOG), SMOKE)
    assert live.rows.labels["clicked"][:3].tolist() == [0, 0, 1] and np.isnan(live.rows.labels["clicked"][3])
    assert live.cold.tolist() == live.degraded.tolist() == [False, False, False, True]
    assert live.predictions == pytest.approx([0, 0, 0, 0.5])


def test_the_split_is_by_time_and_the_test_requests_carry_no_labels() -> None:
    dataset = data.load(SMOKE)
    assert dataset.train.event_time.max() < dataset.valid.event_time.min()
    assert dataset.valid.event_time.max() < dataset.test.event_time.min()
    assert not {"labels", "clicked"} & set(vars(dataset.test))
    first = np.unique(dataset.train.request_id, return_index=True)[1]
    slots = np.split(dataset.train.numbers["slot"].astype(int), first[1:])
    assert all(slot.tolist() == list(range(len(slot))) for slot in slots), "a page stands together, from the top"
