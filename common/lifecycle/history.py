"""The bulk of an event log: written once as Parquet, read back in stretches, every page under a checksum."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.contract import Events
from common.errors import InputError
from common.events import take

if TYPE_CHECKING:
    import pyarrow as pa

STRETCH = 500_000  # events in one


def check(history: Events) -> None:
    if not np.array_equal(history.position, np.arange(len(history))):
        raise InputError(
            "The history of a log must stand at positions 0, 1, 2, ... without a hole. Renumber it in log order."
        )
    if len(history) and history.event_time.min() < 0:
        raise InputError(
            f"The history holds an event_time of {history.event_time.min()}; expected seconds since 1970, >= 0."
        )


def write(path: Path, history: Events) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "kind": pa.array(history.kind.tolist(), pa.string()).dictionary_encode(),
        "event_time": history.event_time,
        "moment": history.moment,
        **{f"key:{name}": column for name, column in history.keys.items()},
        **{f"value:{name}": column for name, column in history.values.items()},
    }
    with path.open("wb") as file:
        pq.write_table(pa.table(columns), file, row_group_size=STRETCH, compression="zstd", write_page_checksum=True)
        file.flush()
        os.fsync(file.fileno())


def column_names(path: Path, num_history: int) -> tuple[list[str], list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        meta = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. The history is torn; restore it or start a new log."
        ) from error
    if meta.num_rows != num_history:
        raise InputError(
            f"{path} holds {meta.num_rows} events, the tail goes on from {num_history}. They do not belong together."
        )
    names = meta.schema.to_arrow_schema().names
    return (
        [n.removeprefix("key:") for n in names if n.startswith("key:")],
        [n.removeprefix("value:") for n in names if n.startswith("value:")],
    )


def scan(path: Path, since: int, until: int) -> Iterator[Events]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            first = 0
            for group in range(file.num_row_groups):
                num_rows = file.metadata.row_group(group).num_rows
                if first < until and first + num_rows > since:
                    stretch = _to_events(file.read_row_group(group), first)
                    yield take(stretch, slice(max(since - first, 0), until - first))
                first += num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. The history is damaged; restore it or start a new log."
        ) from error


def _to_events(table: pa.Table, first: int) -> Events:
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    kind = columns.pop("kind")
    numbers = {
        name: np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64) for name, column in columns.items()
    }
    return Events(
        position=np.arange(first, first + len(table), dtype=np.int64),
        kind=_kinds(kind),
        event_time=numbers["event_time"],
        moment=numbers["moment"],
        keys={name.removeprefix("key:"): column for name, column in numbers.items() if name.startswith("key:")},
        values={name.removeprefix("value:"): column for name, column in numbers.items() if name.startswith("value:")},
    )


def _kinds(kind: Any) -> np.ndarray:
    import pyarrow as pa

    encoded = kind if isinstance(kind, pa.DictionaryArray) else kind.dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return names[encoded.indices.to_numpy(zero_copy_only=False)] if len(names) else np.array([], dtype=np.str_)
