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
from common.contract import Bools, Events, Floats, Ints
from common.errors import InputError, did_you_mean
from common.events import key_column, value_column
from harmful_content.config import Config
from harmful_content.data import edos, labels, moderated, planted, reviews, tables
from harmful_content.schema import NO_IMAGES, POLICIES, Dataset, Judgments, Live, Moderated, Rows

ROLES = tables.TABLES  # what `mlsd data FILE` asks of your tables
PLAIN = ("num_words", "unknown_words", "has_picture")  # values of an impression that are watched as they are
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
    """Served posts with their natural labels and whether anybody reacted; NaN where the window is still open. What reviewers decided is the hand
    label, by the last of them: an appeal that was granted corrects it. Both are as wide as our POLICIES, or as the last policy that the log names:
    data of one's own may have more."""
    shown = np.flatnonzero(labels.impressions(events))
    window = config.label_window_hours * 3600
    is_open = events.event_time[shown] > events.event_time.max(initial=0) - window
    num_policies = max(len(POLICIES), int(value_column(events, "policy").max(initial=0)) + 1)
    natural = labels.natural(events, shown, window, config.reports_enough, num_policies)
    values = {name: value_column(events, name)[shown] for name in planted.VALUES}
    post_id = key_column(events, "post_id")[shown]
    seen = np.isin(post_id, key_column(events, "post_id")[events.kind == "reactions"])
    by_hand = reviews.labels(reviews.read(events), num_policies).of(post_id)
    posts = moderated.read(events)
    return Live(
        rows=Rows(
            post_id=post_id,
            user_id=key_column(events, "user_id")[shown],
            event_time=events.event_time[shown],
            moment=events.moment[shown],
            text=np.full(len(shown), ""),
            image=np.full(len(shown), -1),
            images=NO_IMAGES,
            natural_label=np.where(is_open[:, None], np.nan, natural),
            hand_label=by_hand.hand_label,
            numbers=_watched(posts, post_id, is_open) | {name: values[name].astype(float) for name in PLAIN},
        ),
        posts=posts,
        weight=by_hand.weight,
        predictions=values["probability_ppm"] / 1e6,
        policy=values["policy"],
        action=values["action"],
        reacted=np.where(is_open, np.nan, seen),
        num_missing=values["num_missing"],
        num_unknown=values["num_unknown"],
        degraded=values["degraded"] > 0,
        report_policy=value_column(events, "policy")[events.kind == "report"],
        report_author=key_column(events, "user_id")[events.kind == "report"],
    )


def _watched(posts: Moderated, post_id: Ints, is_open: Bools) -> dict[str, Floats]:
    at = np.searchsorted(posts.post_id, post_id)
    known = {"found": posts.found | posts.reported, "reversed": posts.enforced}
    found = {name: np.where(counts, getattr(posts, name), np.nan)[at] for name, counts in known.items()}
    return found | {name: np.where(is_open, np.nan, getattr(posts, name)[at]) for name in ("views", "reports")}


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
