"""Experiments run small and give finite numbers with a row that loses; the ones with a planted answer find it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from common.contract import Floats, Table
from common.errors import InputError
from common.eval.chart import flips
from common.features.asof import AsOfStore
from search_ranking import model
from search_ranking.config import SMOKE
from search_ranking.experiments import CHARTS, EXPERIMENTS, clicks, curves, features, mismatch, online, worlds
from search_ranking.experiments import lab as labs
from search_ranking.features import QUERY_DOC
from search_ranking.model.clicks.debias import over_logs

TINY = replace(
    SMOKE, num_users=400, num_docs=1_200, num_queries=500, num_sessions=5_000, num_judged=160, num_candidates=80
)
MODULES = (clicks, curves, features, mismatch, online)
OURS = {name: experiment for module in MODULES for name, experiment in module.EXPERIMENTS.items()}
FEW: dict[ModuleType, dict[str, object]] = {
    clicks: {"ETAS": (1.0,), "SIZES": (300, 1_000), "SHORT_AND_LONG": (1_000, 1_500), "LOGS": 2, "WAYS_LOGS": 2},
    curves: {"LOGS": 2, "SIZES": (2_000, 6_000), "MOST_PAL": 6_000, "OTHERS": 6_000, "OTHERS_PAL": 2_000},
    features: {"WORLDS": 2},
    mismatch: {"WORLDS": 2, "MISMATCHES": (0.0, 1.0)},
    online: {"EFFECTS": (1.0,), "SEEDS": 2, "REPS": 20, "TESTS": 40, "USERS": (100,)},
}
"""Of the experiments that hold many fits or sizes: fewer."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, constants in FEW.items():
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)


def row(table: Table, **named: object) -> dict[str, float]:
    return next(
        found for found in table if all(found[name.replace("_", " ")] == value for name, value in named.items())
    )


@pytest.mark.slow
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", OURS)
def test_an_experiment_gives_rows_of_finite_numbers(name: str) -> None:
    table = OURS[name](TINY)
    assert all(math.isfinite(value) for found in table for value in found.values() if isinstance(value, int | float))
    assert len(table) > 1 and all(set(found) == set(table[0]) for found in table)
    assert all(found["low"] <= found["high"] for found in table)
    if name in CHARTS:
        flips(table, CHARTS[name])  # an InputError where the chart asks for what is not there


def test_every_experiment_asks_in_one_line_and_every_chart_is_one() -> None:
    assert set(OURS) <= set(EXPERIMENTS) and set(CHARTS) <= set(EXPERIMENTS)
    assert all((run.__doc__ or "").split("\n")[0].endswith("?") for run in OURS.values())


@pytest.mark.slow
def test_undoing_the_bias_hurts_on_a_short_log_helps_on_a_long_one_and_the_chart_says_where(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(clicks, "ETAS", (1.0,))
    monkeypatch.setattr(clicks, "SIZES", (2_000, 6_000))
    table = clicks.debias(SMOKE)
    pages = [found for found in table if found["steepness"] == clicks.PAGES]
    assert row(pages, sessions=2_000)["high"] < 0 < row(pages, sessions=6_000)["low"]
    assert row(table, steepness="1", sessions=6_000)["low"] > 0 and len(table) == 4
    flip = next(one for one in flips(table, CHARTS["debias"]) if one.series == clicks.PAGES)
    assert 2_000 < flip.value < 6_000


@pytest.mark.slow
def test_the_lists_of_the_served_ranker_are_weighed_anew_and_nothing_else_changes() -> None:
    """On the world: within each query the weights average one and keep their ratios. Planted: weights that are all one are all one after it."""
    one = labs.trained(TINY)
    served, _ = model.lessons(one.dataset.train, one.model.legs, one.features, one.dataset, TINY)
    assert served.weights is not None
    asked = one.dataset.train.query_id[one.dataset.train.labels["clicked"] > 0]
    found = clicks.normalised(one, served)
    assert found.weights is not None and np.array_equal(found.features, served.features)
    before, after = served.weights[served.starts], found.weights[found.starts]
    assert np.array_equal(found.weights, after[found.query]), "a weight belongs to its whole list"
    for query in np.unique(asked)[:50]:
        mine = asked == query
        assert after[mine].mean() == pytest.approx(1) and np.ptp(after[mine] / before[mine]) < 1e-9
    even = clicks.normalised(one, replace(served, weights=np.ones(len(served.grades))))
    assert even.weights is not None and (even.weights == 1).all() and not (found.weights == 1).all()
    report = one.report(one.ranked(one.candidates))
    table = clicks.debias_served(TINY)
    assert table[0]["weights"] == clicks.SERVED and table[0][labs.GAIN] == report.metrics[labs.GAIN].value
    labs.trained.cache_clear()


def test_a_lucky_log_is_not_taken_for_the_truth() -> None:
    rng = np.random.default_rng(0)
    every_query = rng.normal(0.1, 0.05, (1, 400))
    alone = over_logs(every_query)
    assert alone.low is not None and alone.low > 0
    logs = over_logs(every_query + np.array([[0.3], [-0.3], [0.1], [-0.1]]))
    assert logs.low is not None and logs.low < 0 and logs.value == pytest.approx(alone.value)
    same = over_logs(np.repeat(every_query, 4, axis=0))
    assert same.low == pytest.approx(alone.low), "where all logs say the same, the queries' scatter is what is left"


def test_worlds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    units, queries = [rng.normal(0.1, 0.05, 300) for _ in range(4)], [np.arange(300)] * 4
    agree = worlds.over_worlds(units, queries)
    apart = worlds.over_worlds([one + 0.3 * at for at, one in enumerate(units)], queries)
    assert agree.low is not None and agree.low > 0.08 and agree.n == 1_200
    assert apart.low is not None and apart.low < 0.1 < apart.value
    with pytest.raises(InputError, match="no planted truth"):
        worlds.worlds(replace(SMOKE, data="beir:DIR"), 2)


@pytest.mark.slow
def test_the_curve_comes_within_a_tenth_as_the_log_grows_and_other_readers_keep_it_away(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(curves, "ESTIMATORS", {"harvest": curves.ESTIMATORS["harvest"]})
    monkeypatch.setattr(curves, "SIZES", (2_500, 60_000))
    monkeypatch.setattr(curves, "OTHERS", 60_000)
    short, long = curves.curves(SMOKE)
    assert short["beyond"] > 0 > long["beyond"] and long["furthest"] == pytest.approx(long["beyond"] + 0.1)
    table = curves.click_models(SMOKE)
    assert row(table, clicks="pbm", estimator="harvest")["high"] < 0.15
    assert all(row(table, clicks=clicks, estimator="harvest")["low"] > 0.1 for clicks in ("cascade", "trust"))
    assert row(table, clicks="pbm", estimator=curves.FOIL)["low"] > 0.3


@pytest.fixture(scope="module")
def lab() -> features.Lab:
    return features.Lab.of(TINY)


@pytest.mark.slow
def test_counts_over_the_whole_log_hold_the_click_they_foretell(lab: features.Lab) -> None:
    """A pair shown once, and clicked: as of the moment nothing is known of it, over the whole log it is clicked whenever it is seen."""
    history = lab.dataset.history
    assert isinstance(history, AsOfStore)
    key = (lab.pages.query_id << 32) | lab.pages.doc_id
    _, at, times = np.unique(key, return_index=True, return_counts=True)
    once = at[(times == 1) & (lab.pages.labels["clicked"][at] > 0)]
    honest = history.read(QUERY_DOC, key[once], lab.pages.moment[once])
    whole = features.Whole(history).read(QUERY_DOC, key[once], lab.pages.moment[once])
    assert len(once) > 20 and (whole[:, 1] >= honest[:, 1] + 1).all()


@pytest.mark.slow
def test_a_column_that_is_the_answer_is_found_and_one_of_noise_is_not(lab: features.Lab) -> None:
    history = lab.dataset.history
    lessons, served, shown = lab.lessons(history), lab.candidates(history), lab.shown(history)
    row, column = np.nonzero(lab.found.ids >= 0)
    gain = lab.key.gain(lab.dataset.test, lab.found.ids)
    cosine = features.EVERY.index("cosine")

    def gained(planted: float) -> float:
        rng = np.random.default_rng(0)
        told = planted * lessons.grades + rng.normal(0, 0.01, len(lessons.grades))
        asked = planted * gain[row, column] * 3 + rng.normal(0, 0.01, len(row))
        columns = [_with(table, cosine, values) for table, values in ((lessons.features, told), (served, asked))]
        taught = replace(lessons, features=columns[0])
        return float(lab.judged(taught, model.LEARNT, columns[1], shown)[features.GAIN].mean())

    best = -np.sort(-gain, axis=1)[:, :10].mean()
    assert gained(1.0) > gained(0.0) + 0.01 and gained(1.0) < best + 1e-9


def _with(table: Floats, column: int, values: Floats) -> Floats:
    found = table.copy()
    found[:, column] = values
    return found


@pytest.mark.slow
def test_the_leak_wins_offline_and_loses_when_served() -> None:
    table = features.leak(SMOKE)
    offline = row(table, counted="over the whole log", judged_by=features.CLICKS)
    served = row(table, counted="over the whole log", judged_by=features.GAIN)
    assert offline["low"] > 0.05 and served["high"] < 0
    assert row(table, counted="as of the moment", judged_by=features.GAIN)["value"] == pytest.approx(
        served["value"] - served["against as of the moment"]
    )


def test_what_the_trees_do_not_read_is_told_of_the_document_alone() -> None:
    assert not {name for names in features.OLD.values() for name in names} & set(model.LEARNT)
    assert set(features.HISTORY) <= set(model.LEARNT)


@pytest.mark.slow
def test_with_other_words_for_one_thing_both_legs_find_more_than_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mismatch, "MISMATCHES", (0.0, 0.6))
    table = mismatch.mismatch(replace(SMOKE, num_docs=3_000))
    assert row(table, curve=f"dense, {mismatch.GAIN}", mismatch=0.0)["high"] < 0, "words win where all say the same"
    assert row(table, curve=f"both, {mismatch.RECALL}", mismatch=0.6)["low"] > 0
    assert row(table, curve=f"both, {mismatch.RECALL}", mismatch=0.6)["difference"] > row(table, curve=f"both, {mismatch.RECALL}", mismatch=0.0)["difference"]  # fmt: skip


def test_data_without_a_planted_truth_is_refused() -> None:
    with pytest.raises(InputError, match="no planted truth"):
        features.leak(replace(TINY, data="letor:DIR"))


@pytest.mark.slow
def test_comparisons_that_count_people_keep_to_five_percent_and_those_that_count_rows_do_not(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(online, "TESTS", 1_000)
    monkeypatch.setattr(online, "USERS", (1_000,))
    rate = {str(found["test"]): found for found in online.false_alarms(SMOKE)}
    assert all(0.035 <= rate[name]["rate"] <= 0.065 for name in ("team draft", "A/B", "A/B, CUPED"))
    assert all(rate[name]["low"] > 0.08 for name in ("team draft, a session a user", "A/B, a session a user"))
