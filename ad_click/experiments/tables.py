"""What the experiments share: the data and the key, and reports side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ad_click import data, features
from ad_click.config import Config
from ad_click.features import Features
from ad_click.schema import Categories, Dataset, Judgments
from common.contract import Floats, Ints, Table
from common.eval import intervals
from common.eval.report import Interval, Report, paired


def loaded(config: Config) -> tuple[Dataset, Features, Judgments]:
    dataset = data.load(config)
    return dataset, features.fit(dataset, config), data.judgments(config)


def relabelled(dataset: Dataset, other: Dataset) -> Dataset:
    """The rows of `dataset` with the labels of `other`: both have the same impressions in the same order, `other` goes on for longer."""
    label = np.concatenate([other.train.label, other.valid.label])
    n = len(dataset.train)
    return replace(
        dataset,
        train=replace(dataset.train, label=label[:n]),
        valid=replace(dataset.valid, label=label[n : n + len(dataset.valid)]),
    )


def against(name: str, reports: Mapping[str, Report]) -> Table:
    """One row a report: log loss, its difference to the first row with an interval over users, and the calibration."""
    first = next(iter(reports.values()))
    rows = []
    for what, report in reports.items():
        difference = paired(report, first)
        rows.append(
            {
                name: what,
                "log_loss": report.metrics["log_loss"].value,
                "against_first": difference.value,
                "low": difference.low,
                "high": difference.high,
                "calibration_ratio": report.metrics["calibration_ratio"].value,
                "auc": report.metrics["auc"].value,
            }
        )
    return rows


def difference_of_means(one: Floats, other: Floats, of_one: Ints, of_other: Ints) -> Interval:
    """Mean of one minus mean of other, measured on different rows, with an interval over users: a user's rows in both count together, so what
    makes a user hard in both cancels. Each row's part of the error is its distance from its own mean, as in a mean over all."""
    value, total = float(one.mean() - other.mean()), len(one) + len(other)
    parts = [sign * (units - units.mean()) * total / len(units) for sign, units in ((1, one), (-1, other))]
    return intervals.mean(value + np.concatenate(parts), np.concatenate([of_one, of_other]))


def known(bound: float | None) -> float:
    """A bound of an interval over users, which has bounds."""
    assert bound is not None
    return bound


LARGE = 10_000  # rows of a slice; of fewer the planted ads and people are too few to be average


def large_slices(slices: Categories, num_rows: int) -> dict[str, Ints]:
    """Row indices of all rows and of every large slice, by name."""
    found = {"all": np.arange(num_rows)}
    for name, column in slices.items():
        parts = {f"{name}={value}": np.flatnonzero(column == value) for value in np.unique(column)}
        found |= {part: at for part, at in parts.items() if len(at) >= LARGE}
    return found
