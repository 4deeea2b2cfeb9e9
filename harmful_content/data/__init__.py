"""Tables to labels to splits, from the world or from your own files.

In:     config.data: world, edos:DIR, csv:PATH or parquet:PATH.
Out:    Dataset and Judgments; Live, read back from the log of served posts; the bring-your-own files.
Choice: two labels side by side: the natural one is there for every post, noisy and biased by who reports; the hand label is right and rare.
Else:   hand labels alone, where enough are bought to train on.
Breaks: a report from the future in a training feature (the check that cuts the log off), a label taken for the truth where nobody looked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Events
from common.errors import InputError, did_you_mean
from common.events import key_column, value_column
from harmful_content.config import Config
from harmful_content.data import edos, labels, planted, tables
from harmful_content.schema import NO_IMAGES, POLICIES, Dataset, Judgments, Live, Rows

ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables
READERS: Mapping[str, Callable[[Path, Config], tuple[Dataset, Judgments]]] = {
    "edos": edos.read,
    "csv": tables.read,
    "parquet": tables.read,
}


def load(config: Config) -> Dataset:
    """The Dataset of config.data; the labels of its test rows are NaN."""
    return _read(config)[0]


def judgments(config: Config) -> Judgments:
    """The key to the test rows. Only the pipeline and the experiments open it."""
    return _read(config)[1]


def live(events: Events, config: Config) -> Live:
    """Served posts with their natural labels and whether anybody reacted; NaN where the window is still open. The labels are as wide as our
    POLICIES, or as the last policy that the log names: data of one's own may have more."""
    shown = np.flatnonzero(labels.impressions(events))
    window = config.label_window_hours * 3600
    is_open = events.event_time[shown] > events.event_time.max(initial=0) - window
    named = int(value_column(events, "policy").max(initial=0)) + 1
    natural = labels.natural(events, shown, window, config.reports_enough, max(named, len(POLICIES)))
    values = {name: value_column(events, name)[shown] for name in planted.VALUES}
    seen = np.isin(key_column(events, "post_id")[shown], key_column(events, "post_id")[events.kind == "reactions"])
    return Live(
        rows=Rows(
            post_id=key_column(events, "post_id")[shown],
            user_id=key_column(events, "user_id")[shown],
            event_time=events.event_time[shown],
            moment=events.moment[shown],
            text=np.full(len(shown), ""),
            image=np.full(len(shown), -1),
            images=NO_IMAGES,
            natural_label=np.where(is_open[:, None], np.nan, natural),
            hand_label=np.full(natural.shape, np.nan),
        ),
        predictions=values["probability_ppm"] / 1e6,
        policy=values["policy"],
        action=values["action"],
        reacted=np.where(is_open, np.nan, seen),
        num_missing=values["num_missing"],
        num_unknown=values["num_unknown"],
        degraded=values["degraded"] > 0,
    )


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """The tables, their schema.toml and the pictures that `csv:FOLDER` reads back as the same Dataset."""
    tables.write(dataset, judgments, folder)


def _read(config: Config) -> tuple[Dataset, Judgments]:
    name, path = split_data(config.data)
    if name == "world":
        return planted.read(config)
    if name not in READERS:
        raise InputError(f"--data {config.data!r}: no such data set. {did_you_mean(name, ['world', *READERS])}")
    return READERS[name](Path(path), config)
