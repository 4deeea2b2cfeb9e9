"""Frappe (Baltrunas et al., arXiv:1505.03014) in libfm form: which app a person used, where and when; two drawn negatives a positive."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ad_click.schema import EVENTS, SHOWN, Catalog, Dataset, Rows
from common.contract import Events, Ints
from common.errors import InputError
from common.features.leave_one_out import LeaveOneOutStore

FIELDS = ("user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")

LAYOUT = (
    "frappe:DIR wants in DIR frappe.train.libfm (or derived/train_reconstructed.csv.gz), frappe.validation.libfm and "
    "frappe.test.libfm; docs/data.md says where to get them."
)


def read(folder: Path) -> Dataset:
    """Validation and test as published, and the published training table where it is there, else the rebuilt one, which published figures
    may not be compared with. The table has no clock, so statistics leave the row itself out."""
    published = folder / "frappe.train.libfm"
    rebuilt = not published.exists()
    table = _csv(folder / "derived" / "train_reconstructed.csv.gz") if rebuilt else _libfm(published)
    train = _rows(table, np.arange(len(table)))
    valid, test = (_libfm(folder / f"frappe.{split}.libfm") for split in ("validation", "test"))
    return Dataset(
        train=train,
        valid=_rows(valid, np.full(len(valid), -1)),
        test=_rows(test, np.full(len(test), -1)),
        catalog=_catalog(train),
        history=LeaveOneOutStore(_events(train)),
        published="frappe_rebuilt" if rebuilt else "frappe",
    )


def _libfm(path: Path) -> Ints:
    """[n, 11]: label 0 or 1, then the ids of the ten fields."""
    if not path.exists():
        raise InputError(f"There is no {path}. {LAYOUT}")
    rows = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), 1):
        label, *pairs = line.split()
        try:
            rows.append([label == "1", *(int(text.removesuffix(":1")) for text in pairs)])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != len(FIELDS) + 1 or label not in ("1", "-1"):
            raise InputError(
                f"{path}, line {number}: {line[:80]!r} is not `1|-1 id:1` with {len(FIELDS)} ids. Mend or remove the line."
            )
    return np.array(rows, dtype=np.int64)


def _csv(path: Path) -> Ints:
    import pandas as pd

    if not path.exists():
        raise InputError(
            f"There is neither {path.parent.parent / 'frappe.train.libfm'} nor {path}: one of them is the training table. {LAYOUT}"
        )
    table: Ints = pd.read_csv(path)[["label", *FIELDS]].to_numpy(np.int64)
    return table


def _rows(table: Ints, moment: Ints) -> Rows:
    return Rows(
        user_id=table[:, 1],
        ad_id=table[:, 2],
        event_time=np.zeros(len(table), dtype=np.int64),
        moment=moment,
        label=table[:, 0].astype(np.float64),
        categories={name: table[:, 3 + place].astype(np.str_) for place, name in enumerate(FIELDS[2:])},
    )


def _catalog(train: Rows) -> Catalog:
    """Nobody bids for an app here: every item bids one unit and has budget for a million clicks."""
    ad_id = np.unique(train.ad_id)
    nobody, unit = np.full(len(ad_id), -1), np.full(len(ad_id), 1_000_000)
    return Catalog(
        ad_id=ad_id,
        campaign_id=ad_id,
        advertiser_id=nobody,
        topic_id=nobody,
        bid_micros=unit,
        budget_micros=unit * 1_000_000,
    )


def _events(train: Rows) -> Events:
    """The training table as a log without times: an impression a row, and a click after it where there was one."""
    clicked = np.flatnonzero(train.label == 1)
    row = np.concatenate([np.arange(len(train)), clicked])
    order = np.argsort(row, kind="stable")
    row, nobody = row[order], np.full(len(order), -1)
    return Events(
        position=np.arange(len(order)),
        kind=np.repeat(["impression", "click"], [len(train), len(clicked)])[order],
        event_time=np.zeros(len(order), dtype=np.int64),
        moment=row,
        keys=dict(
            zip(SHOWN, (row, train.user_id[row], train.ad_id[row], train.ad_id[row], nobody, nobody), strict=True)
        ),
        values={name: np.zeros(len(order), dtype=np.int64) for name in EVENTS["impression"].values},
    )
