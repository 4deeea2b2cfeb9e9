"""Tables to labels to splits, from the world or from your own CSV.

In:     config.data: world, csv:FOLDER or parquet:FOLDER.
Out:    Dataset and Judgments; Live, read back from the log of served traffic.
Choice: one table of mails; the event log is made from it by one function, so a table and a log cannot disagree.
Else:   a table of events as well, where an opening has a time of its own.
Breaks: a random split, which lets tomorrow's openings train today's model: the split is by time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Events, Floats, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.splits import by_time
from common.features.asof import AsOfStore
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Catalog, Dataset, Judgments, Live, Rows

ROLES = {
    "rows": Roles(required={"user_id": "id", "letter_id": "id", "event_time": "time", "label": "label"}, optional={})
}


def load(config: Config) -> Dataset:
    rows = _mails(config)
    train, valid, test = by_time(rows.event_time)
    hidden = np.full(len(test), np.nan)
    return Dataset(
        catalog=Catalog(letter_id=np.unique(rows.letter_id[train])),
        train=_take(rows, train, rows.label[train]),
        valid=_take(rows, valid, rows.label[valid]),
        test=_take(rows, test, hidden),
        history=AsOfStore(_log(rows, config)),
    )


def judgments(config: Config) -> Judgments:
    rows = _mails(config)
    test = by_time(rows.event_time)[2]
    origin = "world" if config.data == "world" else "real"
    return Judgments(label=rows.label[test], user_id=rows.user_id[test], origin=origin)


def live(events: Events, config: Config) -> Live:
    """Impressions that carry a moment, with what is known by now of whether they were opened."""
    shown = (events.kind == "impression") & (events.moment >= 0)
    request_id, opened = events.keys["request_id"], events.kind == "open"
    rows = Rows(
        user_id=events.keys["user_id"][shown],
        letter_id=events.keys["letter_id"][shown],
        event_time=events.event_time[shown],
        moment=events.moment[shown],
        label=np.isin(request_id[shown], request_id[opened]).astype(np.float64),
    )
    return Live(rows=rows, predictions=events.values["probability_ppm"][shown] / 1e6)


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """rows.csv and its schema.toml: what `csv:FOLDER` reads back."""
    parts = (dataset.train, dataset.valid, dataset.test)
    roles = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("user_id", "letter_id", "event_time")
    }
    label = np.concatenate([dataset.train.label, dataset.valid.label, judgments.label])
    write_tables(folder, {"rows": Table(roles={**roles, "label": label})})


def _mails(config: Config) -> Rows:
    """Every mail in time order; its moment is where its impression stands in the log."""
    name, path = split_data(config.data)
    if name == "world":
        from tests.toy.scorer import world

        table = world.make(config)
        user_id, letter_id, event_time, label = table.user_id, table.letter_id, table.event_time, table.label
    else:
        roles = read_tables(Path(path), ROLES)["rows"].roles
        user_id, letter_id, event_time = (
            roles[role].astype(np.int64) for role in ("user_id", "letter_id", "event_time")
        )
        label = roles["label"].astype(np.float64)
    order = np.argsort(event_time, kind="stable")
    rows = Rows(user_id=user_id, letter_id=letter_id, event_time=event_time, moment=order, label=label)
    rows = _take(rows, order, label[order])
    return _take(rows, np.arange(len(rows)), rows.label, _positions(rows, config)[: len(rows)])


def _positions(rows: Rows, config: Config) -> Ints:
    """Where each impression, then each opening, stands in the log: by time, impressions first."""
    opened = rows.label == 1
    times = np.concatenate([rows.event_time, rows.event_time[opened] + config.open_after_seconds])
    position = np.empty(len(times), dtype=np.int64)
    position[np.argsort(times, kind="stable")] = np.arange(len(times))
    return position


def _log(rows: Rows, config: Config) -> Events:
    opened = np.flatnonzero(rows.label == 1)
    order = np.argsort(_positions(rows, config))
    source = np.concatenate([np.arange(len(rows)), opened])[order]
    kind = np.repeat(["impression", "open"], [len(rows), len(opened)])[order]
    delay = np.where(kind == "open", config.open_after_seconds, 0)
    keys = {"request_id": source, "user_id": rows.user_id[source], "letter_id": rows.letter_id[source]}
    return Events(
        position=np.arange(len(order)),
        kind=kind,
        event_time=rows.event_time[source] + delay,
        moment=np.full(len(order), -1),  # history: no answer was served, so no moment was logged
        keys=keys,
        values={"probability_ppm": np.zeros(len(order), dtype=np.int64)},
    )


def _take(rows: Rows, index: Ints, label: Floats, moment: Ints | None = None) -> Rows:
    return Rows(
        user_id=rows.user_id[index],
        letter_id=rows.letter_id[index],
        event_time=rows.event_time[index],
        moment=rows.moment[index] if moment is None else moment,
        label=label,
    )
