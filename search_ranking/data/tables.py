"""Your own tables, in and out: what pages showed, the documents, the queries, the log, what is asked and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.contract import Floats, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.logged import events_of, integers
from common.errors import InputError
from common.features.asof import AsOfStore
from search_ranking.schema import (
    EVENTS,
    SHOWN,
    TASKS,
    Catalog,
    Dataset,
    Judgments,
    Queries,
    Requests,
    Rows,
)

SPLITS = ("train", "valid")
RULED = ("explicit", "min_age", "barred_in", "fingerprint")
TEXTS = ("title", "description", "tags")
ASKED = ("age", "country", "max_age_days")
FRAME = "frame_"  # columns of the catalogue: frame_0, frame_1, ... describe the thumbnail
PLACED = ("slot", "swapped")
VALUES = tuple(dict.fromkeys(name for kind in EVENTS.values() for name in kind.values))
TABLES = {
    "rows": Roles(
        required={
            **dict.fromkeys(SHOWN, "id"),
            "event_time": "time",
            "split": "category",
            "clicked": "number",
            "slot": "number",
        },
        optional={"moment": "number", "swapped": "number", **dict.fromkeys(TASKS[1:], "number")},
    ),
    "catalog": Roles(
        required={"doc_id": "id", "title": "text"},
        optional={
            "channel_id": "id",
            "description": "text",
            "tags": "text",
            **dict.fromkeys(RULED, "number"),
        },
        key="doc_id",
    ),
    "queries": Roles(required={"query_id": "id", "query": "text"}, optional={}, key="query_id"),
    "events": Roles(
        required={"kind": "category", "event_time": "time"},
        optional={"moment": "number", **dict.fromkeys(SHOWN, "id"), **dict.fromkeys(VALUES, "number")},
    ),
    "requests": Roles(
        required={"user_id": "id", "query_id": "id", "query": "text", "event_time": "time", "moment": "number"},
        optional={"language": "category", **dict.fromkeys(ASKED, "number")},
    ),
    "relevant": Roles(required={"request": "number", "doc_id": "id", "grade": "number"}, optional={}),
}


def read(path: Path) -> tuple[Dataset, Judgments]:
    """All tables come together, as `write` wrote them; each row says its split."""
    tables = read_tables(path, TABLES)
    if lacking := TABLES.keys() - tables.keys():
        raise InputError(
            f"{path}: no {', '.join(sorted(lacking))}. Expected {', '.join(TABLES)}; `mlsd data` writes them."
        )
    split = tables["rows"].roles["split"]
    if len(odd := np.setdiff1d(split, SPLITS)):
        raise InputError(f"rows: split {str(odd[0])!r}. Expected {' or '.join(SPLITS)} in each row.")
    rows = _rows(tables["rows"])
    train, valid = (rows.take(split == name) for name in SPLITS)
    said = tables["queries"].roles
    order = np.argsort(said["query_id"], kind="stable")
    queries = Queries(query_id=said["query_id"][order], text=said["query"][order])
    events = events_of(tables["events"], SHOWN, VALUES)
    dataset = Dataset(
        train=train, valid=valid, test=_requests(tables["requests"]), queries=queries, catalog=_catalog(tables["catalog"]),
        history=AsOfStore(events),
    )  # fmt: skip
    if len(unknown := np.setdiff1d(rows.query_id, queries.query_id)):
        raise InputError(f"rows: query {unknown[0]} has no text, as {len(unknown)} have none. Add them to queries.")
    return dataset, _key(dataset, tables["relevant"])


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """What `read` takes in again, bit for bit. Of the key it keeps the judged documents: a planted gain has no file."""
    parts, events, catalog, test = (dataset.train, dataset.valid), dataset.history.events, dataset.catalog, dataset.test
    shown: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in (*SHOWN, "event_time")
    }
    shown["moment"] = np.concatenate([part.moment for part in parts]).astype(float)
    shown["split"] = np.repeat(SPLITS, [len(part) for part in parts])
    shown |= {task: np.concatenate([part.labels[task] for part in parts]) for task in dataset.train.labels}
    shown |= {name: np.concatenate([part.numbers[name] for part in parts]) for name in PLACED}
    log: dict[str, Any] = {"kind": events.kind, "event_time": events.event_time, "moment": events.moment.astype(float)}
    log |= dict(events.keys) | {name: column.astype(float) for name, column in events.values.items()}
    asked: dict[str, Any] = {
        name: getattr(test, name) for name in ("user_id", "query_id", "query", "event_time", "language")
    }
    asked |= {name: getattr(test, name).astype(float) for name in ("moment", *ASKED)}
    documents: dict[str, Any] = {name: getattr(catalog, name) for name in ("doc_id", "channel_id", *TEXTS)}
    frames = {f"{FRAME}{at}": column.astype(float) for at, column in enumerate(catalog.frames.T)}
    request, place = np.nonzero(judgments.relevant >= 0)
    judged = {
        "request": request.astype(float),
        "doc_id": judgments.relevant[request, place],
        "grade": judgments.grades[request, place],
    }
    tables = {
        "rows": Table(roles=shown),
        "catalog": Table(
            roles=documents | {name: getattr(catalog, name).astype(float) for name in RULED},
            numbers={**catalog.numbers, **frames},
            categories=catalog.categories,
        ),
        "queries": Table(roles={"query_id": dataset.queries.query_id, "query": dataset.queries.text}),
        "events": Table(roles=log),
        "requests": Table(roles=asked),
        "relevant": Table(roles=judged),
    }
    write_tables(folder, tables)


def _rows(table: Table) -> Rows:
    roles = table.roles
    order = np.lexsort((roles["slot"], roles["request_id"], roles["split"] != SPLITS[0]))
    if (order != np.arange(len(order))).any():
        raise InputError(
            "rows: not in order. Expected those of one page together, by request_id and slot, train before valid."
        )
    return Rows(
        request_id=roles["request_id"],
        user_id=roles["user_id"],
        query_id=roles["query_id"],
        doc_id=roles["doc_id"],
        event_time=roles["event_time"],
        moment=integers(roles.get("moment", np.full(len(order), -1.0))),
        labels={task: roles[task].astype(float) for task in TASKS if task in roles},
        numbers={name: roles.get(name, np.zeros(len(order))) for name in PLACED},
    )


def _catalog(table: Table) -> Catalog:
    roles, n = table.roles, len(table)
    order = np.argsort(roles["doc_id"], kind="stable")
    frames = sorted(
        (name for name in table.numbers if name.startswith(FRAME)), key=lambda name: int(name[len(FRAME) :])
    )
    seen = np.stack([table.numbers[name] for name in frames], axis=1) if frames else np.empty((n, 0))
    return Catalog(
        doc_id=roles["doc_id"][order],
        channel_id=roles.get("channel_id", np.full(n, -1))[order],
        title=roles["title"][order],
        description=roles.get("description", np.full(n, ""))[order],
        tags=roles.get("tags", np.full(n, ""))[order],
        frames=np.ascontiguousarray(seen[order], np.float32),
        **{name: integers(roles.get(name, np.zeros(n))[order]) for name in RULED},
        numbers={name: column[order] for name, column in table.numbers.items() if name not in frames},
        categories={name: column[order] for name, column in table.categories.items()},
    )


def _requests(table: Table) -> Requests:
    roles = table.roles
    said: dict[str, Any] = {name: integers(roles[name]) for name in ASKED if name in roles}
    said |= {name: roles[name] for name in ("language",) if name in roles}
    return Requests(
        user_id=roles["user_id"],
        query_id=roles["query_id"],
        query=roles["query"],
        event_time=roles["event_time"],
        moment=integers(roles["moment"]),
        **said,
    )


def _key(dataset: Dataset, table: Table) -> Judgments:
    request, n = integers(table.roles["request"]), len(dataset.test)
    if len(request) and not 0 <= request.min() <= request.max() < n:
        raise InputError(
            f"relevant: request {request.max()} of {n}. Requests are counted from 0, in the order of their table."
        )
    order = np.argsort(request, kind="stable")
    request = request[order]
    place = np.arange(len(request)) - np.searchsorted(request, request)
    shape = (n, int(place.max(initial=0)) + 1)
    relevant, grades = np.full(shape, -1), np.zeros(shape)
    relevant[request, place], grades[request, place] = table.roles["doc_id"][order], table.roles["grade"][order]
    return Judgments(
        requests=dataset.test, gain=_gain(dataset.test, relevant, grades), relevant=relevant, grades=grades,
        num_docs=len(dataset.catalog), slices={}, origin="real",
    )  # fmt: skip


def _gain(requests: Requests, relevant: Ints, grades: Floats) -> Callable[[Requests, Ints], Floats]:
    """The judged grade of any document for any of these requests, known by who asked what and when."""
    row = {key: at for at, key in enumerate(_keys(requests))}

    def gain(these: Requests, ids: Ints) -> Floats:
        at = np.array([row[key] for key in _keys(these)], dtype=np.int64)
        same = (ids[:, :, None] == relevant[at][:, None, :]) & (ids[:, :, None] >= 0)
        found: Floats = (same * grades[at][:, None, :]).sum(axis=2)
        return found

    return gain


def _keys(requests: Requests) -> list[tuple[int, int, int]]:
    return list(zip(requests.user_id.tolist(), requests.query_id.tolist(), requests.event_time.tolist(), strict=True))
