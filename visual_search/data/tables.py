"""Your own tables, in and out: the gallery, what was shown for which photo, what was judged, and the pictures as files beside them."""

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
from common.features.leave_one_out import LeaveOneOutStore
from visual_search.config import Config
from visual_search.data import files
from visual_search.schema import EVENTS, SHOWN, Catalog, Dataset, Images, Judgments, Pairs, Requests, Rows, Texts

SPLITS = ("train", "valid")
KEYS = (*SHOWN, "query_id")
VALUES = tuple(dict.fromkeys(name for kind in EVENTS.values() for name in kind.values))
CROP = ("left", "top", "right", "bottom")  # shares of the side; empty: the object is looked for
RULED = ("explicit", "private", "shop", "fingerprint")
ASKED = {"photo": "text", "text": "text", "moment": "number", **dict.fromkeys(CROP, "number")}
TABLES = {
    "rows": Roles(
        required={"user_id": "id", "image_id": "id", "event_time": "time", "clicked": "number", "split": "category"},
        optional={"slot": "number", **ASKED},
    ),
    "catalog": Roles(
        required={"image_id": "id", "image": "text"},
        optional={"owner_id": "id", "text": "text", "label": "number", **dict.fromkeys(RULED, "number")},
        key="image_id",
    ),
    "pairs": Roles(required={"photo": "text", "image_id": "id", "grade": "number"}, optional={}),
    "events": Roles(
        required={"kind": "category", "event_time": "time"},
        optional={"moment": "number", **dict.fromkeys(KEYS, "id"), **dict.fromkeys(VALUES, "number")},
    ),
    "requests": Roles(
        required={"user_id": "id", "event_time": "time"},
        optional={**ASKED, "query_id": "number", "shop_only": "number"},
    ),
    "relevant": Roles(required={"request": "number", "image_id": "id", "grade": "number"}, optional={}),
}


def read(path: Path, config: Config) -> tuple[Dataset, Judgments]:
    """All tables come together, as `write` wrote them; `pairs` may be left out, and so may `events`: then nothing is known of clicks before. A photo or an
    image is the path of a picture, from the folder of the tables and inside it."""
    tables = read_tables(path, TABLES)
    if lacking := TABLES.keys() - tables.keys() - {"pairs", "events"}:
        raise InputError(
            f"{path}: no {', '.join(sorted(lacking))}. Expected {', '.join(TABLES)}; `mlsd data` writes them."
        )
    named = [
        tables[name].roles["photo"]
        for name in ("rows", "pairs", "requests")
        if "photo" in tables.get(name, _NONE).roles
    ]
    paths: Texts = np.unique(np.concatenate([np.array([""]), *named]))[1:]
    photos = files.read(path, paths, config.side, "photo")
    rows, split = _rows(tables["rows"], paths, photos), tables["rows"].roles["split"]
    if len(odd := np.setdiff1d(split, SPLITS)):
        raise InputError(f"rows: split {str(odd[0])!r}. Expected {' or '.join(SPLITS)} in each row.")
    train, valid = (rows.take(split == name) for name in SPLITS)
    nothing = Table(roles={"kind": np.empty(0, np.str_), "event_time": np.empty(0, np.int64)})
    events = events_of(tables.get("events", nothing), KEYS, VALUES)
    dataset = Dataset(
        train=train,
        valid=valid,
        test=_requests(tables["requests"], paths, photos),
        judged=_pairs(tables.get("pairs"), paths, photos),
        catalog=_catalog(tables["catalog"], path, config.side),
        history=AsOfStore(events) if len(events) else LeaveOneOutStore(events),
    )
    return dataset, _key(dataset, tables["relevant"])


def write(dataset: Dataset, judgments: Judgments, folder: Path) -> None:
    """What `read` takes in again, bit for bit. Of the key it keeps the relevant images and their grades: a planted gain has no file."""
    catalog, test, events, judged = dataset.catalog, dataset.test, dataset.history.events, dataset.judged
    request, place = np.nonzero(judgments.relevant >= 0)
    gains = judgments.gain(test, judgments.relevant)[request, place]
    images: dict[str, Any] = {name: getattr(catalog, name) for name in ("image_id", "owner_id", "text")}
    images |= {name: getattr(catalog, name).astype(float) for name in (*RULED, "label")}
    images["image"] = files.write(folder, "images", catalog.images, np.arange(len(catalog)))
    log: dict[str, Any] = {"kind": events.kind, "event_time": events.event_time, "moment": events.moment.astype(float)}
    log |= dict(events.keys) | {name: column.astype(float) for name, column in events.values.items()}
    asked = {name: getattr(test, name).astype(float) for name in ("query_id", "shop_only")}
    pairs = {"image_id": judged.image_id, "grade": judged.grade, "photo": _photos(folder, judged.photos, judged.photo)}
    relevant = {"request": request.astype(float), "image_id": judgments.relevant[request, place], "grade": gains}
    tables = {
        "rows": Table(roles=_shown(dataset, folder)),
        "catalog": Table(roles=images, numbers=catalog.numbers, categories=catalog.categories),
        **({"pairs": Table(roles=pairs)} if len(judged) else {}),
        **({"events": Table(roles=log)} if len(events) else {}),
        "requests": Table(roles=_searches(test, folder) | asked),
        "relevant": Table(roles=relevant),
    }
    write_tables(folder, tables)


def key(requests: Requests, relevant: Ints, grades: Floats) -> Callable[[Requests, Ints], Floats]:
    """relevant, grades [n, m] of n different requests -> the gain of any images [k, j] for any of these requests [k], in any order."""
    place = {name: at for at, name in enumerate(_names(requests))}

    def gain(asked: Requests, ids: Ints) -> Floats:
        found = np.zeros(ids.shape)
        for row, name in enumerate(_names(asked)):
            at = place[name]
            same = (ids[row][:, None] == relevant[at][None, :]) & (ids[row] >= 0)[:, None]
            found[row] = (same * grades[at]).max(axis=1, initial=0.0)
        return found

    return gain


def _names(requests: Requests) -> list[tuple[Any, ...]]:
    columns = (requests.user_id, requests.photo, requests.text, requests.query_id, requests.event_time, requests.moment)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _key(dataset: Dataset, table: Table) -> Judgments:
    request, n = integers(table.roles["request"]), len(dataset.test)
    if len(request) and not 0 <= request.min() <= request.max() < n:
        raise InputError(
            f"relevant: request {request.max()} of {n}. Requests are counted from 0, in the order of their table."
        )
    if len(set(_names(dataset.test))) < n:
        raise InputError("requests: two are the same in everything. Keep one, with all that is relevant to it.")
    order = np.argsort(request, kind="stable")
    request = request[order]
    place = np.arange(len(request)) - np.searchsorted(request, request)
    shape = (n, int(place.max(initial=0)) + 1)
    relevant, grades = np.full(shape, -1), np.zeros(shape)
    relevant[request, place], grades[request, place] = table.roles["image_id"][order], table.roles["grade"][order]
    return Judgments(
        requests=dataset.test,
        gain=key(dataset.test, relevant, grades),
        relevant=relevant,
        num_images=len(dataset.catalog),
        slices={},
        origin="real",
    )


def _shown(dataset: Dataset, folder: Path) -> dict[str, Any]:
    parts = [(part, _searches(part, folder)) for part in (dataset.train, dataset.valid)]
    roles: dict[str, Any] = {name: np.concatenate([said[name] for _, said in parts]) for name in parts[0][1]}
    roles["image_id"] = np.concatenate([part.image_id for part, _ in parts])
    roles["slot"] = np.concatenate([part.slot for part, _ in parts]).astype(float)
    roles["clicked"] = np.concatenate([part.label for part, _ in parts])
    roles["split"] = np.repeat(SPLITS, [len(part) for part, _ in parts])
    return roles


def _searches(of: Rows | Requests, folder: Path) -> dict[str, Any]:
    """The roles that rows and requests share."""
    roles: dict[str, Any] = {"user_id": of.user_id, "event_time": of.event_time, "text": of.text}
    roles["moment"] = of.moment.astype(float)
    roles["photo"] = _photos(folder, of.photos, of.photo)
    return roles | dict(zip(CROP, of.crop.T.astype(np.float64), strict=True))


def _photos(folder: Path, photos: Images, photo: Ints) -> Texts:
    return files.write(folder, "photos", photos, photo)


def _asked(table: Table, paths: Texts, photos: Images) -> dict[str, Any]:
    roles, n = table.roles, len(table)
    photo = _places(roles.get("photo", np.full(n, "")), paths)
    crop = np.stack([roles.get(edge, np.full(n, np.nan)) for edge in CROP], axis=1).astype(np.float32)
    text = roles.get("text", np.full(n, ""))
    if len(empty := np.flatnonzero((photo < 0) & (np.char.strip(text) == ""))):
        raise InputError(
            f"row {empty[0] + 1} has neither photo nor text, as {len(empty)} have neither. Give one of the two."
        )
    moment = integers(roles.get("moment", np.full(n, -1.0)))
    same: dict[str, Any] = {"user_id": roles["user_id"], "event_time": roles["event_time"], "moment": moment}
    return same | {"photo": photo, "photos": photos, "text": text, "crop": crop}


def _places(photo: Texts, paths: Texts) -> Ints:
    at = np.minimum(np.searchsorted(paths, photo), max(len(paths) - 1, 0))
    return np.where(photo != "", at, -1)


def _rows(table: Table, paths: Texts, photos: Images) -> Rows:
    slot = integers(table.roles.get("slot", np.zeros(len(table))))
    asked = _asked(table, paths, photos)
    return Rows(**asked, image_id=table.roles["image_id"], slot=slot, label=table.roles["clicked"].astype(float))


def _requests(table: Table, paths: Texts, photos: Images) -> Requests:
    more: dict[str, Any] = {
        name: integers(table.roles[name]) for name in ("query_id", "shop_only") if name in table.roles
    }
    return Requests(**_asked(table, paths, photos), **more)


def _pairs(table: Table | None, paths: Texts, photos: Images) -> Pairs:
    if table is None:
        none = np.empty(0, np.int64)
        return Pairs(photo=none, photos=photos, image_id=none, grade=np.empty(0))
    roles = table.roles
    if len(odd := np.flatnonzero(~((roles["grade"] >= 0) & (roles["grade"] <= 1)))):
        raise InputError(f"pairs: row {odd[0] + 1}: grade {roles['grade'][odd[0]]:g}. Expected 0 to 1.")
    photo = _places(roles["photo"], paths)
    return Pairs(photo=photo, photos=photos, image_id=roles["image_id"], grade=roles["grade"].astype(float))


def _catalog(table: Table, path: Path, side: int) -> Catalog:
    roles, n = table.roles, len(table)
    if len(odd := np.flatnonzero(np.diff(roles["image_id"]) < 0)):
        raise InputError(f"catalog: row {odd[0] + 2} has a smaller image_id than the row before it. Sort the table.")
    usual = {**dict.fromkeys(RULED, 0.0), "label": -1.0}
    return Catalog(
        image_id=roles["image_id"],
        owner_id=roles.get("owner_id", np.full(n, -1)),
        text=roles.get("text", np.full(n, "")),
        images=files.read(path, roles["image"], side, "catalog"),
        **{name: integers(roles.get(name, np.full(n, value))) for name, value in usual.items()},
        numbers=table.numbers,
        categories=table.categories,
    )


_NONE = Table(roles={})
