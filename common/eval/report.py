"""The report: one primary metric with its interval, further metrics, slices; and the table that names every metric of the project."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.contract import Floats, Ints
from common.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its 95 % interval. n = number of independent units (users, queries), not rows. low = high = None where there is no
    interval to give: a published figure, or a slice that holds a single user."""

    value: float
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """{value, low, high, n}. A NaN is our own mistake: JSON has no word for it."""
        assert all(bound is None or math.isfinite(bound) for bound in (self.value, self.low, self.high)), self
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of the project: its key (the same in code, JSON and pages), the direction that is better, one sentence that defines it.

    direction: higher | lower | one (nearest to 1: too much is as wrong as too little).
    is_bounded: nobody can be expected to beat the truth on it. So it is where the truth minimises the expectation (log loss, and normalized
    entropy, which is log loss over a constant), and where the gain is the planted one, added up over what the truth ranks under the same
    rules. Elsewhere the ceiling is an oracle: it knows the truth, and something else may still score better.
    """

    key: str
    direction: str
    is_bounded: bool
    definition: str


def _table(rows: str) -> Mapping[str, Metric]:
    parts = [[part.strip() for part in row.split("|")] for row in rows.strip().splitlines()]
    return {
        key: Metric(key=key, direction=direction, is_bounded=ceiling == "bound", definition=definition)
        for key, direction, ceiling, definition in parts
    }


METRICS: Mapping[str, Metric] = _table("""
log_loss           | lower  | bound  | Mean of -log of the probability given to what happened; probabilities are clipped to [1e-7, 1 - 1e-7].
normalized_entropy | lower  | bound  | Cross-entropy divided by that of always predicting the mean label; 1 or more is useless.
auc                | higher | oracle | Chance that a random positive scores above a random negative; a tie counts one half.
pr_auc             | higher | oracle | Average precision: precision at each distinct score, weighted by the recall gained there.
ece                | lower  | oracle | Mean distance between predicted and observed rate over bins of equal mass; equal scores share a bin.
calibration_ratio  | one    | oracle | Sum of predictions divided by sum of labels.
macro_f1           | higher | oracle | Unweighted mean of F1 over the classes that occur in labels or predictions.
precision@k        | higher | oracle | Relevant among the first k answers, divided by k.
recall@k           | higher | oracle | Relevant among the first k answers, divided by all relevant.
hit_rate@k         | higher | oracle | Share of requests with at least one relevant among the first k answers.
ann_recall@k       | higher | oracle | Share of the k exact nearest neighbours that the index found among its first k.
expected_gain@k    | higher | bound  | Planted gain of the first k answers after the rules, summed and divided by k; no discount, a missing answer gains 0.
mrr                | higher | oracle | One divided by the place of the first relevant answer; 0 if there is none.
map@k              | higher | oracle | Precision at the place of each relevant answer among the first k, summed and divided by all relevant.
ndcg@k             | higher | oracle | Gain of the first k answers, each divided by log2(1 + place), over that of the best order; gains are linear.
ctr                | higher | oracle | Clicks divided by impressions.
conversion_rate    | higher | oracle | Conversions divided by clicks.
revenue_per_mille  | higher | oracle | Money charged per thousand impressions.
hide_rate          | lower  | oracle | Hides divided by impressions.
watch_seconds      | higher | oracle | Seconds watched per visit.
completion_rate    | higher | oracle | Videos watched to the end divided by videos started.
satisfaction       | higher | oracle | Mean planted satisfaction of a visit, what a survey would ask for.
prevalence_posts   | lower  | oracle | Harmful posts not prevented divided by all posts.
prevalence_views   | lower  | oracle | Views of harmful posts divided by all views.
proactive_rate     | higher | oracle | Harmful posts found by the system divided by those found by the system or reported by users.
valid_appeal_rate  | lower  | oracle | Enforcements reversed on appeal divided by all enforcements.
coverage           | higher | oracle | Share of the catalogue that was shown at least once.
gini               | lower  | oracle | Inequality of exposure over the catalogue: 0 all equal, 1 one item takes all.
diversity          | higher | oracle | One minus the mean cosine similarity of two answers to the same request.
novelty            | higher | oracle | Mean of -log2 of the share of users who already saw an answer.
p50_ms             | lower  | oracle | Median time from request to answer.
p99_ms             | lower  | oracle | Time from request to answer that one request in a hundred exceeds.
""")


def metric(key: str) -> Metric:
    """The metric behind a key; `ndcg@10` is of the family `ndcg@k`. Raises InputError on a key the project does not define."""
    family = re.sub(r"@[1-9]\d*$", "@k", key)
    if family not in METRICS:
        raise InputError(
            f"There is no metric {key!r}. {did_you_mean(key, METRICS)} A new one is a row of METRICS (common/eval/report.py)."
        )
    return METRICS[family]


def column(name: str, key: str) -> str:
    """What a reader is told a report is: its name, and of a ceiling that something may beat that it is none."""
    return f"{name} (oracle, not a bound)" if name == "ceiling" and not metric(key).is_bounded else name


@dataclass(frozen=True, kw_only=True)
class Report:
    """`units` [num_rows or num_requests] are the terms whose mean is the primary, `clusters` whose they are: what a paired interval needs.

    `origin`: world | real | published. `comparable` is set on a published report: "yes", or "no, because ...".
    """

    primary: str
    origin: str
    metrics: Mapping[str, Interval]
    slices: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    units: Floats
    clusters: Ints
    comparable: str | None = None

    def as_json(self) -> dict[str, Any]:
        """{"primary": {name, value, low, high, n, direction, origin}, "metrics": {...}, "slices": {...}} (+ comparable)."""
        primary = {"name": self.primary, **self.metrics[self.primary].as_json()}
        primary |= {"direction": metric(self.primary).direction, "origin": self.origin}
        found: dict[str, Any] = {
            "primary": primary,
            "metrics": _intervals(self.metrics),
            "slices": {name: _intervals(metrics) for name, metrics in self.slices.items()},
        }
        return found if self.comparable is None else found | {"comparable": self.comparable}


def _intervals(metrics: Mapping[str, Interval]) -> dict[str, Any]:
    for key in metrics:
        metric(key)  # a key without a definition never leaves the house
    return {key: interval.as_json() for key, interval in metrics.items()}


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure from a paper or benchmark, with where it stands and whether it may be compared with ours."""

    name: str
    metric: str
    value: float
    source: str
    comparable: str  # "yes" or "no, because ..."

    def report(self) -> Report:
        """As a column beside ours: a value without interval, rows or users."""
        return Report(
            primary=self.metric,
            origin="published",
            metrics={self.metric: Interval(value=self.value, low=None, high=None, n=0)},
            units=np.empty(0),
            clusters=np.empty(0, np.int64),
            comparable=self.comparable,
        )


def paired(ours: Report, theirs: Report) -> Interval:
    """Mean of ours.units - theirs.units with a 95 % interval over clusters; both reports must be over the same rows."""
    from common.eval import intervals

    assert ours.primary == theirs.primary, (ours.primary, theirs.primary)
    assert np.array_equal(ours.clusters, theirs.clusters), "a paired interval needs two reports over the same rows"
    return intervals.mean(ours.units - theirs.units, ours.clusters)


def is_better(difference: Interval, metric_key: str) -> bool:
    """True if the whole interval lies on the better side of zero for that metric's direction."""
    direction = metric(metric_key).direction
    assert direction in ("higher", "lower"), f"{metric_key} has no better side of zero"
    if difference.low is None or difference.high is None:
        return False
    return difference.low > 0 if direction == "higher" else difference.high < 0
