from __future__ import annotations

import json
import re

import numpy as np
import pytest

from common.errors import InputError
from common.eval import intervals
from common.eval.report import METRICS, Interval, Published, Report, column, is_better, metric, paired
from common.eval.tables import results

KEYS = [
    "log_loss",
    "normalized_entropy",
    "auc",
    "pr_auc",
    "ece",
    "calibration_ratio",
    "macro_f1",
    "precision@k",
    "recall@k",
    "hit_rate@k",
    "ann_recall@k",
    "expected_gain@k",
    "mrr",
    "map@k",
    "ndcg@k",
    "ctr",
    "conversion_rate",
    "revenue_per_mille",
    "hide_rate",
    "watch_seconds",
    "completion_rate",
    "satisfaction",
    "prevalence_posts",
    "prevalence_views",
    "proactive_rate",
    "valid_appeal_rate",
    "coverage",
    "gini",
    "diversity",
    "novelty",
    "p50_ms",
    "p99_ms",
]


def _report(units: list[float], clusters: list[int]) -> Report:
    interval = intervals.mean(np.array(units), np.array(clusters))
    return Report(
        primary="ndcg@10",
        origin="world",
        metrics={"ndcg@10": interval},
        slices={"cold=yes": {"ndcg@10": interval}},
        units=np.array(units),
        clusters=np.array(clusters),
    )


def test_every_metric_of_the_project_has_a_direction_and_one_sentence() -> None:
    assert sorted(METRICS) == sorted(KEYS)
    for found in METRICS.values():
        assert found.direction in ("higher", "lower", "one")
        assert re.fullmatch(r"[A-Z0-9].*\.", found.definition), found


def test_a_key_with_its_k_is_of_the_family() -> None:
    assert metric("ndcg@10").key == "ndcg@k" and metric("p99_ms").direction == "lower"
    for wrong in ("ndgc@10", "ndcg@0", "ndcg@", "auc@5x"):
        with pytest.raises(InputError, match="There is no metric"):
            metric(wrong)


def test_json_has_the_shape_the_command_line_promises() -> None:
    found = json.loads(json.dumps(_report([1.0, 0.5, 0.0], [1, 2, 3]).as_json(), allow_nan=False))
    assert set(found) == {"primary", "metrics", "slices"}
    assert set(found["primary"]) == {"name", "value", "low", "high", "n", "direction", "origin"}
    assert found["primary"]["direction"] == "higher" and found["primary"]["n"] == 3
    assert set(found["metrics"]["ndcg@10"]) == {"value", "low", "high", "n"}
    assert found["slices"]["cold=yes"]["ndcg@10"]["value"] == 0.5


def test_a_nan_never_reaches_json() -> None:
    with pytest.raises(AssertionError):
        Interval(value=float("nan"), low=None, high=None, n=1).as_json()


def test_a_metric_without_a_definition_never_reaches_json() -> None:
    report = _report([1.0, 0.5], [1, 2])
    with pytest.raises(InputError, match="Did you mean"):
        Report(**{**vars(report), "metrics": {**report.metrics, "log_los": report.metrics["ndcg@10"]}}).as_json()


def test_a_published_figure_has_no_bounds_and_says_whether_it_compares() -> None:
    figure = Published(name="LR", metric="log_loss", value=0.3, source="a paper", comparable="no, because rebuilt")
    found = figure.report().as_json()
    assert found["primary"] | {"value": 0} == {
        "name": "log_loss",
        "value": 0,
        "low": None,
        "high": None,
        "n": 0,
        "direction": "lower",
        "origin": "published",
    }
    assert found["comparable"] == "no, because rebuilt"


def test_pairing_finds_a_difference_that_two_intervals_would_miss() -> None:
    rng = np.random.default_rng(0)
    clusters = list(range(200))
    theirs = rng.random(200)
    ours = theirs + 0.01 + 0.02 * rng.standard_normal(200)
    difference = paired(_report(list(ours), clusters), _report(list(theirs), clusters))
    assert is_better(difference, "ndcg@10") and not is_better(difference, "log_loss")
    alone = intervals.mean(ours, np.array(clusters))
    assert alone.low is not None and alone.low < theirs.mean()


def test_pairing_needs_the_same_rows() -> None:
    with pytest.raises(AssertionError, match="same rows"):
        paired(_report([1.0, 2.0], [1, 2]), _report([1.0, 2.0], [1, 3]))


@pytest.mark.parametrize(
    ("low", "high", "key", "better"),
    [(0.1, 0.2, "auc", True), (-0.2, -0.1, "auc", False), (-0.1, 0.2, "auc", False), (-0.2, -0.1, "log_loss", True)],
)
def test_better_means_the_whole_interval(low: float, high: float, key: str, better: bool) -> None:
    assert is_better(Interval(value=(low + high) / 2, low=low, high=high, n=9), key) is better
    assert not is_better(Interval(value=1.0, low=None, high=None, n=0), key)


def test_a_ceiling_that_is_no_bound_says_so() -> None:
    assert column("ceiling", "log_loss") == column("ceiling", "expected_gain@20") == "ceiling"
    assert column("ceiling", "ndcg@20") == "ceiling (oracle, not a bound)"
    assert column("model", "ndcg@20") == "model"
    run = {"case": "toy", "preset": "demo", "seconds": 1.0, "reports": {}, "paired": {"model-baseline": {"value": 0.1}}}
    run["reports"] = {name: _report([1.0, 0.5], [1, 2]).as_json() for name in ("model", "ceiling")}
    row = results({"toy.demo": run})[0]
    assert row["run, s `machine`"] == "1"
    assert row["ceiling"].endswith("`world` (oracle, not a bound)") and row["model"].endswith("`world`")
