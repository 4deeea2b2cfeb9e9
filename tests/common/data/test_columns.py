"""Columns come back bit for bit, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.contract import Floats, Ints
from common.data import columns
from common.data.columns import load_dataclass, save_dataclass
from common.data.durable import whole, write_bytes
from common.errors import InputError

DTYPES = st.sampled_from(["<i8", "<f8", "<f4", "<i4", "|b1", "<U7"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    num_rows = draw(st.integers(0, 12))
    table: dict[str, Any] = {}
    for i in range(draw(st.integers(1, 4))):
        dtype = np.dtype(draw(DTYPES))
        width = draw(st.sampled_from([0, 1, 3])) if dtype.kind in "if" else 0
        text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=7)
        elements = text if dtype.kind == "U" else None
        table[f"column {i}"] = draw(hnp.arrays(dtype, (num_rows, width) if width else num_rows, elements=elements))
    return table


def same(first: Any, second: Any) -> bool:
    return bool(first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes())


@settings(max_examples=25, deadline=None)
@given(tables())
def test_what_is_written_is_read_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("columns") / "table.parquet"
    columns.write(path, table)
    read = columns.read(path)
    assert list(read) == list(table)
    assert all(same(read[name], table[name]) for name in table)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_nan_infinity_and_minus_zero_survive(tmp_path: Path) -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    columns.write(tmp_path / "t.parquet", {"x": odd})
    assert same(columns.read(tmp_path / "t.parquet")["x"], odd)


def test_an_unpicklable_mistake_is_ours() -> None:
    for bad in (np.array([{}, []], dtype=object), np.zeros((2, 2, 2)), np.zeros((2, 0))):
        with pytest.raises(AssertionError):
            columns.write(Path("never"), {"x": bad})
    with pytest.raises(AssertionError, match="unequal length"):
        columns.write(Path("never"), {"x": np.zeros(2), "y": np.zeros(3)})


def test_every_torn_or_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = {"x": np.arange(1000), "s": np.array(["abc"] * 1000)}
    columns.write(path, table)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(content), 20):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"t\.parquet"):
            columns.read(path)
    for _ in range(20):
        broken = bytearray(content)
        broken[rng.integers(4, len(content) // 2)] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(broken))
        try:
            read = columns.read(path)
        except InputError:
            continue
        assert all(same(read[name], table[name]) for name in table)  # a bit that means nothing


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pytest.raises(InputError, match="no such file"):
        columns.read(tmp_path / "none.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(InputError, match="not one of this project's"):
        columns.read(tmp_path / "foreign.parquet")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    ad_id: Ints
    vector: Floats
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wider(Catalog):
    bid: Ints


def test_a_dataclass_of_arrays_and_mappings_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    catalog = Catalog(
        ad_id=np.arange(2), vector=np.ones((2, 3)), numbers={"a.b": np.zeros(2)}, categories={"os": np.array(["x", ""])}
    )
    save_dataclass(path, catalog)
    read = load_dataclass(path, Catalog)
    assert same(read.ad_id, catalog.ad_id) and same(read.vector, catalog.vector)
    assert same(read.numbers["a.b"], catalog.numbers["a.b"]) and same(read.categories["os"], catalog.categories["os"])
    assert list(read.numbers) == ["a.b"] and list(read.categories) == ["os"]
    with pytest.raises(InputError, match="lacks the column 'bid'"):
        load_dataclass(path, Wider)
    save_dataclass(path, Wider(ad_id=np.arange(2), vector=np.ones((2, 3)), bid=np.arange(2)))
    with pytest.raises(InputError, match="does not know: bid"):
        load_dataclass(path, Catalog)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_bytes(b"new, half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_nouns_refuse_arrays_of_unequal_length() -> None:
    good = {"a": np.zeros(3), "numbers": {"b": np.ones((3, 2))}, "categories": {}}
    columns.equal_lengths("Rows", good)
    with pytest.raises(AssertionError, match=r"Rows: arrays of unequal length: .*numbers.c': 2"):
        columns.equal_lengths("Rows", {**good, "numbers": {"b": np.ones((3, 2)), "c": np.zeros(2)}})
