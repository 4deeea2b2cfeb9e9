"""Tables to labels to splits, from the world or from your own CSV.

In:     config.data: world, csv:FOLDER or parquet:FOLDER.
Out:    Dataset and Judgments; Live, read back from the log of served traffic.
Choice: one table of mails; the event log is made from it by one function, so a table and a log cannot disagree.
Else:   a table of events as well, where an opening has a time of its own.
Breaks: a random split, which lets tomorrow's openings train today's model: the split is by time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Bools, Events, Floats, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.splits import by_time
from common.features.asof import AsOfStore
from tests.toy.scorer.config import Config
from tests.toy.scorer.schema import Catalog, Dataset, Judgments, Live, Rows

ROLES = {
    "rows": Roles(required={"user_id": "id", "letter_id": "id", "event_time": "time", "label": "label"}, optional={})
}


def load(config: Config) -> Dataset:
    rows, history = _mails(config)
    train, valid, test = by_time(rows.event_time)
    hidden = np.full(len(test), np.nan)
    return Dataset(
        catalog=Catalog(letter_id=np.unique(rows.letter_id[train])),
        train=_take(rows, train, rows.label[train]),
        valid=_take(rows, valid, rows.label[valid]),
        test=_take(rows, test, hidden),
        history=AsOfStore(history),
    )


def judgments(config: Config) -> Judgments:
    rows, _ = _mails(config)
    test = by_time(rows.event_time)[2]
    origin = "world" if config.data == "world" else "real"
    return Judgments(label=rows.label[test], user_id=rows.user_id[test], origin=origin)


def live(events: Events, config: Config) -> Live:
    """Impressions that carry a moment, with what is known by now of whether they were opened."""
    shown = (events.kind == "impression") & (events.moment >= 0)
    return Live(rows=_rows(events, shown), predictions=events.values["probability_ppm"][shown] / 1e6)


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """rows.csv and its schema.toml: what `csv:FOLDER` reads back."""
    parts = (dataset.train, dataset.valid, dataset.test)
    roles = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("user_id", "letter_id", "event_time")
    }
    label = np.concatenate([dataset.train.label, dataset.valid.label, judgments.label])
    write_tables(folder, {"rows": Table(roles={**roles, "label": label})})


def _mails(config: Config) -> tuple[Rows, Events]:
    """Every mail in time order, its moment where its impression stands in the log; and that log."""
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
    opened = np.flatnonzero(label == 1)
    source = np.concatenate([np.arange(len(label)), opened])
    times = event_time[source] + np.repeat([0, config.open_after_seconds], [len(label), len(opened)])
    order = np.argsort(times, kind="stable")  # of one second, impressions first
    events = Events(
        position=np.arange(len(order)),
        kind=np.repeat(["impression", "open"], [len(label), len(opened)])[order],
        event_time=times[order],
        moment=np.full(len(order), -1),  # history: no answer was served, so no moment was logged
        keys={"request_id": source[order], "user_id": user_id[source][order], "letter_id": letter_id[source][order]},
        values={"probability_ppm": np.zeros(len(order), dtype=np.int64)},
    )
    shown = events.kind == "impression"
    return replace(_rows(events, shown), moment=events.position[shown], label=label[source[order][shown]]), events


def _rows(events: Events, which: Bools) -> Rows:
    request_id, opened = events.keys["request_id"], events.kind == "open"
    return Rows(
        user_id=events.keys["user_id"][which],
        letter_id=events.keys["letter_id"][which],
        event_time=events.event_time[which],
        moment=events.moment[which],
        label=np.isin(request_id[which], request_id[opened]).astype(np.float64),
    )


def _take(rows: Rows, index: Ints, label: Floats) -> Rows:
    taken = {name: getattr(rows, name)[index] for name in ("user_id", "letter_id", "event_time", "moment")}
    return Rows(**taken, label=label)
