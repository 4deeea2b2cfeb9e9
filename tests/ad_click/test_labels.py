"""Labels that are not all in: the delay model finds what was planted by its own assumption, and a click is counted once it came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ad_click.config import SMOKE
from ad_click.experiments import labels, training
from ad_click.model import delay
from ad_click.world import DAY, START
from common.contract import Bools, Floats


def _by_group(group: Floats) -> delay.Learn:
    """The plainest scorer there is: the mean label of each group."""
    index = group.astype(np.int64)
    return lambda labels: (np.bincount(index, labels) / np.bincount(index))[index]


def _planted(chance: Floats, hazard: Floats, seed: int, n: int = 60_000) -> tuple[Floats, Bools, Floats]:
    """Groups, whether the click is in, hours waited: shown at any time of the last two days, clicks with exponential delays."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, len(chance), n)
    delays, since = rng.exponential(1 / hazard[group]), rng.uniform(0, 48, n)
    clicked = (rng.random(n) < chance[group]) & (delays <= since)
    return group.astype(np.float64), clicked, np.where(clicked, delays, since)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_delay_model_recovers_what_its_assumption_planted(seed: int) -> None:
    """Clicks of one group come after an hour, of others after five and twelve: P(click) and hazard are found; labels as they are say too little."""
    chance, hazard = np.array([0.2, 0.1, 0.3]), 1 / np.array([1.0, 5.0, 12.0])
    group, clicked, waited = _planted(chance, hazard, seed)
    design = np.eye(3)[group.astype(np.int64)]
    delays, labels = delay.fit(_by_group(group), clicked, waited, design, rounds=40)
    first = [int(np.flatnonzero(group == value)[0]) for value in range(3)]
    assert delays.hazard(design[first]) == pytest.approx(hazard, rel=0.1)
    assert _by_group(group)(labels)[first] == pytest.approx(chance, rel=0.04)
    naive = _by_group(group)(clicked.astype(np.float64))[first]
    assert (naive[1:] < 0.93 * chance[1:]).all() and naive[2] < 0.8 * chance[2]
    assert (labels[clicked] == 1).all() and (labels[~clicked] < 1).all()


@pytest.mark.slow
def test_a_delay_that_is_not_exponential_is_estimated_wrongly() -> None:
    """The control: half of the clicks at once, half after about fifteen hours. One exponential cannot be both."""
    rng, n = np.random.default_rng(0), 100_000
    since, when = rng.uniform(0, 24, n), rng.random(n) < 0.5
    estimates = []
    for delays in (np.where(when, 0.1, rng.normal(15, 1, n)), rng.exponential(7.5, n)):
        clicked = (rng.random(n) < 0.2) & (delays <= since)
        waited = np.where(clicked, delays, since)
        estimates.append(delay.fit(_by_group(np.zeros(n)), clicked, waited, np.ones((n, 1)), rounds=40)[1].mean())
    assert abs(estimates[0] / 0.2 - 1) > 0.06 > 2 * abs(estimates[1] / 0.2 - 1)


def _log(clicks: dict[int, float], n: int = 6) -> labels.Log:
    """n impressions, one a day from the start on, at noon; `clicks`: day -> hours until its click."""
    days = np.arange(n)
    return labels.Log(
        event_time=START + days * DAY + DAY // 2,
        user_id=days,
        delays=np.array([clicks.get(day, np.inf) for day in range(n)]),
        truth=np.full(n, 0.5),
        topics=np.ones((n, 1)),
        inputs=np.zeros((n, 1)),
        categories=[],
    )


def test_a_way_to_label_sees_what_had_come_by_midnight_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Midnight after day 4. Day 1 was clicked 60 hours later (it came within the last two days), day 3 after 5 hours, day 4 will be after 30."""

    class Plain:
        def predict(self, inputs: Floats) -> Floats:
            return np.full(len(inputs), 0.1)

    monkeypatch.setattr(labels, "_train", lambda *_: Plain())
    found = labels._training(_log({1: 60.0, 3: 5.0, 4: 30.0}), START + 5 * DAY)
    told = {name: (rows.tolist(), given.tolist()) for name, (rows, given, _) in found.items()}
    assert told["hindsight"] == ([3, 4], [1, 1])
    assert told["as they are"] == ([3, 4], [1, 0])
    assert told["window of 1 h"] == ([3, 4], [0, 0])
    assert told["window of 6 h"] == ([3, 4], [1, 0])
    assert told["window of 24 h"] == ([2, 3], [0, 1])
    assert told["late correction"] == ([3, 4, 1, 3], [0, 0, 1, 1])
    rows, given = told["delay model"]
    assert rows == [3, 4] and given[0] == 1 and 0 < given[1] < 0.1
    weights = found["late correction"][2]
    assert weights is not None and weights == pytest.approx([0.99, 0.99, 1.1, 1.1])


@pytest.mark.slow
def test_labels_as_they_are_promise_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "WORLDS", ("exponential",))
    monkeypatch.setattr(labels, "REFRESHES", (5, 9))
    rows = {row["labels"]: row for row in labels.delayed_labels(SMOKE)}
    naive = rows["as they are"]
    assert naive["positives_over_clicks"] < 0.93 and naive["over_hindsight"] < 0.95
    for name in ("delay model", "late correction"):
        assert abs(rows[name]["positives_over_clicks"] - 1) < 0.4 * abs(naive["positives_over_clicks"] - 1)
    assert rows["window of 1 h"]["over_planted"] < 0.5
    assert rows["hindsight"]["loss_against_hindsight"] == 0 < rows["window of 1 h"]["loss_against_hindsight_low"]


@pytest.mark.slow
def test_the_more_history_the_less_a_late_click_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What labels as they are miss falls with the hours learned from, and crosses what a window of a day misses; where no click is later than
    a day, no history is long enough."""
    monkeypatch.setattr(labels, "LENGTHS", (6, 24, 168))
    monkeypatch.setattr(labels, "MIDNIGHTS", (8, 10, 12))
    rows = {(row["labels"], row["hours"]): row for row in labels.hours_to_learn_from(SMOKE)}
    naive = [rows["as they are", hours]["missed_more_percent"] for hours in labels.LENGTHS]
    assert naive == sorted(naive, reverse=True) and rows["as they are", 6]["low"] > 10 and naive[-1] < 0
    corrected = [rows["delay model", hours]["missed_more_percent"] for hours in labels.LENGTHS]
    assert (np.array(corrected) < np.array(naive) - 2).all()
    mornings = labels.hours_to_learn_from(replace(SMOKE, delays="mornings"))
    assert all(row["missed_more_percent"] > 0 for row in mornings if row["labels"] == "as they are")


@pytest.mark.slow
def test_thinned_negatives_order_as_they_should_and_lie_about_the_level() -> None:
    """The same model, corrected or not, gives one order, so one AUC; only the level tells them apart."""
    rows = {row["negatives"]: row for row in training.thinned_negatives(SMOKE)}
    for kept, inflated in (("0.1", 5), ("0.01", 15)):
        corrected, not_corrected = rows[kept], rows[f"{kept}, not corrected"]
        assert corrected["auc"] == pytest.approx(not_corrected["auc"], abs=1e-9)
        assert abs(corrected["calibration_ratio"] - 1) < 0.2 and not_corrected["calibration_ratio"] > inflated
        assert not_corrected["low"] > 0


@pytest.mark.slow
def test_calibrations_want_clicks() -> None:
    rows = training.calibration(replace(SMOKE, num_trees=20))
    few = {row["map"]: row for row in rows if row["valid_rows"] == training.SIZES[0]}
    most = {row["map"]: row for row in rows if row["valid_rows"] == max(row["valid_rows"] for row in rows)}
    for name in training.MAPS:
        assert most[name]["log_loss"] < few[name]["log_loss"]
    assert few["isotonic"]["low"] > few["Platt"]["high"]
    assert rows[-1]["map"] == "ceiling" and rows[-1]["high"] < 0 and rows[-1]["over_planted"] == pytest.approx(1)
    curve = training.clicks_to_calibrate(replace(SMOKE, num_trees=20))
    assert {row["map"] for row in curve} == set(training.MAPS)
