"""An event log read from a table past the door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.contract import Events, Ints
from common.data.tables import Table


def events_of(table: Table, keys: Sequence[str], values: Sequence[str]) -> Events:
    """In the order of the file, which is the order they arrived in. A column that is not there is -1 (a key), 0 (a value)."""
    roles, nobody, nothing = table.roles, np.full(len(table), -1), np.zeros(len(table))
    return Events(
        position=np.arange(len(table)),
        kind=roles["kind"],
        event_time=roles["event_time"],
        moment=integers(roles.get("moment", nobody)),
        keys={name: roles.get(name, nobody) for name in keys},
        values={name: integers(roles.get(name, nothing)) for name in values},
    )


def integers(column: Any) -> Ints:
    """A column of numbers as counts, seconds or money; an empty cell is 0."""
    return np.where(np.isnan(column), 0, np.rint(column)).astype(np.int64)
