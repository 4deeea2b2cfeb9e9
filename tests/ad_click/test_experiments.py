"""Every experiment runs small and gives finite numbers with a row that loses; the ones with a planted answer find it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ad_click import data, world
from ad_click.config import SMOKE
from ad_click.experiments import CHARTS, EXPERIMENTS, charts, continual, features, stream
from common.contract import Table
from common.errors import InputError
from common.eval.chart import flips
from common.eval.classification import expected_log_loss_units, log_loss_units

TINY = replace(SMOKE, num_users=500, num_ads=60, num_advertisers=10, num_impressions=30_000, num_trees=20)
OURS = {**charts.EXPERIMENTS, **features.EXPERIMENTS, **continual.EXPERIMENTS}


@pytest.fixture(autouse=True)
def few_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEEDS", 1)
    monkeypatch.setattr(features, "SEEDS", 1)
    monkeypatch.setattr(charts, "INTERACTIONS", (0.0, 1.5))
    monkeypatch.setattr(charts, "TRENDS", (0.0, 8.0))


def numbers_are_finite(table: Table) -> bool:
    return all(math.isfinite(value) for row in table for value in row.values() if isinstance(value, int | float))


def row(table: Table, name: str) -> dict[str, float]:
    return next(found for found in table if name in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_an_experiment_gives_rows_of_finite_numbers(name: str) -> None:
    table = OURS[name](TINY)
    names = [tuple(value for value in found.values() if isinstance(value, str)) for found in table]
    assert numbers_are_finite(table) and all(set(found) == set(table[0]) for found in table)
    assert len(table) > 2 and all(found["low"] <= found["high"] for found in table)
    assert name in CHARTS or name == "retraining_interval" or len(set(names)) == len(table)
    if name in CHARTS:
        flips(table, CHARTS[name])  # an InputError where the chart asks for what is not there


def test_every_experiment_says_what_it_asks_and_every_chart_is_one() -> None:
    assert set(OURS) <= set(EXPERIMENTS) and set(CHARTS) <= set(EXPERIMENTS)
    assert all("?" in (run.__doc__ or "").split("\n")[0] for run in OURS.values())


@pytest.mark.slow
def test_trees_win_where_interactions_were_planted_and_lose_where_not() -> None:
    table = charts.interactions(replace(SMOKE, num_impressions=60_000))
    without, planted = [found for found in table if found["against"] == "LR"]
    assert planted["high"] < 0, "trees find what two columns say together"
    assert without["low"] > planted["high"] / 4, "and a line needs no trees"


@pytest.mark.slow
def test_retraining_pays_where_the_world_drifts_and_not_where_it_stands_still() -> None:
    table = charts.retraining(replace(SMOKE, num_impressions=60_000))
    still, drifting = [found for found in table if found["retrained"] == "every day"]
    assert drifting["low"] > 0 and drifting["low"] > still["high"]


@pytest.mark.slow
def test_a_leak_is_seen_by_what_nobody_can_be() -> None:
    table = features.leakage(SMOKE)
    clean, leaked = row(table, "by time, as of the moment"), row(table, "by time, whole log")
    assert leaked["high"] < 0 < clean["high"], "below the ceiling: a leak"
    assert leaked["honest_low"] > clean["honest_high"], "and it is paid for afterwards"


@pytest.mark.slow
def test_slots_that_are_not_read_are_paid_for() -> None:
    table = features.position(SMOKE)
    assert row(table, "slot left out, drawn slots")["low"] > 0
    foil = row(table, "slot read, served as slot 0, logged slots")
    assert foil["low"] > 0 and foil["calibration_ratio"] > 1.3


@pytest.mark.slow
def test_a_small_table_shares_weights_and_pays() -> None:
    table = features.hashing(SMOKE)
    assert [found["megabytes"] for found in table[1:]] == [8 * 2**bits / 1e6 for bits in features.TABLES]
    assert np.diff([found["shared"] for found in table[1:]]).max() <= 0
    assert row(table, "2^8")["low"] > 0 and abs(row(table, "2^20")["against_first"]) < 1e-4


@pytest.mark.slow
def test_tuning_on_new_rows_alone_forgets_and_replay_forgets_less() -> None:
    table = continual.forgetting(SMOKE)
    alone, replay = row(table, "new rows alone, old kinds"), row(table, "new rows and replay, old kinds")
    assert alone["low"] > replay["high"] and alone["low"] > 0
    assert row(table, "new rows alone, new kind")["high"] < 0


def test_expected_loss_is_the_mean_over_labels() -> None:
    rng = np.random.default_rng(1)
    truth, found = rng.random(40), rng.random(40)
    labels = (rng.random((20_000, 40)) < truth).astype(np.float64)
    drawn = np.mean([log_loss_units(label, found).mean() for label in labels])
    assert expected_log_loss_units(truth, found).mean() == pytest.approx(drawn, abs=0.01)
    assert expected_log_loss_units(truth, truth).mean() < expected_log_loss_units(truth, found).mean(), "nobody is below the truth"


def test_a_day_trains_on_labels_that_are_in() -> None:
    flow = stream.stream(TINY)
    latest = flow.rows.event_time[flow.day < stream.FIRST - flow.lag].max() + TINY.click_window_hours * 3600
    assert latest <= world.START + stream.FIRST * world.DAY
    seen = flow.seen(stream.FIRST)
    known = flow.of(stream.FIRST - flow.lag - stream.WIDTH, stream.FIRST - flow.lag)
    assert len(seen.label) + len(seen.held_label) == len(known)
    patient = stream.stream(replace(TINY, click_window_hours=48))
    assert patient.lag == 2, "who waits longer for clicks trains on older days"


def test_batches_are_never_newer_than_the_row() -> None:
    dataset = data.load(TINY)
    times = dataset.history.events.event_time
    old = features._batched(dataset, world.DAY).test
    assert (old.moment <= dataset.test.moment).all() and (old.moment < dataset.test.moment).any()
    assert (times[old.moment - 1] < old.event_time // world.DAY * world.DAY).all(), "nothing after midnight"


def test_real_data_has_no_planted_truth_to_ask() -> None:
    for run in OURS.values():
        with pytest.raises(InputError, match="planted truth"):
            run(replace(TINY, data="frappe:nowhere"))
