"""Files people bring: read as they are, refused readably where they are torn or odd."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.data import reading
from common.data.reading import expect_sha256, read_table, sha256
from common.errors import InputError

GOOD = {
    "plain.csv": b"a,b\n1,2\n",
    "bom.csv": b"\xef\xbb\xbfa,b\n1,2\n",
    "crlf.csv": b"a,b\r\n1,2\r\n",
    "no_last_line_end.csv": b"a,b\n1,2",
    "quoted.csv": b'"a",b\n"1","2"\n',
    "packed.csv.gz": gzip.compress(b"a,b\n1,2\n"),
}
ROWS = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i % 97) for i in range(5000))
BAD = {
    "torn.csv.gz": (gzip.compress(ROWS)[:500], "cut short or damaged"),
    "torn_at_the_end.csv.gz": (gzip.compress(ROWS)[:-3], "cut short or damaged"),
    "not_packed.csv.gz": (b"a,b\n1,2\n", "cut short or damaged"),
    "empty.csv": (b"", "is empty"),
    "header_only.csv": (b"a,b\n", "no rows"),
    "short_row.csv": (b"a,b\n1,2\n1\n", "Row #3: Expected 2 columns, got 1"),
    "long_row.csv": (b"a,b\n1,2\n1,2,3\n", "Row #3: Expected 2 columns, got 3"),
    "latin.csv": ("a,b\n1,é\n".encode("latin1"), "UTF-8"),
    "semicolons.csv": (b"a;b\n1;2\n", "separated by commas"),
    "tabs.csv": (b"a\tb\n1\t2\n", "separated by commas"),
    "twice.csv": (b"a,a\n1,2\n", "'a' is there 2 times"),
    "no_name.csv": (b"a,\n1,2\n", "column 2 has no name"),
    "open_quote.csv": (b'a,b\n"1,2\n3,4\n', "cannot be read as CSV"),
    "text.parquet": (b"hello", "not a whole Parquet file"),
    "notes.txt": (b"a,b\n1,2\n", r"ends in \.csv"),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_common_shape_of_csv_is_read_as_strings(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    assert read_table(tmp_path / name).to_pydict() == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize("name", BAD)
def test_every_bad_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(tmp_path / name)
    assert name in str(caught.value)


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 2**20)
    (tmp_path / "long.csv").write_bytes(b"a,b\n1," + b"x" * 2**22 + b"\n")
    with pytest.raises(InputError, match="longer than 1 MB"):
        read_table(tmp_path / "long.csv")


def test_values_are_kept_to_the_letter(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_bytes(b'a,b\n"x\ny","q""z"\n007,\nNaN, 1 \n2020-01-01,true\n')
    assert read_table(tmp_path / "odd.csv").to_pydict() == {
        "a": ["x\ny", "007", "NaN", "2020-01-01"],
        "b": ['q"z', "", " 1 ", "true"],
    }


def test_parquet_keeps_its_types_and_a_torn_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [1, None], "s": ["a", "b"]}), path)
    assert read_table(path).to_pydict() == {"x": [1, None], "s": ["a", "b"]}
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read_table(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            read_table(path)


def test_sha256_knows_the_very_file(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == digest
    expect_sha256(path, digest.upper())
    path.write_bytes(b"abd")
    with pytest.raises(InputError, match="another version or was damaged"):
        expect_sha256(path, digest)
    with pytest.raises(InputError, match="no such file"):
        expect_sha256(tmp_path / "none", digest)
