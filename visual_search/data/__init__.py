"""Tables to labels to splits, from the world or from a real data set.

In:     config.data: world | grocery:DIR | images:DIR | csv:PATH | parquet:PATH.
Out:    load -> Dataset (images shown to learn from, requests to answer, the gallery, the history); judgments -> the key to the requests;
        live -> served traffic as rows; write -> the bring-your-own files.
Choice: cut by time where there is a log; the judged photos are of people who never searched before.
Else:   a random split: photos of one afternoon on both sides, with what their clicks say.
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
from visual_search.config import Config
from visual_search.data import grocery, images, labels, planted, tables
from visual_search.schema import Dataset, Judgments, Live

READERS: Mapping[str, Callable[[Path, Config], tuple[Dataset, Judgments]]] = {
    "grocery": grocery.read,
    "images": images.read,
    "csv": tables.read,
    "parquet": tables.read,
}
ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables


def load(config: Config) -> Dataset:
    return _read(config)[0]


def judgments(config: Config) -> Judgments:
    return _read(config)[1]


def live(events: Events, config: Config) -> Live:
    """Served images with their labels; NaN while the window of a click is open: it is reported when the person is back."""
    shown, rows = labels.shown(events), labels.join(events)
    still_open = rows.event_time > events.event_time.max(initial=0) - config.click_window_hours * 3_600
    flags = {name: value_column(events, name)[shown] > 0 for name in ("cold", "degraded", "words", "whole")}
    return Live(
        rows=replace(rows, label=np.where(still_open, np.nan, rows.label)),
        predictions=value_column(events, "score_ppm")[shown] / 1e6,
        **flags,
    )


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    tables.write(dataset, judgments, folder)


def _read(config: Config) -> tuple[Dataset, Judgments]:
    name, path = split_data(config.data)
    if name == "world":
        return planted.read(config)
    if name not in READERS:
        raise InputError(f"--data {config.data!r}: no such data set. {did_you_mean(name, ['world', *READERS])}")
    return READERS[name](Path(path), config)


__all__ = ["ROLES", "judgments", "live", "load", "write"]
