"""Tables to labels to splits, from the world or from a real data set.

In:     config.data: world, frappe:DIR, csv:PATH or parquet:PATH.
Out:    Dataset and Judgments; Live, read back from the log of served traffic; the bring-your-own files.
Choice: labels are joined to impressions by (request, ad) in one function, for the training table and for served traffic alike.
Else:   a label as soon as the click comes and a correction later, where waiting a day costs more than wrong negatives.
Breaks: a click from the future in a training feature (the check that cuts the log off), a row whose window is still open.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ad_click.config import Config
from ad_click.data import frappe, labels, planted, tables
from ad_click.schema import EVENTS, Categories, Dataset, Judgments, Live, Rows
from common.config import split_data
from common.contract import Bools, Events, Ints
from common.errors import InputError, did_you_mean
from common.events import value_column

ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables


def load(config: Config) -> Dataset:
    """The Dataset of config.data; the labels of its test rows are NaN."""
    dataset = _labelled(config)
    return replace(dataset, test=replace(dataset.test, label=np.full(len(dataset.test), np.nan)))


def judgments(config: Config) -> Judgments:
    """The key to the test rows. Only the pipeline and the experiments open it."""
    dataset = _labelled(config)
    return Judgments(
        label=dataset.test.label,
        user_id=dataset.test.user_id,
        slices=_slices(dataset.test, dataset.train),
        origin="world" if config.data == "world" else "real",
    )


def live(events: Events, config: Config) -> Live:
    """Served impressions with their labels; NaN where the window is still open, whether a click has come or not: counting the early
    clicks alone would overstate the rate, counting open ones as not clicked would understate it."""
    window = config.click_window_hours * 3600
    shown = labels.impressions(events)
    values = {name: value_column(events, name)[shown] for name in EVENTS["impression"].values}
    rows = labels.join(events, window)
    still_open = rows.event_time > events.event_time.max(initial=0) - window
    return Live(
        rows=replace(rows, label=np.where(still_open, np.nan, rows.label)),
        predictions=values["probability_ppm"] / 1e6,
        num_missing=values["num_missing"],
        num_unknown=values["num_unknown"],
        degraded=values["degraded"] > 0,
    )


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """The tables and their schema.toml that `csv:FOLDER` reads back as the same Dataset, bit for bit."""
    labelled = replace(dataset, test=replace(dataset.test, label=judgments.label))
    tables.write(labelled, folder)


def _labelled(config: Config) -> Dataset:
    name, path = split_data(config.data)
    if name == "world":
        return planted.read(config)
    if name == "frappe":
        return frappe.read(Path(path))
    if name in ("csv", "parquet"):
        return tables.read(Path(path), config)
    raise InputError(
        f"--data {config.data!r}: no such data set. {did_you_mean(name, ['world', 'frappe', 'csv', 'parquet'])}"
    )


def _slices(test: Rows, train: Rows) -> Categories:
    """What the interviewer asks for first: does it hold for new ads, new people, every device and slot?"""
    slices: dict[str, NDArray[np.str_]] = {
        "ad": np.where(_seen(test.ad_id, train.ad_id, 20), "known", "new"),
        "user": np.where(_seen(test.user_id, train.user_id, 1), "known", "cold"),
    }
    for name in ("device", "weather"):
        if name in test.categories:
            slices[name] = test.categories[name]
    if "slot" in test.numbers:
        slices["slot"] = np.char.mod("%d", test.numbers["slot"])
    return slices


def _seen(ids: Ints, train: Ints, at_least: int) -> Bools:
    known, count = np.unique(train, return_counts=True)
    return np.isin(ids, known[count >= at_least])
