"""Tables to labels to splits, from the world or from a real data set.

In:     config.data: world | microlens:DIR | movielens:DIR | csv:PATH | parquet:PATH.
Out:    load -> Dataset (labelled impressions to learn from, requests to answer, the catalogue, the history); judgments -> the key to the
        requests; live -> served traffic as rows; write -> the bring-your-own files.
Choice: cut by time where there is a clock, the last video of each user where there is none (and on MovieLens, as is usual there).
Else:   a random split: it puts the future into training and makes every figure too good.
Breaks: labels in the test requests (there is no field for them), a feature that sees its own row (tests/contract).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Events
from common.errors import InputError, did_you_mean
from common.events import value_column
from video_rec.config import Config
from video_rec.data import labels, microlens, movielens, planted, tables
from video_rec.schema import EVENTS, Dataset, Judgments, Live

ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables


def load(config: Config) -> Dataset:
    return _read(config)[0]


def judgments(config: Config) -> Judgments:
    return _read(config)[1]


def live(events: Events, config: Config) -> Live:
    """Served impressions with their labels; NaN while the watch window is open: a watch is reported when it ends, so the last hours of a
    stretch would look as if nobody watched. An impression without a moment makes no row: its features were never read."""
    window = config.watch_window_hours * 3600
    shown = labels.impressions(events)
    values = {name: value_column(events, name)[shown] for name in EVENTS["impression"].values}
    rows = labels.join(events)
    still_open = rows.event_time > events.event_time.max(initial=0) - window
    return Live(
        rows=replace(rows, labels={task: np.where(still_open, np.nan, label) for task, label in rows.labels.items()}),
        predictions=values["score_ppm"] / 1e6,
        cold=values["cold"] > 0,
        degraded=values["degraded"] > 0,
    )


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    tables.write(dataset, judgments, folder)


def _read(config: Config) -> tuple[Dataset, Judgments]:
    name, path = split_data(config.data)
    if name == "world":
        return planted.read(config)
    if name == "microlens":
        return microlens.read(Path(path))
    if name == "movielens":
        return movielens.read(Path(path))
    if name in ("csv", "parquet"):
        return tables.read(Path(path))
    raise InputError(
        f"--data {config.data!r}: no such data set. {did_you_mean(name, ['world', 'microlens', 'movielens', 'csv', 'parquet'])}"
    )


__all__ = ["judgments", "live", "load", "write"]
