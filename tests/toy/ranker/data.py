"""Tables to labels to splits, from the world or from your own CSV.

In:     config.data: world, csv:FOLDER or parquet:FOLDER.
Out:    Dataset and Judgments; Live, read back from the log of served traffic.
Choice: one table of books shown; the event log is made from it by one function, so a table and a log cannot disagree.
Else:   a table of events as well, where reading has a time of its own.
Breaks: a random split, which lets tomorrow's reading train today's model: the split is by time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.config import split_data
from common.contract import Bools, Events, Floats, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.splits import by_time
from common.features.asof import AsOfStore
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Catalog, Dataset, Judgments, Live, Requests, Rows

COLUMNS = ("user_id", "book_id", "event_time", "label")
ROLES = {
    "rows": Roles(required={"user_id": "id", "book_id": "id", "event_time": "time", "label": "label"}, optional={})
}


def load(config: Config) -> Dataset:
    rows, history = _shown(config)
    train, valid, test = by_time(rows.event_time)
    return Dataset(
        catalog=Catalog(book_id=np.unique(rows.book_id[train])),
        train=_take(rows, train),
        valid=_take(rows, valid),
        test=_requests(_take(rows, test)),
        history=AsOfStore(history),
    )


def judgments(config: Config) -> Judgments:
    rows, _ = _shown(config)
    test = _take(rows, by_time(rows.event_time)[2])
    requests, relevant = _requests(test), _read_by(test)
    if config.data != "world":
        return Judgments(
            requests=requests, gain=_held_out(requests.user_id, relevant), relevant=relevant, origin="real"
        )
    from tests.toy.ranker import world

    return Judgments(requests=requests, gain=world.ceiling(config).gain, relevant=relevant, origin="world")


def live(events: Events, config: Config) -> Live:
    """Impressions that carry a moment, with what is known by now of whether they were read."""
    shown = (events.kind == "impression") & (events.moment >= 0)
    return Live(rows=_rows(events, shown), predictions=events.values["score_ppm"][shown] / 1e6)


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """rows.csv and its schema.toml: what `csv:FOLDER` reads back."""
    events = dataset.history.events
    rows = _rows(events, events.kind == "impression")
    write_tables(folder, {"rows": Table(roles={name: getattr(rows, name) for name in COLUMNS})})


def _shown(config: Config) -> tuple[Rows, Events]:
    """Every book shown, in time order, its moment where its impression stands in the log; and that log."""
    name, path = split_data(config.data)
    if name == "world":
        from tests.toy.ranker import world

        made = world.make(config)
        user_id, book_id, event_time, label = made.user_id, made.book_id, made.event_time, made.label
    else:
        roles = read_tables(Path(path), ROLES)["rows"].roles
        user_id, book_id, event_time = (roles[name].astype(np.int64) for name in COLUMNS[:3])
        label = roles["label"].astype(np.float64)
    read = np.flatnonzero(label == 1)
    source = np.concatenate([np.arange(len(label)), read])
    times = event_time[source] + np.repeat([0, config.read_after_seconds], [len(label), len(read)])
    order = np.argsort(times, kind="stable")
    events = Events(
        position=np.arange(len(order)),
        kind=np.repeat(["impression", "read"], [len(label), len(read)])[order],
        event_time=times[order],
        moment=np.full(len(order), -1),  # history: no answer was served, so no moment was logged
        keys={"request_id": source[order], "user_id": user_id[source][order], "book_id": book_id[source][order]},
        values={name: np.zeros(len(order), dtype=np.int64) for name in ("slot", "score_ppm")},
    )
    shown = events.kind == "impression"
    return replace(_rows(events, shown), moment=events.position[shown]), events


def _rows(events: Events, which: Bools) -> Rows:
    request_id, read = events.keys["request_id"], events.kind == "read"
    pair = np.rec.fromarrays([request_id, events.keys["book_id"]])
    return Rows(
        user_id=events.keys["user_id"][which],
        book_id=events.keys["book_id"][which],
        event_time=events.event_time[which],
        moment=events.moment[which],
        label=np.isin(pair[which], pair[read]).astype(np.float64),
    )


def _take(rows: Rows, index: Ints) -> Rows:
    return Rows(
        **{name: getattr(rows, name)[index] for name in ("user_id", "book_id", "event_time", "moment", "label")}
    )


def _requests(rows: Rows) -> Requests:
    """One request a person: the first time they come by."""
    first = np.unique(rows.user_id, return_index=True)[1]
    return Requests(user_id=rows.user_id[first], event_time=rows.event_time[first], moment=rows.moment[first])


def _read_by(rows: Rows) -> Ints:
    """[num people, most books] what each person read in these rows, -1 pads; people in ascending order as in `_requests`."""
    read = rows.label == 1
    books = [np.unique(rows.book_id[read & (rows.user_id == user)]) for user in np.unique(rows.user_id)]
    width = max(1, *(len(some) for some in books))
    return np.array([np.pad(some, (0, width - len(some)), constant_values=-1) for some in books])


def _held_out(user_id: Ints, relevant: Ints) -> Callable[[Requests, Ints], Floats]:
    """1 for a book that this person read later. user_id [num people], ascending: whose row of `relevant` is whose."""

    def gain(requests: Requests, ids: Ints) -> Floats:
        theirs = relevant[np.searchsorted(user_id, requests.user_id)]
        found = (ids[:, :, None] == theirs[:, None, :]) & (ids[:, :, None] >= 0)
        return np.asarray(found.any(axis=2), dtype=np.float64)

    return gain
