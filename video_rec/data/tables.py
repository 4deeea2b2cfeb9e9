"""Your own tables, in and out: rows alone, or a folder with the catalogue, the events and the requests too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Events, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.logged import events_of, integers
from common.data.splits import by_time
from common.errors import InputError
from common.events import key_column
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore
from video_rec.data import microlens
from video_rec.data.planted import group, hits, lists
from video_rec.schema import EVENTS, SHOWN, TASKS, Catalog, Dataset, Judgments, Requests, Rows, find

SPLITS = ("train", "valid")
ASKED = ("age", "country")  # -1: unknown
RULED = ("min_age", "barred_in", "fingerprint")
UNKNOWN_SECONDS = 60  # from an impression to its outcome, where the rows do not say
VALUES = tuple(dict.fromkeys(name for kind in EVENTS.values() for name in kind.values))
TABLES = {
    "rows": Roles(
        required={"user_id": "id", "video_id": "id"},
        optional={"event_time": "time", "moment": "number", "split": "category", **dict.fromkeys(TASKS, "number")},
    ),
    "catalog": Roles(
        required={"video_id": "id"},
        optional={
            "creator_id": "id",
            "title": "text",
            "explicit": "number",
            "tags": "text",
            **dict.fromkeys(RULED, "number"),
        },
        key="video_id",
    ),
    "events": Roles(
        required={"kind": "category", "event_time": "time"},
        optional={"moment": "number", **dict.fromkeys(SHOWN, "id"), **dict.fromkeys(VALUES, "number")},
    ),
    "requests": Roles(
        required={"user_id": "id", "event_time": "time", "moment": "number"}, optional=dict.fromkeys(ASKED, "number")
    ),
    "relevant": Roles(required={"request": "number", "video_id": "id"}, optional={}),
}


def read(path: Path) -> tuple[Dataset, Judgments]:
    """rows: one a video shown (with `clicked`) or watched (without). With `event_time` they are cut by time, without it the last two of each
    user are left out. `events`, `requests` and `relevant` come together, as `write` wrote them, and then nothing is cut."""
    tables = read_tables(path, TABLES)
    rows = _rows(tables["rows"])
    catalog = _catalog(tables.get("catalog"), rows)
    clocked = "event_time" in tables["rows"].roles
    if "events" not in tables and (unread := {"split", "moment"} & tables["rows"].roles.keys()):
        raise InputError(
            f"rows: {', '.join(sorted(unread))} without events. Without events.csv rows are cut here, by time or by user. Add "
            "events, requests and relevant as `mlsd data` writes them, or take the role away."
        )
    if "events" in tables:
        return _written(tables, rows, catalog, clocked)
    if not clocked:
        watched = rows.take(rows.labels["clicked"] > 0)
        return microlens.leave_last_out(watched.user_id, watched.video_id, catalog)
    return _cut(rows.take(np.argsort(rows.event_time, kind="stable")), catalog)


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """What `read` takes in again, bit for bit. Of the key it keeps the logged positives: a planted gain has no file."""
    parts, events, catalog = (dataset.train, dataset.valid), dataset.history.events, dataset.catalog
    clocked = isinstance(dataset.history, AsOfStore)
    columns = ("user_id", "video_id", "moment", *(("event_time",) if clocked else ()))
    roles: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    roles["moment"] = roles["moment"].astype(float)
    roles["split"] = np.repeat(SPLITS, [len(part) for part in parts])
    roles |= {task: np.concatenate([part.labels[task] for part in parts]) for task in dataset.train.labels}
    videos: dict[str, Any] = {name: getattr(catalog, name) for name in ("video_id", "creator_id", "title", "tags")}
    log: dict[str, Any] = {"kind": events.kind, "event_time": events.event_time, "moment": events.moment.astype(float)}
    log |= dict(events.keys) | {name: column.astype(float) for name, column in events.values.items()}
    asked: dict[str, Any] = {"user_id": dataset.test.user_id, "event_time": dataset.test.event_time}
    asked |= {name: getattr(dataset.test, name).astype(float) for name in ASKED}
    request, place = np.nonzero(judgments.relevant >= 0)
    tables = {
        "rows": Table(roles=roles),
        "catalog": Table(
            roles=videos | {name: getattr(catalog, name).astype(float) for name in ("explicit", *RULED)},
            numbers=catalog.numbers,
            categories=catalog.categories,
        ),
        "events": Table(roles=log),
        "requests": Table(roles=asked | {"moment": dataset.test.moment.astype(float)}),
        "relevant": Table(roles={"request": request.astype(float), "video_id": judgments.relevant[request, place]}),
    }
    write_tables(folder, tables)


def _written(tables: dict[str, Table], rows: Rows, catalog: Catalog, clocked: bool) -> tuple[Dataset, Judgments]:
    if lacking := {"requests", "relevant"} - tables.keys():
        raise InputError(
            f"With events.csv come requests and relevant; there is no {', '.join(sorted(lacking))}. Add them or leave the events out."
        )
    split, asked, relevant = tables["rows"].roles.get("split"), tables["requests"].roles, tables["relevant"].roles
    if split is None:
        raise InputError(f"rows: with events.csv each row says its split, {' or '.join(SPLITS)}. Add the column.")
    events = events_of(tables["events"], SHOWN, VALUES)
    requests = Requests(
        user_id=asked["user_id"],
        event_time=asked["event_time"],
        moment=integers(asked["moment"]),
        **{name: integers(asked[name]) for name in ASKED if name in asked},
    )
    if len(np.unique(requests.user_id)) < len(requests):
        raise InputError(f"requests: {len(requests)} for fewer users. Expected one a user: keep each user's first.")
    positives = lists(np.arange(len(requests)), integers(relevant["request"]), relevant["video_id"])
    train, valid = (rows.take(split == name) for name in SPLITS)
    history = AsOfStore(events) if clocked else LeaveOneOutStore(events, ordered=("user_id",))
    dataset = Dataset(train=train, valid=valid, test=requests, catalog=catalog, history=history)
    return dataset, _key(dataset, positives)


def _cut(rows: Rows, catalog: Catalog) -> tuple[Dataset, Judgments]:
    """By time; each user's first row of the last fifth is a request, what that user watched from there on is relevant."""
    events = _made_up(rows, catalog)
    shown = events.kind == "impression"
    rows = replace(rows, moment=events.moment[shown][np.argsort(key_column(events, "request_id")[shown])])
    train, valid, test = by_time(rows.event_time)
    users, first = np.unique(rows.user_id[test], return_index=True)
    at, watched = test[first], test[rows.labels["clicked"][test] > 0]
    requests = Requests(user_id=users, event_time=rows.event_time[at], moment=rows.moment[at])
    dataset = Dataset(
        train=rows.take(train), valid=rows.take(valid), test=requests, catalog=catalog, history=AsOfStore(events)
    )
    return dataset, _key(dataset, lists(users, rows.user_id[watched], rows.video_id[watched]))


def _key(dataset: Dataset, relevant: Ints) -> Judgments:
    train = dataset.train
    user_id, counts = np.unique(train.user_id[train.labels["clicked"] > 0], return_counts=True)
    place = np.minimum(np.searchsorted(user_id, dataset.test.user_id), max(len(user_id) - 1, 0))
    known = user_id[place] == dataset.test.user_id

    return Judgments(
        requests=dataset.test,
        gain=hits(dataset.test.user_id, relevant),
        relevant=relevant,
        num_videos=len(dataset.catalog),
        slices={"history": group(np.where(known, counts[place], 0))},
        origin="real",
    )


def _made_up(rows: Rows, catalog: Catalog) -> Events:
    """The log behind labelled rows: an impression each, and the watch, like or hide there was when it was over (a watch of unknown length:
    UNKNOWN_SECONDS later). A row's moment is the first position of its second, so no video of a slate sees what became of the others."""
    kinds, sources = [np.full(len(rows), "impression")], [np.arange(len(rows))]
    for kind, task in (("watch", "clicked"), ("like", "liked"), ("share", "shared"), ("hide", "hidden")):
        sources.append(np.flatnonzero(rows.labels.get(task, np.zeros(len(rows))) > 0))
        kinds.append(np.full(len(sources[-1]), kind))
    source, kind_of = np.concatenate(sources), np.concatenate(kinds)
    seconds = rows.labels.get("watch_seconds", np.full(len(rows), np.nan))
    over = rows.event_time + 1 + np.where(np.isnan(seconds), UNKNOWN_SECONDS, np.maximum(seconds, 0)).astype(np.int64)
    time = np.where(kind_of == "impression", rows.event_time[source], over[source])
    order = np.lexsort((source, time))
    source, kind_of, time = source[order], kind_of[order], time[order]
    index = find(catalog.video_id, rows.video_id[source])
    creator = np.where(index >= 0, catalog.creator_id[index], -1)
    nothing, watched = np.zeros(len(order), np.int64), kind_of == "watch"
    values = dict.fromkeys(VALUES, nothing)
    for name in ("watch_seconds", "completed"):
        if name in rows.labels:
            values[name] = np.where(watched, integers(rows.labels[name][source]), 0)
    return Events(
        position=np.arange(len(order)),
        kind=kind_of,
        event_time=time,
        moment=np.searchsorted(time, rows.event_time[source]),
        keys=dict(zip(SHOWN, (source, rows.user_id[source], rows.video_id[source], creator), strict=True)),
        values=values,
    )


def _rows(table: Table) -> Rows:
    roles, n = table.roles, len(table)
    return Rows(
        user_id=roles["user_id"],
        video_id=roles["video_id"],
        event_time=roles.get("event_time", np.zeros(n, np.int64)),
        moment=integers(roles.get("moment", np.full(n, -1.0))),
        labels={"clicked": np.ones(n)} | {task: roles[task].astype(float) for task in TASKS if task in roles},
        numbers=table.numbers,
        categories=table.categories,
    )


def _catalog(table: Table | None, rows: Rows) -> Catalog:
    """Without a table: every video of the rows, by nobody, untitled."""
    roles: dict[str, Any] = {"video_id": np.unique(rows.video_id)} if table is None else dict(table.roles)
    for name in ("explicit", *RULED):
        if name in roles and (empty := np.flatnonzero(np.isnan(roles[name]))).size:
            raise InputError(
                f"catalog: {name} of video {roles['video_id'][empty[0]]} is empty, as {len(empty)} are. Who may see a video is said for all or "
                "for none: fill the column (0 is no limit) or take the role away."
            )
    order = np.argsort(roles["video_id"], kind="stable")
    n = len(order)
    return Catalog(
        video_id=roles["video_id"][order],
        creator_id=roles.get("creator_id", np.full(n, -1))[order],
        title=roles.get("title", np.full(n, ""))[order],
        explicit=integers(roles.get("explicit", np.zeros(n))[order]),
        tags=roles.get("tags", np.full(n, ""))[order],
        **{name: integers(roles.get(name, np.zeros(n))[order]) for name in RULED},
        numbers={} if table is None else {name: column[order] for name, column in table.numbers.items()},
        categories={} if table is None else {name: column[order] for name, column in table.categories.items()},
    )
