"""Tables to labels to splits, from the world or from a real data set.

In:     config.data: world | beir:DIR | letor:DIR | csv:PATH | parquet:PATH.
Out:    load -> Dataset (results shown to learn from, queries to answer, the documents, the history); judgments -> the key to the queries;
        live -> served traffic as rows; write -> the bring-your-own files.
Choice: cut by time where there is a log; the judged queries of a test collection are its own.
Else:   a random split: the same query on both sides, with what its clicks say.
Breaks: labels in the test requests (there is no field for them), a feature that sees its own row (tests/contract).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Events
from common.errors import InputError, did_you_mean
from common.events import value_column
from search_ranking.config import Config
from search_ranking.data import collection, labels, planted, tables
from search_ranking.schema import Dataset, Judgments, Live

ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables
READERS: Mapping[str, Callable[[Path], tuple[Dataset, Judgments]]] = {
    "beir": collection.read_beir,
    "letor": collection.read_letor,
    "csv": tables.read,
    "parquet": tables.read,
}


def load(config: Config) -> Dataset:
    return _read(config)[0]


def judgments(config: Config) -> Judgments:
    return _read(config)[1]


def live(events: Events, config: Config) -> Live:
    """Served results with their labels; NaN while the window of a click is open: it is reported when the person is back."""
    rows = labels.join(events)
    still_open = rows.event_time > events.event_time.max(initial=0) - config.click_window_hours * 3_600
    shown = np.flatnonzero(labels.impressions(events))
    order = np.lexsort((value_column(events, "slot")[shown], events.keys["request_id"][shown]))
    score, cold, degraded = (value_column(events, name)[shown][order] for name in ("score_ppm", "cold", "degraded"))
    return Live(
        rows=replace(rows, labels={task: np.where(still_open, np.nan, label) for task, label in rows.labels.items()}),
        predictions=score / 1e6,
        cold=cold > 0,
        degraded=degraded > 0,
    )


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    tables.write(dataset, judgments, folder)


def _read(config: Config) -> tuple[Dataset, Judgments]:
    name, path = split_data(config.data)
    if name == "world":
        return planted.read(config)
    if name not in READERS:
        raise InputError(f"--data {config.data!r}: no such data set. {did_you_mean(name, ['world', *READERS])}")
    return READERS[name](Path(path))


__all__ = ["ROLES", "judgments", "live", "load", "write"]
