"""Your own tables, in and out: what pages showed, the documents, the queries, the log, what is asked and what answers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.data.door import Roles, Table, read_tables, write_tables
from common.data.logged import events_of, integers
from common.errors import InputError
from common.features.asof import AsOfStore
from search_ranking.data import collection
from search_ranking.data.letor import TOP_GRADE
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
    Texts,
)

SPLITS = ("train", "valid")
RULED = ("explicit", "min_age", "barred_in", "fingerprint")
TEXTS = ("title", "description", "tags")
ASKED = ("age", "country", "max_age_days")
FRAME = "frame_"  # columns of the catalogue: frame_0, frame_1, ... describe the thumbnail
PLACED = ("slot", "swapped")
LOGGED = ("request_id", "user_id")
CLICKED = (*LOGGED, "event_time", "clicked", "slot")  # what a row of a page that was shown has to say
VALUES = tuple(dict.fromkeys(name for kind in EVENTS.values() for name in kind.values))
TABLES = {
    "rows": Roles(
        required={"query_id": "id", "doc_id": "id", "split": "category"},
        optional={
            **dict.fromkeys(LOGGED, "id"),
            "event_time": "time",
            **dict.fromkeys(("moment", *PLACED, *TASKS), "number"),
        },
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
        required={"query_id": "id", "query": "text"},
        optional={
            "user_id": "id",
            "event_time": "time",
            "language": "category",
            **dict.fromkeys(("moment", *ASKED), "number"),
        },
    ),
    "relevant": Roles(required={"request": "number", "doc_id": "id", "grade": "number"}, optional={}),
}


def read(path: Path) -> tuple[Dataset, Judgments]:
    """All tables come together, as `write` wrote them; each row says its split. Where nobody clicked, rows are judgments: a `grade`, and neither
    page nor time; then `events` may be left out as well."""
    tables = read_tables(path, TABLES)
    if lacking := TABLES.keys() - tables.keys() - {"events"}:
        raise InputError(
            f"{path}: no {', '.join(sorted(lacking))}. Expected {', '.join(TABLES)}; `mlsd data` writes them."
        )
    split = tables["rows"].roles["split"]
    if len(odd := np.setdiff1d(split, SPLITS)):
        raise InputError(f"rows: split {str(odd[0])!r}. Expected {' or '.join(SPLITS)} in each row.")
    rows, split = _judged(tables["rows"]) if "grade" in tables["rows"].roles else (_shown(tables["rows"]), split)
    train, valid = (rows.take(split == name) for name in SPLITS)
    said = tables["queries"].roles
    order = np.argsort(said["query_id"], kind="stable")
    order = order[np.isin(said["query_id"][order], rows.query_id)]  # one that only `requests` asks is not learnt from
    queries = Queries(query_id=said["query_id"][order], text=said["query"][order])
    events = events_of(tables["events"], SHOWN, VALUES) if "events" in tables else collection.nothing()
    dataset = Dataset(
        train=train, valid=valid, test=_requests(tables["requests"]), queries=queries, catalog=_catalog(tables["catalog"]),
        history=AsOfStore(events),
    )  # fmt: skip
    if len(unknown := np.setdiff1d(rows.query_id, queries.query_id)):
        raise InputError(f"rows: query {unknown[0]} has no text, as {len(unknown)} have none. Add them to queries.")
    return dataset, _key(dataset, tables["relevant"])


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """What `read` takes in again, bit for bit. Of the key it keeps the judged documents: a planted gain has no file."""
    if dataset.candidates is not None:
        raise InputError(
            "Rows of given features are no tables of queries and documents: keep the svmlight files (letor:DIR)."
        )
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
        **({"events": Table(roles=log)} if len(events) else {}),
        "requests": Table(roles=asked),
        "relevant": Table(roles=judged),
    }
    write_tables(folder, tables)


def _judged(table: Table) -> tuple[Rows, Texts]:
    """Of each query one list, however its rows stand in the file. -> they, and the split of each."""
    roles = table.roles
    if odd := [name for name in TASKS[:-1] if name in roles]:
        raise InputError(
            f"rows: grade beside {', '.join(odd)}. Expected what a judge said, or what people did; leave one out."
        )
    grade = roles["grade"]
    if not ((grade >= 0) & (grade <= TOP_GRADE) & (grade == np.round(grade))).all():
        raise InputError(f"rows: a grade is no whole number from 0 to {TOP_GRADE:g}. Round them.")
    query = roles.get("request_id", np.unique(roles["query_id"], return_inverse=True)[1])
    order = np.lexsort((query, roles["split"] != SPLITS[0]))
    rows = collection.judged(query[order], roles["doc_id"][order], grade[order], roles["query_id"][order])
    return rows, roles["split"][order]


def _shown(table: Table) -> Rows:
    roles = table.roles
    if lacking := [name for name in CLICKED if name not in roles]:
        raise InputError(
            f"rows: no {', '.join(lacking)}. Expected {', '.join(CLICKED)}, or `grade` where rows are judgments."
        )
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
    none = np.zeros(len(table), np.int64)
    return Requests(
        user_id=roles.get("user_id", np.arange(len(table))),  # each by somebody of its own
        query_id=roles["query_id"],
        query=roles["query"],
        event_time=roles.get("event_time", none),
        moment=integers(roles.get("moment", none)),
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
    return collection.key(dataset.test, relevant, grades, len(dataset.catalog), {})
