"""Columns on disk: dataclasses of arrays to Parquet and back, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from common.data.durable import whole
from common.errors import InputError

Array = NDArray[np.generic]
T = TypeVar("T")

_DTYPES = b"mlsd.dtypes"  # Parquet forgets the width of numpy strings: the dtypes travel in the schema's metadata


def write(path: Path, columns: Mapping[str, Array]) -> None:
    """1-D arrays (int64, float64, str; also bool and smaller numbers) and 2-D number arrays of equal length; whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    equal_lengths(path.name, columns)
    arrays = {name: _to_arrow(name, column) for name, column in columns.items()}
    dtypes = {name: column.dtype.str for name, column in columns.items()}
    table = pa.table(arrays).replace_schema_metadata({_DTYPES: json.dumps(dtypes).encode()})
    with whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read(path: Path) -> dict[str, Array]:
    """What `write` wrote, same dtypes, same bits; a torn or foreign file is an InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a Parquet file written by this project.")
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}). It was cut short or damaged: make it again."
        ) from error
    metadata = table.schema.metadata or {}
    if _DTYPES not in metadata:
        raise InputError(
            f"{path}: a Parquet file, but not one of this project's: its schema lacks {_DTYPES.decode()!r}. "
            "Your own files come in through --data parquet:PATH."
        )
    dtypes = json.loads(metadata[_DTYPES])
    return {name: _to_numpy(table.column(name), np.dtype(dtypes[name])) for name in table.column_names}


def _to_arrow(name: str, column: Array) -> Any:
    import pyarrow as pa

    assert column.dtype.kind in "iufbU" and column.ndim in (1, 2), f"{name}: cannot store {column.dtype} {column.shape}"
    if column.ndim == 1:
        return pa.array(np.ascontiguousarray(column), from_pandas=False)
    assert column.dtype.kind in "iuf" and column.shape[1] > 0, f"{name}: cannot store {column.dtype} {column.shape}"
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(column).reshape(-1)), column.shape[1])


def _to_numpy(column: Any, dtype: np.dtype[Any]) -> Array:
    import pyarrow as pa

    whole_column = column.combine_chunks()
    if isinstance(whole_column, pa.ChunkedArray):  # an empty table keeps its chunks
        whole_column = pa.concat_arrays(whole_column.chunks) if whole_column.num_chunks else pa.array([], column.type)
    if pa.types.is_fixed_size_list(column.type):
        flat = whole_column.flatten().to_numpy(zero_copy_only=False)
        return np.array(flat, dtype=dtype).reshape(-1, column.type.list_size)
    return np.array(whole_column.to_numpy(zero_copy_only=False), dtype=dtype)


def equal_lengths(name: str, columns: Mapping[str, Any]) -> None:
    """What the nouns of a case say in __post_init__, of arrays and mappings of arrays: `equal_lengths("Rows", vars(self))`. A column cut
    short would pair every later row with another's values, silently."""
    lengths: dict[str, int] = {}
    for column, values in columns.items():
        parts = values if isinstance(values, Mapping) else {"": values}
        lengths |= {f"{column}.{part}".rstrip("."): len(array) for part, array in parts.items()}
    assert len(set(lengths.values())) <= 1, f"{name}: arrays of unequal length: {lengths}"


def save_dataclass(path: Path, table: Any) -> None:
    """A flat dataclass of arrays, one column a field; a field that maps names to arrays becomes columns "number.x", "category.x"."""
    columns: dict[str, Array] = {}
    for field in fields(table):
        value = getattr(table, field.name)
        if isinstance(value, Mapping):
            columns |= {f"{_singular(field.name)}.{name}": column for name, column in value.items()}
        else:
            columns[field.name] = value
    write(path, columns)


def load_dataclass(path: Path, cls: type[T]) -> T:
    """What `save_dataclass` wrote; a file that lacks a field, or has a column the class does not know, is an InputError."""
    columns = read(path)
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]  # T is a dataclass, which typing cannot say
        if get_origin(hints[field.name]) is Mapping:
            prefix = _singular(field.name) + "."
            names = [name for name in columns if name.startswith(prefix)]
            values[field.name] = {name.removeprefix(prefix): columns.pop(name) for name in names}
        elif field.name in columns:
            values[field.name] = columns.pop(field.name)
        else:
            raise InputError(f"{path}: lacks the column {field.name!r} of {cls.__name__}. Make the file again.")
    if columns:
        raise InputError(f"{path}: has columns {cls.__name__} does not know: {', '.join(sorted(columns))}.")
    return cls(**values)


def _singular(name: str) -> str:
    return "category" if name == "categories" else name.removesuffix("s")
