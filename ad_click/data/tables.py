"""Your own tables, in and out: rows alone, or a folder with the catalogue and the events too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ad_click.config import Config
from ad_click.schema import EVENTS, SHOWN, Catalog, Dataset, Rows
from common.contract import Events, Ints
from common.data.door import Roles, Table, read_tables, write_tables
from common.data.logged import events_of, integers
from common.data.splits import by_time
from common.errors import InputError
from common.features.asof import AsOfStore
from common.features.leave_one_out import LeaveOneOutStore

SPLITS = ("train", "valid", "test")
VALUES = EVENTS["impression"].values  # those of a click are among them
MOST_SLOTS = 1000  # they are counted in an array
TABLES = {
    "rows": Roles(
        required={"user_id": "id", "ad_id": "id", "label": "label"},
        optional={"event_time": "time", "request_id": "id", "moment": "number", "split": "category"},
    ),
    "catalog": Roles(
        required={"ad_id": "id"},
        optional={
            **dict.fromkeys(("campaign_id", "advertiser_id", "topic_id"), "id"),
            **dict.fromkeys(("bid_micros", "budget_micros"), "number"),
        },
        key="ad_id",
    ),
    "events": Roles(
        required={"kind": "category", "event_time": "time"},
        optional={"moment": "number", **dict.fromkeys(SHOWN, "id"), **dict.fromkeys(VALUES, "number")},
    ),
}


def read(path: Path, config: Config) -> Dataset:
    """rows: one a line, split by time (or by the role `split`). Without `events` the log is made from the rows, a click as late as the
    window allows; without a clock, statistics leave the row itself out and a tenth and a fifth of the rows, by chance, are held out. Rows
    that do not say their moment have that of their impression in `events`."""
    tables = read_tables(path, TABLES)
    given = tables["rows"]
    _check(given)
    clocked = "event_time" in given.roles
    if clocked and "moment" not in given.roles:
        given = _sorted_by_time(given)
    rows = _rows(given)
    catalog = _catalog(tables.get("catalog"), rows)
    events = _events(tables["events"]) if "events" in tables else made_up(rows, catalog, clocked, config)
    if "moment" not in given.roles:
        moment = _moments(given, events) if "events" in tables else events.moment[events.kind == "impression"]
        rows = replace(rows, moment=moment)
    index = _split(given, rows, clocked, config)
    train, valid, test = (rows.take(part) for part in index)
    if not clocked and "events" not in tables:  # held-out rows are no part of the statistics
        events = made_up(train, catalog, clocked, config)
        train, valid, test = (
            replace(part, moment=moment)
            for part, moment in zip((train, valid, test), (np.arange(len(train)), *(np.full(len(part), -1) for part in (valid, test))), strict=True)
        )  # fmt: skip
    history = AsOfStore(events) if clocked else LeaveOneOutStore(events)
    return Dataset(train=train, valid=valid, test=test, catalog=catalog, history=history)


def write(dataset: Dataset, folder: Path) -> None:
    """What `read` takes in again, bit for bit: rows with their split and moment, the catalogue, the events."""
    parts = (dataset.train, dataset.valid, dataset.test)
    clocked, events = isinstance(dataset.history, AsOfStore), dataset.history.events
    columns = ("user_id", "ad_id", "label", "moment", *(("event_time",) if clocked else ()))
    roles = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    roles["moment"] = roles["moment"].astype(np.float64)
    roles["split"] = np.repeat(SPLITS, [len(part) for part in parts])
    rows = Table(
        roles=roles,
        numbers={name: np.concatenate([part.numbers[name] for part in parts]) for name in dataset.train.numbers},
        categories={
            name: np.concatenate([part.categories[name] for part in parts]) for name in dataset.train.categories
        },
    )
    catalog = dataset.catalog
    ads = {name: getattr(catalog, name) for name in ("ad_id", "campaign_id", "advertiser_id", "topic_id")}
    ads |= {name: getattr(catalog, name).astype(np.float64) for name in ("bid_micros", "budget_micros")}
    log = {"kind": events.kind, "event_time": events.event_time, "moment": events.moment.astype(np.float64)}
    log |= dict(events.keys) | {name: column.astype(np.float64) for name, column in events.values.items()}
    tables = {
        "rows": rows,
        "catalog": Table(roles=ads, numbers=catalog.numbers, categories=catalog.categories),
        "events": Table(roles=log),
    }
    write_tables(folder, tables)


def made_up(rows: Rows, catalog: Catalog, clocked: bool, config: Config) -> Events:
    """The log behind labelled rows: an impression each, a click `click_window_hours` later where there was one, as nothing earlier is known.
    Rows of one second may be slots of one page: all read at the first position of that second, so none counts another."""
    clicked = np.flatnonzero(rows.label == 1)
    source = np.concatenate([np.arange(len(rows)), clicked])
    delay = np.repeat([0, config.click_window_hours * 3600 if clocked else 0], [len(rows), len(clicked)])
    time = rows.event_time[source] + delay
    order = np.argsort(time if clocked else source, kind="stable")
    source, kind = source[order], np.repeat(["impression", "click"], [len(rows), len(clicked)])[order]
    place = catalog.find(rows.ad_id[source])
    of_ad = [
        np.where(place >= 0, column[place], -1)
        for column in (catalog.campaign_id, catalog.advertiser_id, catalog.topic_id)
    ]
    time = time[order]
    return Events(
        position=np.arange(len(order)),
        kind=kind,
        event_time=time,
        moment=np.where(kind == "impression", np.searchsorted(time, time), -1) if clocked else source,
        keys=dict(zip(SHOWN, (source, rows.user_id[source], rows.ad_id[source], *of_ad), strict=True)),
        values={name: np.zeros(len(order), dtype=np.int64) for name in VALUES},
    )


def _check(table: Table) -> None:
    """What the case cannot work with, though each cell for itself is what its column says."""
    if np.isnan(table.roles["label"]).any():
        raise InputError("rows: some labels are empty. Expected 0 or 1 in each; drop the rows that are not known yet.")
    if np.isnan(table.roles.get("moment", np.zeros(0))).any():
        raise InputError(
            "rows: some moments are empty. Expected the position in events at which a row's features are read; leave the role out and it is found."
        )
    slot = table.numbers.get("slot", np.zeros(1))
    wrong = ~((slot >= 0) & (slot < MOST_SLOTS) & (slot == np.floor(slot)))
    expected = "Expected whole numbers from 0, the first slot of a page"
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"rows: column 'slot', row {row + 1}: {slot[row]:g}. {expected}, below {MOST_SLOTS}. Mend or drop the row."
        )
    if len(slot) and slot.min() > 0:
        raise InputError(
            f"rows: column 'slot' begins with {slot.min():g}. {expected}: an auction asks for the click in slot 0. Subtract {slot.min():g} from each."
        )


def _sorted_by_time(table: Table) -> Table:
    order = np.argsort(table.roles["event_time"], kind="stable")
    columns = {
        name: {column: values[order] for column, values in getattr(table, name).items()}
        for name in ("roles", "numbers", "categories")
    }
    return replace(table, **columns)


def _events(table: Table) -> Events:
    """An empty moment is none, not 0: nothing would have been known at 0."""
    events, moment = events_of(table, SHOWN, VALUES), table.roles.get("moment")
    return events if moment is None else replace(events, moment=integers(np.where(np.isnan(moment), -1, moment)))


def _moments(rows: Table, events: Events) -> Ints:
    """[rows] of each row's impression, found by (request_id, ad_id) or by (user_id, ad_id, event_time): the moment it logged, or else where
    the first impression of its page stands, as all slots of a page are read at once."""
    if "event_time" not in rows.roles:
        raise InputError(
            "rows: there is no event_time, so events cannot be read as of a row. Add event_time, or leave events out: statistics then leave the row itself out."
        )
    shown = np.flatnonzero(events.kind == "impression")
    logged = {"event_time": events.event_time, **events.keys}
    named = (rows.roles.get("request_id", np.full(1, -1)) >= 0).all() and (logged["request_id"][shown] >= 0).all()
    page = ("request_id",) if named else ("user_id", "event_time")
    names = (*page, "ad_id")
    of = _first_equal([logged[name][shown] for name in names], [rows.roles[name] for name in names])
    if (of < 0).any():
        row = int((of < 0).argmax())
        said = ", ".join(f"{name} {_called(rows, name, row)}" for name in names)
        raise InputError(
            f"rows: the row of {said} has no impression in events (kind = impression, the same {', '.join(names)}). Add it, or drop the row."
        )
    pages = [logged[name][shown] for name in page]
    first = shown[_first_equal(pages, pages)]
    return np.where(events.moment[shown] >= 0, events.moment[shown], events.position[first])[of]


def _called(table: Table, role: str, row: int) -> Any:
    """A value as the file has it."""
    value = table.roles[role][row]
    return table.names[role][value] if role in table.names else value


def _first_equal(columns: Sequence[Ints], wanted: Sequence[Ints]) -> Ints:
    """[len(wanted)] the first index at which all columns are as wanted, -1 if there is none."""
    n = len(columns[0])
    code = np.zeros(n + len(wanted[0]), dtype=np.int64)
    for theirs, ours in zip(columns, wanted, strict=True):
        values = np.unique(np.concatenate([theirs, ours]), return_inverse=True)[1]
        code = np.unique(code * (values.max(initial=0) + 1) + values, return_inverse=True)[1]
    first = np.full(code.max(initial=0) + 1, -1)
    first[code[:n][::-1]] = np.arange(n)[::-1]
    return first[code[n:]]


def _rows(table: Table) -> Rows:
    roles = table.roles
    nothing = np.full(len(table), -1.0)
    return Rows(
        user_id=roles["user_id"],
        ad_id=roles["ad_id"],
        event_time=roles.get("event_time", np.zeros(len(table), dtype=np.int64)),
        moment=integers(roles.get("moment", nothing)),
        label=roles["label"].astype(np.float64),
        numbers=table.numbers,
        categories=table.categories,
    )


def _catalog(table: Table | None, rows: Rows) -> Catalog:
    """Without a table: every ad of the rows, a campaign of its own, at one unit a click and no end of money."""
    roles: dict[str, Any] = {"ad_id": np.unique(rows.ad_id)} if table is None else dict(table.roles)
    order = np.argsort(roles["ad_id"], kind="stable")
    nobody, unit = np.full(len(order), -1), np.full(len(order), 1e6)
    return Catalog(
        ad_id=roles["ad_id"][order],
        campaign_id=roles.get("campaign_id", roles["ad_id"])[order],
        advertiser_id=roles.get("advertiser_id", nobody)[order],
        topic_id=roles.get("topic_id", nobody)[order],
        bid_micros=integers(roles.get("bid_micros", unit)[order]),
        budget_micros=integers(roles.get("budget_micros", 1e6 * unit)[order]),
        numbers={} if table is None else {name: column[order] for name, column in table.numbers.items()},
        categories={} if table is None else {name: column[order] for name, column in table.categories.items()},
    )


def _split(table: Table, rows: Rows, clocked: bool, config: Config) -> tuple[Ints, ...]:
    if "split" in table.roles:
        split = table.roles["split"]
        if odd := sorted(set(split.tolist()) - set(SPLITS)):
            raise InputError(f"rows: split holds {odd[0]!r}. Expected {', '.join(SPLITS)}.")
        return tuple(np.flatnonzero(split == name) for name in SPLITS)
    if clocked:
        return by_time(rows.event_time)
    drawn = np.random.default_rng([config.seed, 3]).random(len(rows))
    return tuple(np.flatnonzero((low <= drawn) & (drawn < high)) for low, high in ((0, 0.7), (0.7, 0.8), (0.8, 1)))
