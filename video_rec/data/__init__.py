"""Tables -> labels -> splits, from the world or from a real data set, into one Dataset.

In:     config.data: world | microlens:DIR | csv:PATH | parquet:PATH.
Out:    load -> Dataset (labelled impressions to learn from, requests to answer, the catalogue, the history); judgments -> the key to the
        requests; live -> served traffic as rows; write -> the bring-your-own files.
Choice: cut by time where there is a clock, the last video of each user where there is none.
Else:   a random split: it puts the future into training and makes every figure too good.
Breaks: labels in the test requests (there is no field for them), a feature that sees its own row (tests/contract).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Events, Ints
from common.errors import InputError, did_you_mean
from common.features.views import pair
from video_rec.config import Config
from video_rec.data import microlens, planted, tables
from video_rec.schema import Dataset, Judgments, Live, Rows

ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables


def load(config: Config) -> Dataset:
    return _read(config)[0]


def judgments(config: Config) -> Judgments:
    return _read(config)[1]


def live(events: Events, config: Config) -> Live:
    """Impressions of a stretch of the log as rows with the labels the same stretch holds, and the scores they were served with.

    An impression without a moment makes no row: its features were never read. Labels are NaN while the watch window is open: a watch is
    reported when it ends, so the last hours of a stretch would look as if nobody watched."""
    shown = np.flatnonzero((events.kind == "impression") & (events.moment >= 0))
    request = np.unique(events.keys["request_id"], return_inverse=True)[1]  # 53 bits leave no room for the video
    pair_of = pair(request.astype(np.int64), events.keys["video_id"])
    labels = {}
    watched = _matches(events, "watch", pair_of, shown)
    labels["clicked"] = (watched >= 0).astype(float)
    for name in ("completed", "watch_seconds"):
        labels[name] = np.where(watched >= 0, events.values[name][watched].astype(float), np.nan)
    labels["liked"] = np.where(watched >= 0, _matches(events, "like", pair_of, shown) >= 0, np.nan)
    labels["hidden"] = (_matches(events, "hide", pair_of, shown) >= 0).astype(float)
    window = config.watch_window_hours * 3_600
    is_open = events.event_time[shown] > events.event_time.max(initial=0) - window
    labels = {task: np.where(is_open, np.nan, label) for task, label in labels.items()}
    rows = Rows(
        user_id=events.keys["user_id"][shown],
        video_id=events.keys["video_id"][shown],
        event_time=events.event_time[shown],
        moment=events.moment[shown],
        labels=labels,
        numbers={"slot": events.values["slot"][shown].astype(float)},
    )
    return Live(
        rows=rows,
        predictions=events.values["score_ppm"][shown] / 1e6,
        cold=events.values["cold"][shown] > 0,
        degraded=events.values["degraded"][shown] > 0,
    )


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    tables.write(dataset, judgments, folder)


def _read(config: Config) -> tuple[Dataset, Judgments]:
    name, path = split_data(config.data)
    if name == "world":
        return planted.read(config)
    if name == "microlens":
        return microlens.read(Path(path))
    if name in ("csv", "parquet"):
        return tables.read(Path(path))
    raise InputError(
        f"--data {config.data!r}: no such data set. {did_you_mean(name, ['world', 'microlens', 'csv', 'parquet'])}"
    )


def _matches(events: Events, kind: str, pair_of: Ints, shown: Ints) -> Ints:
    """For each impression the index of the event of that kind for the same request and video, -1 where there is none."""
    at = np.flatnonzero(events.kind == kind)
    order = at[np.argsort(pair_of[at], kind="stable")]
    if not len(order):
        return np.full(len(shown), -1)
    place = np.minimum(np.searchsorted(pair_of[order], pair_of[shown]), len(order) - 1)
    return np.where(pair_of[order[place]] == pair_of[shown], order[place], -1)


__all__ = ["judgments", "live", "load", "write"]
